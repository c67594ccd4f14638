"""Where the peer is, who sends, and where RTCP goes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from control.sdp.answer import write_answer
from control.sdp.model import parse
from mixer.port import Direction
from tests.control.sdp import bodies
from tests.control.sdp.bodies import crypto, local, offer, sdp
from tests.control.sdp.judging import judged, warning


@pytest.mark.parametrize(
    ("connection", "remote"),
    [
        ("IN IP4 192.0.2.1", "192.0.2.1:4000"),
        ("IN IP4 127.0.0.1", "127.0.0.1:4000"),
        ("IN IP6 2001:DB8::1", "[2001:db8::1]:4000"),
        ("IN IP6 ::1", "[::1]:4000"),
        ("IN IP6 ::ffff:192.0.2.1", "192.0.2.1:4000"),
        ("IN IP4 0.0.0.0", None),
        ("IN IP6 ::", None),
    ],
)
def test_the_address(connection: str, remote: str | None) -> None:
    session = parse(sdp("m=audio 4000 RTP/SAVP 0", crypto(), connection=connection))
    assert judged(session).remote == remote


@pytest.mark.parametrize(
    ("connection", "code"),
    [
        ("IN IP4 phone.example.net", 301),
        ("IN IP4 localhost", 301),
        ("IN IP4 255.255.255.255", 301),
        ("IN IP4 0.0.0.1", 301),
        ("IN IP4 240.0.0.1", 301),
        ("IN IP4 192.0.2.1/127", 301),
        ("IN IP4 224.2.1.1", 330),
        ("IN IP6 ff15::101", 330),
        ("IN IP4 2001:db8::1", 301),
        ("IN IP6 192.0.2.1", 301),
        ("IN IP6 fe80::1%eth0", 301),
        ("IN IP7 192.0.2.1", 301),
        ("ATM NSAP 192.0.2.1", 300),
    ],
)
def test_an_address_that_cannot_be_used(connection: str, code: int) -> None:
    assert warning(parse(sdp("m=audio 4000 RTP/SAVP 0", crypto(), connection=connection))) == code


def test_no_address_at_all() -> None:
    body = bodies.BARESIP.replace(b"c=IN IP4 127.0.0.1\r\n", b"")
    assert warning(parse(body)) == 301


def test_the_m_line_has_the_last_word_on_its_address() -> None:
    assert judged(offer("c=IN IP4 198.51.100.7")).remote == "198.51.100.7:4000"


@pytest.mark.parametrize(("port", "code"), [(0, 304), (65535, 302)])
def test_a_port_that_cannot_be_used(port: int, code: int) -> None:
    assert warning(offer(port=port)) == code


@pytest.mark.parametrize(
    ("attributes", "direction", "answer"),
    [
        ((), "sendrecv", "sendrecv"),
        (("a=sendrecv",), "sendrecv", "sendrecv"),
        (("a=sendonly",), "sendonly", "recvonly"),
        (("a=recvonly",), "recvonly", "sendonly"),
        (("a=inactive",), "inactive", "inactive"),
        (("c=IN IP4 0.0.0.0",), "sendonly", "recvonly"),
        (("c=IN IP4 0.0.0.0", "a=recvonly"), "inactive", "inactive"),
        (("a=sendrecv", "a=inactive"), "inactive", "inactive"),
    ],
)
def test_the_direction_and_what_is_answered(attributes: tuple[str, ...], direction: str, answer: str) -> None:
    session = offer(*attributes)
    agreed = judged(session)
    assert agreed.direction == direction
    assert parse(write_answer(session, agreed, local())).media[0].attribute(answer) == ""


@pytest.mark.parametrize(("ours", "answer"), [("sendonly", "sendonly"), ("recvonly", "inactive")])
def test_we_may_be_ready_for_less_than_is_offered(ours: Direction, answer: str) -> None:
    session = offer("a=recvonly")
    body = write_answer(session, judged(session), replace(local(), direction=ours))
    assert parse(body).media[0].attribute(answer) == ""


def test_a_session_has_a_direction_for_all() -> None:
    session = parse(sdp("a=sendonly", "m=audio 4000 RTP/SAVP 0", crypto(), "m=audio 4002 RTP/SAVP 0", "a=recvonly"))
    assert judged(session).direction == "sendonly"


def test_an_m_line_has_a_direction_of_its_own() -> None:
    assert judged(parse(sdp("a=inactive", "m=audio 4000 RTP/SAVP 0", crypto(), "a=recvonly"))).direction == "recvonly"


@pytest.mark.parametrize(
    ("attributes", "mux", "port"),
    [
        ((), False, None),
        (("a=rtcp-mux",), True, None),
        (("a=rtcp:4001",), False, None),
        (("a=rtcp:53020 IN IP4 126.16.64.4",), False, 53020),
        (("a=rtcp:53020", "a=rtcp-mux"), True, None),
        (("a=rtcp:0",), False, None),
        (("a=rtcp:99999",), False, None),
    ],
)
def test_where_rtcp_goes(attributes: tuple[str, ...], mux: bool, port: int | None) -> None:
    agreed = judged(offer(*attributes))
    assert (agreed.rtcp_mux, agreed.rtcp_port) == (mux, port)
