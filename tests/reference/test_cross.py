"""The reference and libsrtp read each other, in every suite that pylibsrtp offers by name.

AES-256-CM is not among them: `tests/mixer` checks it through `mixer.srtp`, GStreamer from outside.
"""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pylibsrtp import Error, Policy, Session

from tests.reference.srtp import SUITES, Context, Refused

PROFILES = {
    "AES_CM_128_HMAC_SHA1_80": Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    "AES_CM_128_HMAC_SHA1_32": Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
    "AEAD_AES_128_GCM": Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    "AEAD_AES_256_GCM": Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}
every_suite = pytest.mark.parametrize("suite", PROFILES)


def secret_of(suite: str) -> bytes:
    """A key that looks like no other and repeats in every run."""
    return bytes((7 * i + 3) % 256 for i in range(SUITES[suite].key + SUITES[suite].salt))


def rtp(sequence: int, *, ssrc: int = 0xCAFE, csrcs: int = 0, extension: bytes = b"", payload: bytes) -> bytes:
    """An RTP packet; `extension` is a body of whole words."""
    first = 0x80 | csrcs | (0x10 if extension else 0)
    header = struct.pack("!BBHII", first, 8, sequence, 160 * sequence, ssrc)
    header += b"".join(struct.pack("!I", 0xC0 + n) for n in range(csrcs))
    if extension:
        header += struct.pack("!HH", 0xBEDE, len(extension) // 4) + extension
    return header + payload


def sender(suite: str) -> Session:
    return Session(Policy(secret_of(suite), Policy.SSRC_ANY_OUTBOUND, srtp_profile=PROFILES[suite]))


def receiver(suite: str) -> Session:
    return Session(Policy(secret_of(suite), Policy.SSRC_ANY_INBOUND, srtp_profile=PROFILES[suite]))


def report(ssrc: int, count: int) -> bytes:
    """A sender report without blocks, `count` in place of its packet count."""
    return struct.pack("!BBHIQIII", 0x80, 200, 6, ssrc, 0x1122334455667788, 0, count, 160 * count)


@every_suite
@given(
    sequence=st.integers(0, 0x7FFF),
    csrcs=st.integers(0, 15),
    words=st.integers(0, 3),
    payload=st.binary(max_size=400),
)
def test_both_ways(suite: str, sequence: int, csrcs: int, words: int, payload: bytes) -> None:
    clear = rtp(sequence, csrcs=csrcs, extension=b"\x10\x7f\0\0" * words, payload=payload)
    theirs = sender(suite).protect(clear)
    assert Context(suite, secret_of(suite)).protect(clear) == theirs
    assert Context(suite, secret_of(suite)).unprotect(theirs) == clear
    assert receiver(suite).unprotect(theirs) == clear


@every_suite
def test_rollover_is_followed_alike(suite: str) -> None:
    """Two wraps, in leaps that a receiver can still follow: every packet the same on both sides."""
    ours, libsrtp = Context(suite, secret_of(suite)), sender(suite)
    reader = Context(suite, secret_of(suite))
    for step in range(12):
        clear = rtp((1000 + step * 0x3000) % 0x10000, payload=bytes([step] * 20))
        packet = libsrtp.protect(clear)
        assert ours.protect(clear) == packet
        assert reader.unprotect(packet) == clear
    assert ours.stream(0xCAFE).roc == reader.stream(0xCAFE).roc == 2


@every_suite
def test_a_late_joiner_must_know_the_rollover_counter(suite: str) -> None:
    packet = Context(suite, secret_of(suite), roc=3).protect(rtp(77, payload=b"late"))
    assert Context(suite, secret_of(suite), roc=3).unprotect(packet) == rtp(77, payload=b"late")
    with pytest.raises(Refused, match="not authentic"):
        Context(suite, secret_of(suite)).unprotect(packet)
    with pytest.raises(Error):
        receiver(suite).unprotect(packet)


@every_suite
def test_reordering_around_a_wrap(suite: str) -> None:
    libsrtp, reader = sender(suite), Context(suite, secret_of(suite))
    clear = {sequence: rtp(sequence, payload=b"x") for sequence in (65534, 65535, 0, 1)}
    wire = {sequence: libsrtp.protect(packet) for sequence, packet in clear.items()}
    for sequence in (65534, 0, 65535, 1):
        assert reader.unprotect(wire[sequence]) == clear[sequence]


@every_suite
@pytest.mark.parametrize("mki", [b"\x07", b"\0\x01", b"\xde\xad\xbe\xef"], ids=bytes.hex)
def test_mki_stands_where_the_rfcs_put_it(suite: str, mki: bytes) -> None:
    """Before the tag in RFC 3711, at the very end in RFC 7714; never authenticated, so spliceable."""
    clear = rtp(5, payload=b"which key?")
    bare = sender(suite).protect(clear)
    tag = SUITES[suite].rtp_tag
    spliced = bare + mki if SUITES[suite].aead else bare[:-tag] + mki + bare[-tag:]
    assert Context(suite, secret_of(suite), mki=mki).protect(clear) == spliced
    assert Context(suite, secret_of(suite), mki=mki).unprotect(spliced) == clear
    with pytest.raises(Refused, match="MKI"):
        Context(suite, secret_of(suite), mki=bytes(len(mki))).unprotect(spliced)


@every_suite
def test_rtcp_both_ways(suite: str) -> None:
    ours, theirs = Context(suite, secret_of(suite)), sender(suite)
    reader, their_reader = Context(suite, secret_of(suite)), receiver(suite)
    for count in range(3):
        clear = report(0xCAFE, count)
        packet = theirs.protect_rtcp(clear)
        assert ours.protect_rtcp(clear) == packet
        assert reader.unprotect_rtcp(packet) == clear
        assert their_reader.unprotect_rtcp(packet) == clear


@every_suite
@pytest.mark.parametrize("mki", [b"\x07", b"\xde\xad\xbe\xef"], ids=bytes.hex)
def test_mki_in_rtcp(suite: str, mki: bytes) -> None:
    clear = report(0xCAFE, 9)
    bare = sender(suite).protect_rtcp(clear)
    tag = SUITES[suite].rtcp_tag
    spliced = bare + mki if SUITES[suite].aead else bare[:-tag] + mki + bare[-tag:]
    assert Context(suite, secret_of(suite), mki=mki).protect_rtcp(clear) == spliced
    assert Context(suite, secret_of(suite), mki=mki).unprotect_rtcp(spliced) == clear


@every_suite
def test_forged_replayed_and_short_packets_are_refused(suite: str) -> None:
    reader = Context(suite, secret_of(suite))
    packet = sender(suite).protect(rtp(1, payload=b"once"))
    forged = packet[:-1] + bytes([packet[-1] ^ 1])
    with pytest.raises(Refused, match="not authentic"):
        reader.unprotect(forged)
    reader.unprotect(packet)
    with pytest.raises(Refused, match="seen before"):
        reader.unprotect(packet)
    with pytest.raises(Refused, match="too short"):
        reader.unprotect(packet[:12])
    with pytest.raises(Refused, match="too short"):
        reader.unprotect_rtcp(packet[:12])


def test_rtcp_in_clear_is_refused() -> None:
    suite = "AES_CM_128_HMAC_SHA1_80"
    packet = bytearray(sender(suite).protect_rtcp(report(1, 1)))
    packet[-14] &= 0x7F
    with pytest.raises(Refused, match="in clear"):
        Context(suite, secret_of(suite)).unprotect_rtcp(bytes(packet))


def test_a_key_of_the_wrong_length_is_an_error() -> None:
    with pytest.raises(ValueError, match="16 \\+ 12 octets, not 30"):
        Context("AEAD_AES_128_GCM", bytes(30))
