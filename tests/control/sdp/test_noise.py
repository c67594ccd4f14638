"""Noise and lies: the parser raises nothing but SdpError, and every answer keeps to RFC 3264."""

from __future__ import annotations

import contextlib

import msgspec
from hypothesis import event, given
from hypothesis import strategies as st

from control.sdp import amr, opus
from control.sdp.answer import Agreed, Unacceptable, agree, write_answer
from control.sdp.crypto import CryptoError, format_crypto, parse_crypto
from control.sdp.direction import direction_of, meet, reverse
from control.sdp.model import SdpError, parse
from control.sdp.offer import agree_answer, write_offer
from control.sdp.parameters import parameters_of
from control.sdp.terms import Terms
from mixer.port import Opus
from mixer.suites import SUITES
from tests.control.sdp import bodies
from tests.control.sdp.strategies import offers

TERMS = Terms(allow_clear=True)
REAL = [bodies.BARESIP, bodies.BARESIP_OPUS, bodies.LINPHONE, bodies.CHROMIUM, bodies.BARESIP_DTLS]
OFFER = write_offer(TERMS, bodies.local(), crypto=bodies.all_lines(TERMS))


def ours(agreed: Agreed) -> bytes:
    """A key of the right length for what was agreed."""
    suite = agreed.crypto.suite if agreed.crypto else bodies.CM_80
    return bodies.octets(SUITES[suite].secret, 100)


@given(st.binary() | st.binary().map(lambda tail: bodies.BARESIP + tail))
def test_octets_at_random(octets: bytes) -> None:
    with contextlib.suppress(SdpError):
        session = parse(octets)
        assert parse(session.to_bytes()) == session


@given(st.data())
def test_octets_changed_at_random(data: st.DataObject) -> None:
    body = bytearray(data.draw(st.sampled_from(REAL)))
    for at in data.draw(st.lists(st.integers(0, len(body) - 1), min_size=1, max_size=4)):
        body[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(SdpError, Unacceptable):
        session = parse(bytes(body))
        assert parse(session.to_bytes()) == session
        agree(session, TERMS)


@given(st.text(max_size=100) | st.from_regex(r"[0-9]{1,2} AES_CM_128_HMAC_SHA1_80 inline:[A-Za-z0-9+/]{40}[ -~]{0,20}"))
def test_crypto_lines_at_random(value: str) -> None:
    with contextlib.suppress(CryptoError):
        line = parse_crypto(value)
        assert parse_crypto(format_crypto(line)) == line


@given(st.text(max_size=80) | st.from_regex(r"([a-z-]{3,20} ?= ?[0-9,]{0,9} ?; ?){1,5}", fullmatch=True))
def test_parameters_at_random(text: str) -> None:
    meant = opus.asked(parameters_of(text), Opus())
    assert msgspec.convert(msgspec.to_builtins(meant), Opus) == meant
    for name, highest in amr.HIGHEST.items():
        known = amr.understood(name, parameters_of(text))
        if known is not None:
            assert max(known[0].modes, default=0) <= highest


@given(offers())
def test_an_answer_keeps_to_the_rules(octets: bytes) -> None:
    offer = parse(octets)
    try:
        agreed = agree(offer, TERMS)
    except Unacceptable as refusal:
        event(f"refused with {refusal.warning}")
        return
    event(f"agreed to {agreed.security}")
    key = bodies.key(len(ours(agreed)))
    answer = parse(write_answer(offer, agreed, bodies.local(key, fingerprint=True)))
    assert [(each.kind, each.profile) for each in answer.media] == [(each.kind, each.profile) for each in offer.media]
    assert [index for index, each in enumerate(answer.media) if each.port] == [agreed.index]
    offered, answered = offer.media[agreed.index], answer.media[agreed.index]
    assert offered.port
    assert set(answered.formats) <= set(offered.formats)
    allowed = reverse(direction_of(offer, offered))
    assert meet(allowed, direction_of(answer, answered)) == direction_of(answer, answered)
    assert answered.attribute("rtcp-mux") is None or offered.attribute("rtcp-mux") is not None
    assert len(answered.attributes("crypto")) == (agreed.security == "sdes")
    assert (answered.attribute("fingerprint") is not None) == (agreed.security == "dtls")


@given(offers())
def test_the_same_offer_again_changes_nothing(octets: bytes) -> None:
    offer = parse(octets)
    with contextlib.suppress(Unacceptable):
        agreed = agree(offer, TERMS)
        assert agree(offer, TERMS, before=agreed) == agreed


@given(offers(most=1))
def test_answers_at_random(octets: bytes) -> None:
    with contextlib.suppress(Unacceptable):
        agreed = agree_answer(OFFER, parse(octets), TERMS)
        event("agreed")
        assert agreed.security == "sdes"
        assert agreed.crypto is not None
