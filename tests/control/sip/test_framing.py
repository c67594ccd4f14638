"""Framing: however the octets of a stream are cut, the same messages come out; and a bad stream ends at once."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.sip.framing import PING, Framing, Unframed
from tests.control.sip.house import request

ONE = request(body="v=0").encode()
TWO = request("BYE", extra=("l : 0",), without=("Content-Length",)).encode()
NO_LENGTH = ONE.replace(b"Content-Length: 3\r\n", b"")


@given(st.lists(st.integers(1, 200), max_size=30))
def test_any_cuts_give_the_same_messages(cuts: list[int]) -> None:
    stream, framing, frames = ONE + b"\r\n\r\n" + TWO + b"\r\n" + ONE, Framing(4096), []
    for cut in cuts:
        frames += framing.feed(stream[:cut])
        stream = stream[cut:]
    frames += framing.feed(stream)
    assert frames == [ONE, PING, TWO.replace(b"\r\n\r\n", b"\r\n\r\n"), ONE]
    assert not framing.partial


def test_octet_by_octet() -> None:
    framing = Framing(4096)
    assert [frame for octet in ONE + TWO for frame in framing.feed(bytes([octet]))] == [ONE, TWO]


def test_partial_tells_a_message_from_a_keep_alive() -> None:
    framing = Framing(4096)
    framing.feed(b"\r\n\r")
    assert not framing.partial
    framing.feed(b"\nINV")
    assert framing.partial


def test_many_empty_lines_are_one_keep_alive() -> None:
    assert Framing(4096).feed(b"\r\n" * 2000 + TWO) == [PING, TWO]


@pytest.mark.parametrize(
    ("stream", "status"),
    [
        (NO_LENGTH, 400),
        (ONE.replace(b"Length: 3", b"Length: x"), 400),
        (ONE.replace(b"Length: 3", b"Length: -3"), 400),
        (ONE.replace(b"\r\n\r\n", b"\r\nl: 4\r\n\r\n"), 400),
        (ONE.replace(b"Length: 3", b"Length: 5000"), 513),
        (b"INVITE " + b"a" * 5000, 513),
    ],
    ids=["none", "no number", "negative", "two", "too long", "endless header"],
)
def test_bad_streams(stream: bytes, status: int) -> None:
    with pytest.raises(Unframed) as error:
        Framing(4096).feed(stream)
    assert error.value.status == status
    assert stream.startswith(error.value.head)


def test_content_length_in_a_body_is_not_the_header_s() -> None:
    body = "\r\nContent-Length: 9999\r\n"
    octets = request(body=body).encode()
    assert Framing(4096).feed(octets) == [octets]


@given(st.lists(st.binary(max_size=64), max_size=40))
def test_noise_is_bounded(chunks: list[bytes]) -> None:
    framing = Framing(256)
    with contextlib.suppress(Unframed):
        for chunk in chunks:
            assert all(len(frame) <= 256 for frame in framing.feed(chunk))
