"""The answer as a whole: every m-line in its place, and what is ours in it."""

from __future__ import annotations

import pytest

from control.sdp.answer import Unacceptable, write_answer
from control.sdp.crypto import CryptoError
from control.sdp.model import parse
from tests.control.sdp import bodies
from tests.control.sdp.bodies import crypto, key, local, offer, sdp
from tests.control.sdp.judging import judged, warning


def test_all_but_one_m_line_are_refused_in_their_places() -> None:
    session = parse(
        sdp(
            "m=video 5000 RTP/AVP 31 32",
            "m=audio 0 RTP/SAVP 0",
            "m=audio 4000 RTP/SAVP 18",
            "m=audio 4002/2 RTP/SAVP 0",
            crypto(),
            "m=audio 4004 RTP/SAVP 0",
            crypto(seed=2),
            "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        )
    )
    agreed = judged(session)
    answer = parse(write_answer(session, agreed, local()))
    assert agreed.index == 3
    assert [each.port for each in answer.media] == [0, 0, 0, 30000, 0, 0]
    assert [(each.kind, each.profile) for each in answer.media] == [(each.kind, each.profile) for each in session.media]
    assert answer.media[0].formats == ("31", "32")


def test_the_first_m_line_says_why_none_will_do() -> None:
    assert warning(parse(sdp("m=audio 4000 TCP/RTP/SAVP 0", "m=audio 4002 RTP/SAVP 18", crypto()))) == 302


@pytest.mark.parametrize("media", [(), ("m=video 5000 RTP/SAVP 31",), ("m=image 5000 udptl t38",)])
def test_no_audio(media: tuple[str, ...]) -> None:
    assert warning(parse(sdp(*media))) == 304


def test_ipv6_and_the_times_of_the_offer() -> None:
    session = parse(bodies.BARESIP.replace(b"t=0 0", b"t=3034423619 3042462419"))
    answer = parse(write_answer(session, judged(session), local(host="2001:db8::9")))
    assert answer.values("t") == ["3034423619 3042462419"]
    assert answer.connection == ("IN", "IP6", "2001:db8::9")


def test_our_key_must_fit_the_suite_and_must_not_be_the_peers() -> None:
    session = offer()
    agreed = judged(session)
    with pytest.raises(CryptoError, match="30 octets"):
        write_answer(session, agreed, local(key(44)))
    with pytest.raises(Unacceptable, match="same key"):
        write_answer(session, agreed, local(key(seed=1)))


def test_dtls_needs_a_certificate() -> None:
    session = parse(bodies.BARESIP_DTLS)
    with pytest.raises(ValueError, match="fingerprint"):
        write_answer(session, judged(session), local())
