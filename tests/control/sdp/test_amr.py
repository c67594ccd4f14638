"""AMR and AMR-WB in SDP (RFC 4867 section 8.3): which payload types are taken, and what both ends must have alike."""

from __future__ import annotations

import pytest

from control.sdp.answer import agree, write_answer
from control.sdp.model import Session, parse
from control.sdp.offer import agree_answer, write_offer
from control.sdp.refusal import Unacceptable
from control.sdp.terms import AMR, AMR_WB, PCMU, Terms
from mixer.port import Amr
from tests.control.sdp import bodies
from tests.control.sdp.bodies import crypto, local, offer, sdp
from tests.control.sdp.judging import judged, warning

TERMS = Terms(codecs=(AMR_WB, AMR), suites=(bodies.CM_80,))
OFFER = write_offer(TERMS, local(), crypto=bodies.all_lines(TERMS))


def amr(parameters: str, codec: str = "AMR/8000") -> Session:
    lines = [f"a=fmtp:97 {parameters}"] if parameters else []
    return offer(f"a=rtpmap:97 {codec}", *lines, formats="97")


@pytest.mark.parametrize(
    ("parameters", "meant", "ours"),
    [
        ("", Amr(), ""),
        ("octet-align=1", Amr(octet_aligned=True), "octet-align=1"),
        ("octet-align=0; crc=0; robust-sorting=0", Amr(), ""),
        ("mode-set=0,2,5,7", Amr(modes=(0, 2, 5, 7)), "mode-set=0,2,5,7"),
        ("mode-set=7, 0 ,0; octet-align=1", Amr(octet_aligned=True, modes=(0, 7)), "octet-align=1;mode-set=0,7"),
        ("mode-change-capability=2; max-red=0", Amr(), ""),
        ("mode-change-period=2", Amr(modes=(7,)), ""),
        ("mode-set=0,2,5; mode-change-neighbor=1", Amr(modes=(5,)), "mode-set=0,2,5"),
        ("OCTET-ALIGN=1", Amr(octet_aligned=True), "octet-align=1"),
        ("vendor=1; dtx", Amr(), ""),
    ],
)
def test_what_is_taken(parameters: str, meant: Amr, ours: str) -> None:
    agreed = judged(amr(parameters))
    assert (agreed.codec, agreed.amr, agreed.parameters) == ("AMR", meant, ours)


@pytest.mark.parametrize(
    "parameters",
    [
        "crc=1",
        "octet-align=1; crc=1",
        "robust-sorting=1",
        "interleaving=30",
        "interleaving=0",
        "channels=2",
        "octet-align=2",
        "octet-align",
        "octet-align=1; octet-align=0",
        "mode-set=8",
        "mode-set=",
        "mode-set=0,,2",
        "mode-set=0-7",
        "mode-set=\u0660",
        "mode-change-period=3",
        "mode-change-neighbor=x",
    ],
)
def test_what_is_not(parameters: str) -> None:
    assert warning(amr(parameters)) == 305


def test_wide_has_one_mode_more() -> None:
    assert judged(amr("mode-set=8", "AMR-WB/16000")).amr == Amr(modes=(8,))
    assert judged(amr("mode-change-period=2", "AMR-WB/16000")).amr == Amr(modes=(8,))


def test_the_first_payload_type_that_can_be_taken() -> None:
    """The example of RFC 4867 section 8.3.1, a gateway that would rather have checksums."""
    maps = [f"a=rtpmap:{number} AMR-WB/16000" for number in (96, 97, 98)]
    parameters = ("crc=1", "octet-align=1", "mode-set=0")
    lines = [f"a=fmtp:{number} {text}" for number, text in zip((96, 97, 98), parameters, strict=True)]
    agreed = judged(offer(*maps, *lines, formats="96 97 98"))
    assert (agreed.payload_type, agreed.amr) == (97, Amr(octet_aligned=True))
    assert judged(offer(maps[0], lines[0], formats="96 0")).codec == "PCMU"


def test_the_one_in_use_stays_when_the_order_changes() -> None:
    maps = ["a=rtpmap:96 AMR/8000", "a=rtpmap:97 AMR/8000", "a=fmtp:97 octet-align=1"]
    before = judged(offer(*maps, formats="97 96"))
    assert before.payload_type == 97
    again = agree(offer(*maps, formats="96 97"), Terms(), before=before)
    assert (again.payload_type, again.amr) == (97, before.amr)


def test_layout_and_modes_are_answered_as_offered() -> None:
    session = amr("octet-align=1; mode-set=0,2,5,7")
    lines = write_answer(session, judged(session), local()).decode().splitlines()
    assert "a=fmtp:97 octet-align=1;mode-set=0,2,5,7" in lines


@pytest.mark.parametrize(("parameters", "aligned"), [("", False), ("octet-align=1", True)])
def test_an_answer_takes_the_layout_that_it_has_of_those_offered(parameters: str, aligned: bool) -> None:
    number = next(
        each.partition(":")[2].partition(" ")[0]
        for each in OFFER.decode().splitlines()
        if each.endswith("AMR-WB/16000") and (f"a=fmtp:{each[9:11]} octet-align=1" in OFFER.decode()) == aligned
    )
    lines = [f"a=fmtp:{number} {parameters}"] if parameters else []
    body = sdp(f"m=audio 5000 RTP/SAVP {number}", f"a=rtpmap:{number} AMR-WB/16000", *lines, crypto())
    agreed = agree_answer(OFFER, parse(body), TERMS)
    assert agreed.amr == Amr(octet_aligned=aligned)
    assert agreed.payload_type == agreed.payload_type_in == int(number)


def test_an_answer_in_a_layout_that_was_not_offered_is_none() -> None:
    plain = OFFER.replace(b"octet-align=1", b"octet-align=0")
    body = sdp("m=audio 5000 RTP/SAVP 96", "a=rtpmap:96 AMR-WB/16000", "a=fmtp:96 octet-align=1", crypto())
    with pytest.raises(Unacceptable):
        agree_answer(plain, parse(body), TERMS)


def test_without_amr_it_is_not_offered() -> None:
    terms = Terms(codecs=(PCMU,), suites=(bodies.CM_80,))
    assert b"AMR" not in write_offer(terms, local(), crypto=bodies.all_lines(terms))
