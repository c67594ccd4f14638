"""Keys under a key: right by another implementation, and good for one place only."""

from __future__ import annotations

import hashlib
import hmac
import struct
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from control.keywrap import KeyWrapError, Wrapper, context, wrapped_length
from mixer.secret import Secret
from mixer.suites import SUITES
from tests.leaks import leaks

PLACE: Final[dict[str, Any]] = {
    "conference": "room",
    "recipient": "alice",
    "direction": "tx",
    "epoch": 7,
    "mki": "0a01",
    "suite": "AES_CM_128_HMAC_SHA1_80",
    "boot": "b00t",
}
ELSEWHERE: Final[list[tuple[str, Any]]] = [
    ("conference", "hall"),
    ("recipient", "bob"),
    ("recipient", 0),
    ("direction", "rx"),
    ("direction", "uplink"),
    ("epoch", 8),
    ("mki", "0a02"),
    ("mki", ""),
    ("boot", "b01t"),
    ("suite", "AES_CM_128_HMAC_SHA1_32"),
]
KEK: Final = bytes(range(32))
OCTETS: Final = bytes(range(100, 130))
WRAPPED: Final = "nXYQi_OANzfceZ9o8GbDalaUfyQiW9JLly9z7yfL_e_XltwDKZ2how"
"""Of OCTETS under KEK for PLACE; docs/security.md shows it to those who write a controller."""


def naive_wrap(kek: bytes, plain: bytes) -> bytes:
    """RFC 5649 section 4.1 with the words of RFC 3394 section 2.2.1, for more than eight octets."""
    cipher = Cipher(algorithms.AES(kek), modes.ECB()).encryptor()
    a = bytes.fromhex("a65959a6") + len(plain).to_bytes(4, "big")
    padded = plain + bytes(-len(plain) % 8)
    r = [padded[at : at + 8] for at in range(0, len(padded), 8)]
    for j in range(6):
        for i in range(len(r)):
            b = cipher.update(a + r[i])
            a = (int.from_bytes(b[:8], "big") ^ (len(r) * j + i + 1)).to_bytes(8, "big")
            r[i] = b[8:]
    return a + b"".join(r)


def naive_key(kek: bytes, *parts: str) -> bytes:
    """The one-use key of a message, written as the manual has it."""
    message = b"mrfp wrap v1" + b"".join(struct.pack(">I", len(p)) + p.encode("ascii") for p in parts)
    return hmac.new(kek, message, hashlib.sha256).digest()[: len(kek)]


def test_the_naive_wrap_is_that_of_the_standard() -> None:
    """RFC 5649 section 6, first example."""
    kek = bytes.fromhex("5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8")
    plain = bytes.fromhex("c37b7e6492584340bed12207808941155068f738")
    assert naive_wrap(kek, plain).hex() == "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a"


@pytest.mark.parametrize("kek", [KEK, KEK[:16]])
def test_another_implementation_makes_the_same(kek: bytes) -> None:
    leg = naive_key(kek, "room", "leg", "alice", "tx", "7", "0a01", "AES_CM_128_HMAC_SHA1_80", "b00t")
    ours = Wrapper("k", Secret(kek)).wrap(Secret(OCTETS), "AES_CM_128_HMAC_SHA1_80", context(**PLACE))
    assert ours.reveal() == naive_wrap(leg, OCTETS)
    group = naive_key(kek, "room", "group", "0", "tx", "7", "0a01", "AES_CM_128_HMAC_SHA1_80", "b00t")
    place = context(**PLACE | {"recipient": 0})
    ours = Wrapper("k", Secret(kek)).wrap(Secret(OCTETS), "AES_CM_128_HMAC_SHA1_80", place)
    assert ours.reveal() == naive_wrap(group, OCTETS)


def test_the_example_in_the_manual() -> None:
    page = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
    assert WRAPPED in page
    assert KEK.hex() in page
    assert OCTETS.hex() in page
    wrapped = Wrapper("k", Secret(KEK)).wrap(Secret(OCTETS), "AES_CM_128_HMAC_SHA1_80", context(**PLACE))
    assert wrapped.to_base64() == WRAPPED


@pytest.mark.parametrize("suite", list(SUITES))
def test_every_suite_goes_there_and_back(suite: Any) -> None:
    wrapper, place = Wrapper("k", Secret(KEK)), context(**PLACE | {"suite": suite})
    secret = Secret(bytes(range(SUITES[suite].secret)))
    wrapped = wrapper.wrap(secret, suite, place)
    assert len(wrapped) == wrapped_length(suite) in (40, 56)
    assert not leaks({"k": secret.reveal()}, wrapped.reveal())
    assert wrapper.unwrap(wrapped, suite, place) == secret


@pytest.mark.parametrize(("part", "other"), ELSEWHERE)
def test_it_unwraps_nowhere_else(part: str, other: Any) -> None:
    wrapper = Wrapper("k", Secret(KEK))
    place, elsewhere = context(**PLACE), context(**PLACE | {part: other})
    wrapped = wrapper.wrap(Secret(OCTETS), "AES_CM_128_HMAC_SHA1_80", place)
    assert wrapper.unwrap(wrapped, "AES_CM_128_HMAC_SHA1_80", place).reveal() == OCTETS
    with pytest.raises(KeyWrapError, match="wrap it anew") as refused:
        wrapper.unwrap(wrapped, "AES_CM_128_HMAC_SHA1_80", elsewhere)
    assert refused.value.__suppress_context__
    assert not leaks({"k": OCTETS, "w": wrapped.reveal(), "kek": KEK}, repr(refused.value))


def test_it_unwraps_under_no_other_key() -> None:
    place = context(**PLACE)
    wrapped = Wrapper("k", Secret(KEK)).wrap(Secret(OCTETS), "AES_CM_128_HMAC_SHA1_80", place)
    for other in (KEK[:16], KEK[::-1]):
        with pytest.raises(KeyWrapError, match="wrap it anew"):
            Wrapper("k", Secret(other)).unwrap(wrapped, "AES_CM_128_HMAC_SHA1_80", place)


@given(st.integers(0, 40 * 8 - 1))
def test_a_changed_bit_is_noticed(bit: int) -> None:
    wrapper, place = Wrapper("k", Secret(KEK)), context(**PLACE)
    octets = bytearray(wrapper.wrap(Secret(OCTETS), "AES_CM_128_HMAC_SHA1_80", place).reveal())
    octets[bit // 8] ^= 1 << bit % 8
    with pytest.raises(KeyWrapError, match="wrap it anew"):
        wrapper.unwrap(Secret(octets), "AES_CM_128_HMAC_SHA1_80", place)


@given(st.binary(max_size=100))
def test_noise_is_refused(octets: bytes) -> None:
    with pytest.raises(KeyWrapError) as refused:
        Wrapper("k", Secret(KEK)).unwrap(Secret(octets), "AES_CM_128_HMAC_SHA1_80", context(**PLACE))
    assert ("wrap it anew" in str(refused.value)) == (len(octets) == 40)


NAMES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=4)


@given(*[st.tuples(NAMES, NAMES | st.integers(0, 9), st.sampled_from(["rx", "tx", "uplink"]), NAMES)] * 2)
def test_two_places_are_never_one(one: tuple[Any, ...], two: tuple[Any, ...]) -> None:
    """Whatever names people choose, `a` and `bc` is not `ab` and `c`."""
    first, second = (
        context(conference=a, recipient=b, direction=c, epoch=1, mki="", suite="AEAD_AES_128_GCM", boot=d)
        for a, b, c, d in (one, two)
    )
    assert (first == second) == (one == two)


def test_a_short_key_hides_no_long_one() -> None:
    wrapper = Wrapper("k", Secret(KEK[:16]))
    for suite in ("AES_256_CM_HMAC_SHA1_80", "AEAD_AES_256_GCM"):
        with pytest.raises(KeyWrapError, match="of 32 octets"):
            wrapper.wrap(Secret(bytes(range(SUITES[suite].secret))), suite, context(**PLACE))


def test_a_kek_has_the_length_of_one() -> None:
    for length in (0, 15, 24, 33):
        with pytest.raises(KeyWrapError, match="16 or 32 octets"):
            Wrapper("k", Secret(bytes(length)))


def test_a_wrapper_shows_its_name_only() -> None:
    wrapper = Wrapper("focus", Secret(KEK))
    assert repr(wrapper) == str(wrapper) == "<Wrapper focus>"
    assert wrapper.name == "focus"
