"""A session is refreshed by an offer of what holds already, and the answer counts as any other."""

from __future__ import annotations

import base64
from types import SimpleNamespace
from typing import Any

import pytest
from sipmessage import Response

from control.focus.call import Call
from control.focus.identity import Identity
from control.focus.media import Place
from control.sdp.terms import KNOWN_CODECS, Terms
from mixer import port
from mixer.secret import Secret
from tests.control.focus.raw import AUDIO, CRYPTO, offer

TERMS = Terms(codecs=KNOWN_CODECS, suites=("AES_CM_128_HMAC_SHA1_80",), allow_clear=False)
FRESH = f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{base64.b64encode(bytes(range(2, 32))).decode()}"


def refreshed(answer: str) -> Call:
    """A call whose phone answers a refresh so."""

    async def request(method: str, **_: Any) -> Response:
        assert method == "INVITE"
        response = Response(200, "OK")
        response.body = answer.encode()
        return response

    call = Call("ann.1", Identity("sip:ann@a"), TERMS, Place("127.0.0.1", "", 4000, None), cname="room")
    call.consider(offer().encode())
    call.answer(port.Key(secret=Secret(bytes(range(3, 33)))), 4000)
    call.dialog = SimpleNamespace(request=request)  # type: ignore[assignment]
    return call


async def test_a_new_key_in_the_answer_to_a_refresh_is_taken() -> None:
    """Some phones draw one for each SDP; unheard, they would be silent from then on."""
    call = refreshed(offer(AUDIO, FRESH))
    response = await call.refresh([])
    assert response is not None
    assert [key.secret for key in call.fresh_keys()] == [Secret(bytes(range(2, 32)))]


async def test_the_same_key_again_is_no_news() -> None:
    call = refreshed(offer(AUDIO, CRYPTO))
    assert await call.refresh([]) is not None
    assert call.fresh_keys() == []


@pytest.mark.parametrize("answer", ["", "noise", offer("m=audio 0 RTP/SAVP 0")])
async def test_an_answer_that_is_none_changes_nothing(answer: str) -> None:
    call = refreshed(answer)
    before = call.agreed
    response = await call.refresh([])
    assert response is not None
    assert response.code == 200
    assert call.agreed is before
