"""Keys in SIP INFO: the two bodies that phones send, and nothing that only looks like one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.focus.keypad import is_key, key_of

RELAY, PLAIN = "application/dtmf-relay", "application/dtmf"


@pytest.mark.parametrize(
    ("content", "body", "key"),
    [
        (RELAY, b"Signal=5\r\nDuration=160", "5"),
        (RELAY, b"Signal=5\r\nDuration=160\r\n", "5"),
        (RELAY, b"Signal= #\nDuration= 250\n", "#"),
        (RELAY, b"signal=*\r\nduration=1\r\n\r\n", "*"),
        (RELAY, b"Signal=a\r\nDuration=160", "A"),
        ("Application/DTMF-Relay; charset=utf-8", b"Signal=0\r\nDuration=160", "0"),
        (PLAIN, b"7", "7"),
        (PLAIN, b"#\r\n", "#"),
        (PLAIN, b"10", "*"),
        (PLAIN, b"11", "#"),
        (PLAIN, b"15", "D"),
    ],
)
def test_keys(content: str, body: bytes, key: str) -> None:
    assert is_key(content)
    assert key_of(content, body) == key


@pytest.mark.parametrize(
    ("content", "body"),
    [
        (RELAY, b""),
        (RELAY, b"Signal=5"),
        (RELAY, b"Signal=55\r\nDuration=160"),
        (RELAY, b"Signal=E\r\nDuration=160"),
        (RELAY, b"Signal=5\r\nDuration=-1"),
        (RELAY, b"Signal=5\r\nDuration=160000"),
        (RELAY, b"Signal=5\r\nDuration=160\r\nSignal=6\r\nDuration=160"),
        (RELAY, b"Signal=\xb2\r\nDuration=160"),
        (RELAY, b"\r\nSignal=5\r\nDuration=160"),
        (RELAY, b"Duration=160\r\nSignal=5"),
        (PLAIN, b"16"),
        (PLAIN, b"05"),
        (PLAIN, b"1 2"),
        (PLAIN, b"Signal=5\r\nDuration=160"),
    ],
)
def test_no_keys(content: str, body: bytes) -> None:
    assert key_of(content, body) is None


def test_other_bodies_are_not_of_keys() -> None:
    assert not is_key("application/sdp")
    assert not is_key("")
    assert key_of("application/sdp", b"5") is None


@given(st.sampled_from([RELAY, PLAIN, "text/plain"]), st.binary(max_size=40) | st.just(b"Signal=5\r\nDuration=1"))
def test_octets_at_random(content: str, body: bytes) -> None:
    key = key_of(content, body)
    assert key is None or (len(key) == 1 and key in "0123456789*#ABCD" and is_key(content))
