"""a=crypto, read strictly: each rule of RFC 4568 with a line that breaks it."""

from __future__ import annotations

import pytest

from control.sdp.crypto import CryptoError, CryptoLine, InlineKey, acceptable_lines, format_crypto, parse_crypto
from mixer.secret import Secret
from mixer.suites import SUITES, SuiteName
from tests.control.sdp.bodies import CM_80, material, octets

ONE = material(seed=1)
TWO = material(seed=2)


def line(rest: str, suite: str = CM_80, tag: str = "1") -> str:
    return f"{tag} {suite} {rest}"


@pytest.mark.parametrize("name", SUITES)
def test_each_suite_with_its_length(name: SuiteName) -> None:
    length = SUITES[name].secret
    read = parse_crypto(line(f"inline:{material(length)}", name))
    assert read == CryptoLine(1, name, (InlineKey(Secret(octets(length))),))
    for wrong in (length - 1, length + 1, 16):
        with pytest.raises(CryptoError, match="octets"):
            parse_crypto(line(f"inline:{material(wrong)}", name))


@pytest.mark.parametrize(
    ("rest", "lifetime", "mki"),
    [
        ("", None, b""),
        ("|2^20", 1 << 20, b""),
        ("|2^48", 1 << 48, b""),
        ("|1048575", 1048575, b""),
        ("|281474976710656", 1 << 48, b""),
        ("|1:4", None, b"\0\0\0\1"),
        ("|2^31|1:1", 1 << 31, b"\1"),
        ("|2^31|4294967295:4", 1 << 31, b"\xff\xff\xff\xff"),
        ("|0:2", None, b"\0\0"),
    ],
)
def test_lifetime_and_mki(rest: str, lifetime: int | None, mki: bytes) -> None:
    (key,) = parse_crypto(line(f"inline:{ONE}{rest}")).keys
    assert (key.lifetime, key.mki) == (lifetime, mki)


def test_several_keys_are_told_apart_by_mki() -> None:
    read = parse_crypto(line(f"inline:{ONE}|2^20|1:4;inline:{TWO}|2^20|2:4 WSH=128 -hint FEC_ORDER=FEC_SRTP"))
    assert [key.mki for key in read.keys] == [b"\0\0\0\1", b"\0\0\0\2"]
    assert read.params == ("WSH=128", "-hint", "FEC_ORDER=FEC_SRTP")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "1",
        f"1 {CM_80}",
        f"x {CM_80} inline:{ONE}",
        f"01 {CM_80} inline:{ONE}",
        f"1234567890 {CM_80} inline:{ONE}",
        f"1 AES_CM_128_HMAC_SHA1_81 inline:{ONE}",
        f"1 {CM_80.lower()} inline:{ONE}",
        f"1 F8_128_HMAC_SHA1_80 inline:{ONE}",
        line(f"outline:{ONE}"),
        line(ONE),
        line("inline:"),
        line(f"inline:{ONE[:-1]}"),
        line(f"inline:{ONE[:-1]}-"),
        line(f"inline:{ONE}=="),
        line(f"inline:{material(46)[:-3]}B==", "AES_256_CM_HMAC_SHA1_80"),
        line(f"inline:{material(46)[:-2]}", "AES_256_CM_HMAC_SHA1_80"),
        line("inline:" + "A" * 40),
        line(f"inline:{ONE}|"),
        line(f"inline:{ONE}|0"),
        line(f"inline:{ONE}|2^0x"),
        line(f"inline:{ONE}|2^49"),
        line(f"inline:{ONE}|2^999999999999999"),
        line(f"inline:{ONE}|281474976710657"),
        line(f"inline:{ONE}|" + "9" * 5000),
        line(f"inline:{ONE}|1:4|2^20"),
        line(f"inline:{ONE}|2^20|2^20"),
        line(f"inline:{ONE}|2^20|1:4|1:4"),
        line(f"inline:{ONE}|1:0"),
        line(f"inline:{ONE}|1:5"),
        line(f"inline:{ONE}|1:128"),
        line(f"inline:{ONE}|256:1"),
        line(f"inline:{ONE}|-1:1"),
        line(f"inline:{ONE}|1:1:1"),
        line(f"inline:{ONE};inline:{TWO}"),
        line(f"inline:{ONE}|1:4;inline:{TWO}"),
        line(f"inline:{ONE}|1:4;inline:{TWO}|2:2"),
        line(f"inline:{ONE}|1:4;inline:{TWO}|1:4"),
        line(f"inline:{ONE}|1:4;inline:{ONE}|2:4"),
        line(f"inline:{ONE}|1:4;"),
        line(f"inline:{ONE} KDR=1"),
        line(f"inline:{ONE} UNENCRYPTED_SRTP"),
        line(f"inline:{ONE} UNENCRYPTED_SRTCP"),
        line(f"inline:{ONE} UNAUTHENTICATED_SRTP"),
        line(f"inline:{ONE} FEC_KEY=inline:{TWO}"),
        line(f"inline:{ONE} FEC_ORDER=BOTH"),
        line(f"inline:{ONE} WSH=63"),
        line(f"inline:{ONE} WSH=many"),
        line(f"inline:{ONE} NEW"),
    ],
)
def test_a_line_that_breaks_a_rule_is_not_acceptable(value: str) -> None:
    with pytest.raises(CryptoError) as refused:
        parse_crypto(value)
    assert ONE[:12] not in str(refused.value)
    assert acceptable_lines([value]) == []


def test_keys_without_mki_are_told_what_they_lack() -> None:
    with pytest.raises(CryptoError, match="need an MKI each"):
        parse_crypto(line(f"inline:{ONE};inline:{TWO}"))


def test_a_bad_line_does_not_spoil_its_neighbours() -> None:
    lines = acceptable_lines([f"1 NEW_SUITE inline:{ONE}", f"2 {CM_80} inline:{TWO}"])
    assert [each.tag for each in lines] == [2]


def test_a_tag_that_occurs_twice_names_no_line() -> None:
    values = [f"1 {CM_80} inline:{ONE}", f"1 NEW_SUITE inline:{TWO}", f"2 {CM_80} inline:{TWO}"]
    assert [each.tag for each in acceptable_lines(values)] == [2]


@pytest.mark.parametrize("rest", ["", "|2^20", "|1000", "|7:4", "|2^31|7:1", f"|2^31|1:4;inline:{TWO}|2^31|2:4"])
def test_what_is_read_is_written_alike(rest: str) -> None:
    value = line(f"inline:{ONE}{rest}", tag="9")
    assert format_crypto(parse_crypto(value)) == value


@pytest.mark.parametrize(
    "keys",
    [
        (),
        (InlineKey(Secret(octets(16))),),
        (InlineKey(Secret(octets(30))), InlineKey(Secret(octets(30, 2)))),
    ],
)
def test_nothing_is_written_that_would_not_be_read(keys: tuple[InlineKey, ...]) -> None:
    with pytest.raises(CryptoError):
        format_crypto(CryptoLine(1, "AES_CM_128_HMAC_SHA1_80", keys))
