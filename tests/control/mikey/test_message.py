"""Octets of messages: round trips are exact, and whatever is no message is Malformed and nothing else."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.mikey.errors import Malformed
from control.mikey.header import EmptyMap, GenericSession, Header, SrtpMap, SrtpSession
from control.mikey.keydata import Kemac, KeyData, Spi, read_keys, write_keys
from control.mikey.message import MAX_OCTETS, MAX_PAYLOADS, Message, decode, read_data, write_data
from control.mikey.numbers import DataType, KeyType, MacAlg, PayloadType, TsType
from control.mikey.payloads import Identity, Payload, Rand, RoleTimestamp, Timestamp, Verification
from control.mikey.policy import policy_of
from mixer.secret import Secret
from tests.control.mikey import samples

T = TypeVar("T")


@given(samples.messages)
def test_round_trip(message: Message) -> None:
    octets = message.encode()
    assert decode(octets) == message
    assert decode(octets).encode() == octets


@given(st.lists(samples.keys, max_size=5))
def test_keys_round_trip(keys: list[KeyData]) -> None:
    assert list(read_keys(write_keys(keys))) == keys


@given(st.lists(samples.payloads, max_size=5))
def test_nested_chain_round_trip(payloads: list[Payload]) -> None:
    assert list(read_data(write_data(payloads))) == payloads


def test_layout_of_a_pre_shared_key_message() -> None:
    """Octet by octet, as RFC 3830 section 6 draws them."""
    message = Message(
        Header(DataType.PSK, 0x01020304, SrtpMap((SrtpSession(7, 0x11223344, 5),)), verify=True),
        (
            Timestamp(0xA1A2A3A4A5A6A7A8),
            Rand(bytes(range(16))),
            Identity(b"me@here", 0),
            Kemac(b"sealed", 1, MacAlg.HMAC_SHA_1_160, b"m" * 20),
        ),
    )
    assert message.encode() == b"".join(
        (
            bytes.fromhex("01 00 05 80 01020304 01 00  07 11223344 00000005"),
            bytes.fromhex("0b 00 a1a2a3a4a5a6a7a8"),
            bytes.fromhex("06 10 000102030405060708090a0b0c0d0e0f"),
            bytes.fromhex("01 00 0007") + b"me@here",
            bytes.fromhex("00 01 0006") + b"sealed" + b"\x01" + b"m" * 20,
        )
    )


def test_layout_of_key_data() -> None:
    """RFC 3830 sections 6.13 and 6.14: type and validity share an octet; the salt stands before the SPI."""
    tek = KeyData(KeyType.TEK_SALT, Secret(b"k" * 3), Secret(b"s" * 2), Spi(b"\0\0\0\2"))
    gtgk = KeyData(KeyType.GTGK, Secret(b"g"))
    assert write_keys((tek, gtgk)) == bytes.fromhex("14 31 0003 6b6b6b 0002 7373 04 00000002  00 40 0001 67")


def test_layout_of_a_generic_map() -> None:
    """RFC 6043 section 6.1.1."""
    session = GenericSession.of_srtp(1, 2, ssrc=0x11223344, roc=5, seq=0x0607, mki=b"\0\0\0\2")
    assert session.body() == bytes.fromhex("01 00 81 02 000a 11223344 00000005 0607 04 00000002")
    assert session.stream() == (0x11223344, 5, 0x0607)
    assert GenericSession(1, (0,), bytes.fromhex("11223344")).stream() == (0x11223344, 0, 0)
    with pytest.raises(Malformed):
        GenericSession(1, (0,), b"\1\2\3").stream()


def test_layout_of_a_role_timestamp() -> None:
    """RFC 6043 section 6.4."""
    assert RoleTimestamp(3, 0x01020304).body() == bytes.fromhex("03 03 01020304")


@pytest.mark.parametrize(
    ("timestamp", "wide"),
    [
        (Timestamp(5, TsType.COUNTER), 5),
        (Timestamp(5, TsType.NTP_UTC), 5),
        (Timestamp(5, TsType.NTP_UTC_32), 5 << 32),
    ],
)
def test_timestamps_in_64_bits(timestamp: Timestamp, wide: int) -> None:
    """RFC 3830 section 6.6: COUNTER is padded in front. RFC 6043 section 6.3: NTP-UTC-32 behind."""
    assert timestamp.wide == wide


VALID = Message(
    Header(DataType.PSK, 1, SrtpMap((SrtpSession(0, 2, 3),))),
    (Timestamp(1), Rand(bytes(16)), policy_of("AEAD_AES_256_GCM"), Kemac(b"x" * 40, 1, 1, b"m" * 20)),
).encode()


def test_every_cut_is_refused() -> None:
    for end in range(len(VALID)):
        with pytest.raises(Malformed):
            decode(VALID[:end])


def test_octets_behind_the_end_are_refused() -> None:
    with pytest.raises(Malformed, match="1 octets are left over"):
        decode(VALID + b"\0")


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (b"", "cut short"),
        (b"\x02" + VALID[1:], "version 2"),
        (b"\x01\x00\x00\x00\x00\x00\x00\x01\x00\x07", "unknown type 7"),
        (b"\x01\x00\x00\x00\x00\x00\x00\x01\x01\x01", "empty map counts 1"),
        (b"\x01\x00\x02\x00\x00\x00\x00\x01\x00\x01\x00", "payload type 2 is unknown"),
        (b"\x01\x00\x14\x00\x00\x00\x00\x01\x00\x01\x00", "payload type 20 is unknown"),
        (b"\x01\x00\x05\x00\x00\x00\x00\x01\x00\x01\x00\x09", "timestamp type 9"),
        (b"\x01\x00\x09\x00\x00\x00\x00\x01\x00\x01\x00\x09", "MAC algorithm 9"),
        (b"\x01\x00\x0c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x00\x01", "reserved octets"),
        (bytes(MAX_OCTETS + 1), f"{MAX_OCTETS + 1} octets"),
    ],
)
def test_what_is_wrong_is_said(octets: bytes, words: str) -> None:
    with pytest.raises(Malformed, match=words):
        decode(octets)


def test_a_chain_without_end_is_cut_off() -> None:
    endless = Message(Header(DataType.PSK, 1), (Rand(b""),) * (MAX_PAYLOADS + 1)).encode()
    with pytest.raises(Malformed, match="more than"):
        decode(endless)


@pytest.mark.parametrize(
    "octets",
    [
        b"\x14\x00\x00\x01k",  # promises a second key
        b"\x05\x00\x00\x01k\x00",  # followed by no key
        b"\x00\x00\x00\x01k!",  # octets behind it
        b"\x00\x70\x00\x01k",  # key type 7
        b"\x00\x03\x00\x01k",  # validity 3
        b"\x00\x00\x00\x00",  # no key at all
        b"\x00\x10\x00\x01k\x00\x00",  # a salt of nothing
    ],
)
def test_what_is_no_key(octets: bytes) -> None:
    with pytest.raises(Malformed):
        read_keys(octets)


def test_salts_go_with_salted_types_only() -> None:
    with pytest.raises(Malformed):
        KeyData(KeyType.TGK, Secret(b"k"), Secret(b"s"))
    with pytest.raises(Malformed):
        KeyData(KeyType.TEK_SALT, Secret(b"k"))


@pytest.mark.parametrize(
    "message",
    [
        Message(Header(DataType.PSK, 1 << 32), ()),
        Message(Header(DataType.PSK, 1, SrtpMap((SrtpSession(256, 0, 0),))), ()),
        Message(Header(DataType.PSK, 1, SrtpMap((SrtpSession(0, 0, 0),) * 256)), ()),
        Message(Header(DataType.PSK, 1), (Rand(bytes(256)),)),
        Message(Header(DataType.PSK, 1), (Identity(bytes(0x10000)),)),
        Message(Header(DataType.PSK, 1), (Identity(bytes(0xFFFF)), Identity(bytes(0xFFFF)))),
        Message(Header(DataType.PSK, 1), (Timestamp(1 << 64),)),
        Message(Header(DataType.PSK, 1), (Timestamp(-1),)),
        Message(Header(DataType.PSK, 1), (Timestamp(1, 77),)),
        Message(Header(DataType.PSK, 1), (Verification(256, b""),)),
        Message(Header(DataType.PSK, 1), (policy_of("AEAD_AES_128_GCM", 256),)),
    ],
)
def test_values_that_do_not_fit_are_not_sent(message: Message) -> None:
    with pytest.raises(Malformed):
        message.encode()


def test_one_and_maybe() -> None:
    message = Message(Header(DataType.PSK, 1, EmptyMap()), (Rand(b"a"), Rand(b"b"), Timestamp(1)))
    assert message.one(Timestamp).value == 1
    assert message.maybe(Identity) is None
    with pytest.raises(Malformed, match="2 payloads of the kind RAND"):
        message.maybe(Rand)


@given(st.binary(max_size=300))
def test_fuzz(octets: bytes) -> None:
    _read_all(octets)


@given(st.binary(max_size=300), st.integers(0, 21))
def test_fuzz_behind_a_good_header(octets: bytes, first: int) -> None:
    _read_all(struct.pack(">BBBBIBB", 1, 0, first, 0, 7, 0, 1) + octets)


@given(samples.messages.map(Message.encode).flatmap(samples.spoiled))
def test_fuzz_spoiled(octets: bytes) -> None:
    _read_all(octets)


def _read_all(octets: bytes) -> None:
    """Whatever is read is written again as it was; whatever is not is a MikeyError."""
    message = _unless_malformed(decode, octets)
    assert message is None or message.encode() == octets
    keys = _unless_malformed(read_keys, octets)
    assert keys is None or write_keys(keys) == octets
    payloads = _unless_malformed(read_data, octets)
    assert payloads is None or write_data(payloads) == octets


def _unless_malformed(read: Callable[[bytes], T], octets: bytes) -> T | None:
    try:
        return read(octets)
    except Malformed:
        return None


def test_keys_never_show() -> None:
    key = KeyData(KeyType.TEK_SALT, Secret(b"KEYKEYKEY"), Secret(b"SALTSALT"), Spi(b"\1"))
    clear = write_keys((key,))
    kemac = Kemac(clear, 0, 0)
    message = Message(Header(DataType.PSK, 1), (kemac,))
    for value in (key, kemac, message, decode(message.encode())):
        for text in (repr(value), str(value), f"{value}"):
            assert "KEYKEY" not in text
            assert "SALTSALT" not in text
            assert b"KEYKEY".hex() not in text


def test_payload_types_are_those_of_iana() -> None:
    assert (PayloadType.TP, PayloadType.TICKET, PayloadType.TR) == (16, 17, 13)
