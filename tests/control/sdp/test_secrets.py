"""I12 in SDP: no value, and no error, shows a part of a key."""

from __future__ import annotations

import traceback

import pytest

from control.sdp.answer import Unacceptable, agree
from control.sdp.crypto import CryptoError, parse_crypto
from control.sdp.model import SdpError, parse
from control.sdp.offer import agree_answer
from control.sdp.terms import Terms
from tests.control.sdp import bodies
from tests.leaks import leaks

SECRETS = {"peer": bodies.octets(30), "ours": bodies.octets(30, 100)}


def test_values_show_no_key() -> None:
    session = parse(bodies.BARESIP)
    agreed = agree(session, Terms())
    values = (session, session.media[0], session.media[0].lines, agreed, agreed.crypto, bodies.local())
    for shown in (*map(repr, values), *map(str, values)):
        assert not leaks(SECRETS, shown)
    assert leaks(SECRETS, session.to_bytes()) == {"peer"}  # they leave there, and the finder finds them


@pytest.mark.parametrize(
    "body",
    [
        bodies.BARESIP.replace(b"a=crypto", b"crypto"),
        bodies.BARESIP.replace(b"a=crypto", b"c=crypto"),
        bodies.BARESIP.replace(b"a=crypto", b"m=crypto"),
        bodies.BARESIP.replace(b"a=crypto", b"o=crypto"),
        bodies.BARESIP.replace(b"+", b"\0"),
        bodies.BARESIP.replace(b"inline:", b"inline:AAAA"),
        bodies.BARESIP.replace(b"inline:", b"inline:*"),
        bodies.BARESIP.replace(b"inline:", b""),
        bodies.BARESIP.replace(b"inline:", b"UNENCRYPTED_SRTP inline:"),
    ],
)
def test_errors_show_no_key(body: bytes) -> None:
    with pytest.raises((SdpError, Unacceptable)) as refused:
        agree(parse(body), Terms())
    assert not leaks(SECRETS, "".join(traceback.format_exception(refused.value)))


@pytest.mark.parametrize("rest", ["AAAA", "|2^99", "|1:9", " KDR=1", "*", f";inline:{bodies.material(seed=1)}"])
def test_errors_about_a_crypto_line_show_no_key(rest: str) -> None:
    with pytest.raises(CryptoError) as refused:
        parse_crypto(f"1 {bodies.CM_80} inline:{bodies.material()}{rest}")
    assert not leaks(SECRETS, "".join(traceback.format_exception(refused.value)))


def test_an_answer_that_is_refused_shows_no_key() -> None:
    with pytest.raises(Unacceptable) as refused:
        agree_answer(bodies.BARESIP, parse(bodies.BARESIP), Terms())  # the very key that was offered
    assert not leaks(SECRETS, "".join(traceback.format_exception(refused.value)))
