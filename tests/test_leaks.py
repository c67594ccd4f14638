"""The finder finds: a test that looks for keys is worth what this is."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.leaks import WINDOW, leaks

SECRET = bytes(range(7, 37))


@pytest.mark.parametrize(
    "form",
    [
        SECRET.hex(),
        SECRET.hex().upper(),
        SECRET.hex(":").upper(),
        repr(SECRET),
        SECRET,
        b"\xff" + SECRET[5:13],
        base64.b64encode(SECRET).decode()[:40],
        base64.urlsafe_b64encode(SECRET[1:]).decode(),
    ],
)
def test_leaks_are_found(form: str | bytes) -> None:
    assert leaks({"k": SECRET, "other": bytes(30)}, form) == {"k"}
    assert not leaks({"k": SECRET}, "key=<secret>")


@given(
    st.binary(min_size=16, max_size=46),
    st.binary(max_size=7),
    st.binary(max_size=7),
    st.integers(0, 100),
    st.booleans(),
)
def test_any_eight_octets_are_found_wherever_they_lie(
    secret: bytes, before: bytes, after: bytes, at: int, url: bool
) -> None:
    at %= len(secret) - WINDOW + 1
    whole = before + secret[at : at + WINDOW] + after
    encode = base64.urlsafe_b64encode if url else base64.b64encode
    for form in (whole, whole.hex(), encode(whole)):
        assert leaks({"k": secret}, form) == {"k"}


def test_seven_octets_are_not_eight() -> None:
    part = SECRET[10:17]
    for form in (part, part.hex(), base64.b64encode(part)):
        assert not leaks({"k": SECRET}, form)
