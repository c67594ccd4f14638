"""Further offers in a session: those of the peer are read against what was agreed, and ours change one thing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from control.sdp.answer import Agreed, agree, write_answer
from control.sdp.model import Session, parse
from control.sdp.offer import agree_answer, write_offer
from control.sdp.terms import Terms
from tests.control.sdp import bodies
from tests.control.sdp.bodies import CM_80, crypto, key, local, material, offer, sdp
from tests.control.sdp.judging import TERMS, judged, warning


def test_what_was_agreed_stays_if_it_is_still_offered() -> None:
    before = judged(offer(formats="8"))
    again = agree(offer(crypto(2, "AEAD_AES_256_GCM", 2), formats="0 8"), TERMS, before=before)
    assert (again.codec, again.crypto) == ("PCMA", before.crypto)


def test_another_codec_if_the_one_in_use_is_gone() -> None:
    before = judged(offer(formats="8"))
    assert agree(offer(formats="0"), TERMS, before=before).codec == "PCMU"


def test_a_new_key_of_the_peer_is_seen() -> None:
    before = judged(offer())
    again = agree(parse(sdp("m=audio 4000 RTP/SAVP 0", crypto(seed=9))), TERMS, before=before)
    assert again.crypto != before.crypto


def test_hold_and_resume() -> None:
    before = judged(offer())
    held = agree(offer("c=IN IP4 0.0.0.0"), TERMS, before=before)
    assert (held.direction, held.remote) == ("sendonly", None)
    assert agree(offer(), TERMS, before=held) == before


@pytest.mark.parametrize(
    ("media", "code"),
    [
        (("m=audio 4000 RTP/AVP 0",), 305),
        (("m=audio 0 RTP/SAVP 0", "m=audio 4000 RTP/SAVP 0", crypto()), 304),
        (("m=video 4000 RTP/SAVP 0", crypto()), 304),
        ((), 304),
        (("m=audio 4000 RTP/SAVP 0", f"a=fingerprint:sha-256 {bodies.PRINT}"), 305),
    ],
)
def test_a_session_stays_where_and_as_secure_as_it_is(media: tuple[str, ...], code: int) -> None:
    assert warning(parse(sdp(*media)), Terms(allow_clear=True), before=judged(offer())) == code


def test_the_roles_of_dtls_stay() -> None:
    fingerprint = f"a=fingerprint:sha-256 {bodies.PRINT}"
    before = judged(offer("a=setup:active", fingerprint, profile="UDP/TLS/RTP/SAVP"))
    again = agree(offer("a=setup:actpass", fingerprint, profile="UDP/TLS/RTP/SAVP"), TERMS, before=before)
    assert (before.setup, again.setup) == ("passive", "passive")


def running() -> tuple[Session, Agreed, Session]:
    """A phone has offered video, audio and text, and has got its answer: the offer, what was agreed, the answer."""
    offer = parse(
        sdp("m=video 1 RTP/AVP 31", "m=audio 4000 RTP/SAVP 8 101", "a=rtpmap:101 telephone-event/8000", crypto(7))
        + b"m=text 3 RTP/AVP 98\r\n"
    )
    agreed = agree(offer, TERMS)
    return offer, agreed, parse(write_answer(offer, agreed, local()))


def test_a_rekey_is_the_same_but_for_the_key_and_the_version() -> None:
    _, agreed, before = running()
    again = write_offer(TERMS, local(key(seed=200), version=2), agreed=agreed, previous=before)
    expected = (
        before.to_bytes()
        .replace(b"o=- 77 1 ", b"o=- 77 2 ")
        .replace(crypto(7, seed=100).encode(), crypto(7, seed=200).encode())
    )
    assert again == expected


def test_the_answer_to_a_rekey() -> None:
    _, agreed, before = running()
    again = write_offer(TERMS, local(key(seed=200), version=2), agreed=agreed, previous=before)
    reply = sdp("m=video 0 RTP/AVP 31", "m=audio 4000 RTP/SAVP 8", crypto(7, seed=9), "m=text 0 RTP/AVP 98")
    taken = agree_answer(again, parse(reply), TERMS)
    assert (taken.index, taken.codec, taken.remote) == (1, "PCMA", agreed.remote)
    assert taken.crypto is not None
    assert taken.crypto.keys[0].secret.reveal() == bodies.octets(30, 9)


def test_a_rekey_with_the_old_key_beside_the_new() -> None:
    _, agreed, before = running()
    keys = key(seed=100, mki=b"\0\7"), key(seed=200, mki=b"\0\x08")
    (media,) = [
        each for each in parse(write_offer(TERMS, local(*keys), agreed=agreed, previous=before)).media if each.port
    ]
    assert media.attribute("crypto") == (f"7 {CM_80} inline:{material(seed=100)}|7:2;inline:{material(seed=200)}|8:2")


def test_we_may_hold() -> None:
    _, agreed, before = running()
    held = parse(write_offer(TERMS, replace(local(), direction="sendonly"), agreed=agreed, previous=before))
    assert held.media[1].attribute("sendonly") == ""


def test_a_further_offer_must_know_the_m_lines_before_ours() -> None:
    _, agreed, _ = running()
    with pytest.raises(ValueError, match="places"):
        write_offer(TERMS, local(), agreed=agreed)


def test_a_dtls_session_goes_on_as_actpass() -> None:
    offer = parse(bodies.BARESIP_DTLS)
    agreed = agree(offer, TERMS)
    (media,) = parse(write_offer(TERMS, local(fingerprint=True), agreed=agreed)).media
    assert (media.profile, media.attribute("setup")) == ("UDP/TLS/RTP/SAVPF", "actpass")


def test_a_clear_session_goes_on_in_clear() -> None:
    offer = parse(sdp("m=audio 4000 RTP/AVP 0"))
    terms = Terms(allow_clear=True)
    agreed = agree(offer, terms)
    again = write_offer(terms, local(), agreed=agreed)
    assert (parse(again).media[0].profile, parse(again).media[0].attribute("crypto")) == ("RTP/AVP", None)
    assert agree_answer(again, parse(sdp("m=audio 4000 RTP/AVP 0")), terms).security == "clear"
