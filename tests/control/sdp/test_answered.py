"""Answers to our offer, also those of phones that do not keep to the rules."""

from __future__ import annotations

from dataclasses import replace

import pytest

from control.sdp.answer import Unacceptable
from control.sdp.model import Session, parse
from control.sdp.offer import agree_answer, write_offer
from control.sdp.terms import L16, PCMA, PCMU, Terms
from tests.control.sdp import bodies
from tests.control.sdp.bodies import CM_80, crypto, local, material, sdp

TERMS = Terms(codecs=(PCMU, PCMA, L16[0]), suites=("AEAD_AES_128_GCM", CM_80))
OFFER = write_offer(TERMS, local(), crypto=bodies.all_lines(TERMS))
DTLS_OFFER = write_offer(TERMS, local(fingerprint=True), security="dtls")


def answer(*lines: str, formats: str = "0", profile: str = "RTP/SAVP") -> Session:
    """An answer to `OFFER` that takes its second suite, unless the lines bring another."""
    key_lines = () if any("a=crypto" in line for line in lines) else (crypto(2),)
    return parse(sdp(f"m=audio 5000 {profile} {formats}", *key_lines, *lines))


def dtls_answer(*lines: str) -> Session:
    return parse(sdp("m=audio 5000 UDP/TLS/RTP/SAVP 0", *lines))


def warning(session: Session, offer: bytes = OFFER) -> int:
    with pytest.raises(Unacceptable) as refused:
        agree_answer(offer, session, TERMS)
    assert material()[:12] not in refused.value.text
    return refused.value.warning


def test_an_answer_is_taken() -> None:
    agreed = agree_answer(OFFER, answer("a=rtpmap:97 telephone-event/8000", "a=rtcp-mux", formats="0 97"), TERMS)
    assert (agreed.codec, agreed.payload_type, agreed.telephone_event) == ("PCMU", 0, 97)
    assert (agreed.remote, agreed.rtcp_mux, agreed.direction) == ("192.0.2.1:5000", True, "sendrecv")
    assert agreed.crypto is not None
    assert (agreed.crypto.tag, agreed.crypto.keys[0].secret.reveal()) == (2, bodies.octets(30))


def test_the_first_codec_of_the_answer_that_we_offered_counts() -> None:
    assert agree_answer(OFFER, answer(formats="18 8 0"), TERMS).codec == "PCMA"


def test_the_peer_may_have_a_number_of_its_own_for_a_codec() -> None:
    agreed = agree_answer(OFFER, answer("a=rtpmap:110 L16/16000", formats="110"), TERMS)
    assert (agreed.payload_type, agreed.payload_type_in) == (110, 96)


def test_and_one_for_dtmf() -> None:
    agreed = agree_answer(OFFER, answer("a=rtpmap:111 telephone-event/8000", formats="0 111"), TERMS)
    assert (agreed.telephone_event, agreed.telephone_event_in) == (111, 97)
    again = parse(write_offer(TERMS, local(), agreed=agreed))
    assert again.media[0].formats == ("0", "97")


def test_dtmf_only_if_both_want_it() -> None:
    silent = agree_answer(OFFER, answer(), TERMS)
    assert (silent.telephone_event, silent.telephone_event_in) == (None, None)
    offer = write_offer(replace(TERMS, dtmf=False), local(), crypto=bodies.all_lines(TERMS))
    pushy = agree_answer(offer, answer("a=rtpmap:97 telephone-event/8000", formats="0 97"), TERMS)
    assert (pushy.telephone_event, pushy.telephone_event_in) == (None, None)


def test_mux_and_levels_only_if_both_want_them() -> None:
    uri = "urn:ietf:params:rtp-hdrext:"
    levels = (f"a=extmap:1/sendonly {uri}ssrc-audio-level", f"a=extmap:5/recvonly {uri}csrc-audio-level")
    agreed = agree_answer(OFFER, answer(*levels, "a=rtcp-mux"), TERMS)
    assert (agreed.level_in, agreed.level_out, agreed.rtcp_mux) == (1, None, True)
    without = OFFER.replace(b"a=rtcp-mux\r\n", b"")
    assert not agree_answer(without, answer("a=rtcp-mux"), TERMS).rtcp_mux


def test_levels_with_an_id_that_was_not_offered_are_none() -> None:
    assert agree_answer(OFFER, answer("a=extmap:3 urn:ietf:params:rtp-hdrext:ssrc-audio-level"), TERMS).level_in is None


def test_a_codec_that_was_not_offered_is_not_taken() -> None:
    offer = write_offer(replace(TERMS, codecs=(PCMU,)), local(), crypto=bodies.all_lines(TERMS))
    assert warning(answer(formats="8"), offer) == 305


@pytest.mark.parametrize(
    ("ours", "theirs", "agreed"),
    [
        ("sendrecv", "sendonly", "sendonly"),
        ("sendonly", "recvonly", "recvonly"),
        ("sendonly", "sendrecv", "recvonly"),
        ("recvonly", "recvonly", "inactive"),
        ("inactive", "sendrecv", "inactive"),
    ],
)
def test_an_answer_takes_no_more_than_was_offered(ours: str, theirs: str, agreed: str) -> None:
    offer = OFFER.replace(b"a=sendrecv", b"a=" + ours.encode())
    assert agree_answer(offer, answer(f"a={theirs}"), TERMS).direction == agreed


@pytest.mark.parametrize(
    "lines",
    [
        (crypto(2, "AEAD_AES_128_GCM"),),
        (crypto(3),),
        (crypto(1, "AES_256_CM_HMAC_SHA1_80"),),
        (crypto(2), crypto(3)),
        (crypto(2, rest="|2^31|1:8"),),
        (f"a=crypto:2 {CM_80} inline:{material(29)}",),
    ],
)
def test_an_answer_must_take_one_of_our_lines(lines: tuple[str, ...]) -> None:
    assert warning(answer(*lines)) == 305


def test_a_suite_that_was_not_offered_ends_the_call() -> None:
    """baresip answers so to an offer of AES_256_CM alone, and then sends in clear."""
    terms = Terms(suites=("AES_256_CM_HMAC_SHA1_80",))
    offer = write_offer(terms, local(), crypto=bodies.all_lines(terms))
    with pytest.raises(Unacceptable, match="were not offered"):
        agree_answer(offer, parse(bodies.BARESIP), terms)


def test_our_own_key_must_not_come_back() -> None:
    assert warning(answer(crypto(2, CM_80, 101 + 1))) == 399


@pytest.mark.parametrize(
    ("session", "code"),
    [
        (answer(profile="RTP/AVP"), 302),
        (answer(profile="RTP/SAVPF"), 302),
        (answer(formats="18"), 305),
        (answer("a=rtpmap:96 L16/48000", formats="96"), 305),
        (answer("c=IN IP4 phone.example.net"), 301),
        (parse(sdp("m=audio 0 RTP/SAVP 0")), 304),
        (parse(sdp("m=video 5000 RTP/SAVP 0", crypto(2))), 304),
        (parse(sdp("m=audio 5000 RTP/SAVP 0")), 305),
        (parse(sdp()), 399),
        (parse(sdp("m=audio 5000 RTP/SAVP 0", crypto(2), "m=video 0 RTP/AVP 31")), 399),
    ],
)
def test_what_is_no_answer_to_our_offer(session: Session, code: int) -> None:
    assert warning(session) == code


@pytest.mark.parametrize(("setup", "role"), [("a=setup:active", "passive"), ("a=setup:passive", "active")])
def test_who_connects(setup: str, role: str) -> None:
    agreed = agree_answer(DTLS_OFFER, dtls_answer(setup, f"a=fingerprint:sha-256 {bodies.PRINT}"), TERMS)
    assert (agreed.setup, agreed.security) == (role, "dtls")


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (("a=setup:active",), 305),
        (("a=setup:active", f"a=fingerprint:sha-1 {':'.join(['00'] * 20)}"), 305),
        (("a=setup:active", crypto()), 305),
        (("a=setup:actpass", f"a=fingerprint:sha-256 {bodies.PRINT}"), 307),
    ],
)
def test_an_answer_without_what_dtls_needs(lines: tuple[str, ...], code: int) -> None:
    assert warning(dtls_answer(*lines), DTLS_OFFER) == code
