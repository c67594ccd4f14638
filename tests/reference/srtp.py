"""SRTP and SRTCP written from the RFCs on top of `cryptography`: the judge of `mixer/srtp.py`.

Knows: RFC 3711 (AES-CM, HMAC-SHA1, key derivation, rollover counter, MKI), RFC 6188 (AES-256-CM) and
RFC 7714 (AEAD AES-GCM). Must never know: libsrtp, or anything of the mixer. Written to be read beside
the RFCs, one packet at a time; speed is of no interest here.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

RTP_ENCRYPTION, RTP_AUTHENTICATION, RTP_SALTING = 0, 1, 2
RTCP_ENCRYPTION, RTCP_AUTHENTICATION, RTCP_SALTING = 3, 4, 5
ENCRYPTED: Final = 0x8000_0000
"""The E bit of the word that follows an SRTCP packet (RFC 3711 section 3.4)."""


class Refused(Exception):
    """The packet is not authentic, was seen before, or names a key that we do not hold."""


@dataclass(frozen=True)
class Suite:
    """Octets of master key, master salt and tags. `aead` tells RFC 7714 from RFC 3711."""

    key: int
    salt: int
    rtp_tag: int
    rtcp_tag: int
    aead: bool = False


SUITES: Final = {
    "AES_CM_128_HMAC_SHA1_80": Suite(16, 14, 10, 10),
    "AES_CM_128_HMAC_SHA1_32": Suite(16, 14, 4, 10),
    "AES_256_CM_HMAC_SHA1_80": Suite(32, 14, 10, 10),
    "AEAD_AES_128_GCM": Suite(16, 12, 16, 16, aead=True),
    "AEAD_AES_256_GCM": Suite(32, 12, 16, 16, aead=True),
}


def keystream(key: bytes, iv: bytes, length: int) -> bytes:
    """AES in counter mode over zeros (RFC 3711 section 4.1.1)."""
    return Cipher(AES(key), CTR(iv)).encryptor().update(bytes(length))


def derive(key: bytes, salt: bytes, label: int, length: int) -> bytes:
    """Session key material for `label`, key derivation rate 0 (RFC 3711 section 4.3.1, RFC 6188).

    The 96-bit salt of RFC 7714 is padded on the right to the 112 bits that the function takes.
    """
    x = int.from_bytes(salt.ljust(14, b"\0")) ^ (label << 48)
    return keystream(key, (x << 16).to_bytes(16), length)


def counter_iv(salt: bytes, ssrc: int, index: int) -> bytes:
    """The initial counter block of AES-CM (RFC 3711 section 4.1.1); `index` is 48 or 31 bits."""
    return ((int.from_bytes(salt) << 16) ^ (ssrc << 64) ^ (index << 16)).to_bytes(16)


def gcm_iv(salt: bytes, ssrc: int, index: int) -> bytes:
    """The nonce of AES-GCM (RFC 7714 sections 8.1 and 9.1): the SSRC and the index, salted."""
    return (int.from_bytes(salt) ^ (ssrc << 48) ^ index).to_bytes(12)


def header_length(packet: bytes) -> int:
    """Octets of the RTP header, with its CSRCs and extension (RFC 3550 section 5.1)."""
    length = 12 + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10:
        length += 4 + 4 * int(struct.unpack_from("!H", packet, length + 2)[0])
    return length


class Transform:
    """One session key set, for RTP or for RTCP: what turns clear octets into protected ones."""

    def __init__(self, suite: Suite, key: bytes, auth: bytes, salt: bytes, tag: int) -> None:
        self.suite, self.key, self.auth, self.salt, self.tag = suite, key, auth, salt, tag

    def seal(self, clear: bytes, secret: bytes, ssrc: int, index: int, suffix: bytes) -> tuple[bytes, bytes]:
        """Encrypt `secret`. Returns ciphertext and tag; `clear` and `suffix` are authenticated only."""
        if self.suite.aead:
            sealed = AESGCM(self.key).encrypt(gcm_iv(self.salt, ssrc, index), secret, clear + suffix)
            return sealed[: -self.tag], sealed[-self.tag :]
        ciphertext = self._xor(secret, ssrc, index)
        return ciphertext, self._mac(clear + ciphertext + suffix)

    def open(self, clear: bytes, ciphertext: bytes, tag: bytes, ssrc: int, index: int, suffix: bytes) -> bytes:
        """Decrypt, or raise `Refused`."""
        if self.suite.aead:
            try:
                nonce = gcm_iv(self.salt, ssrc, index)
                return AESGCM(self.key).decrypt(nonce, ciphertext + tag, clear + suffix)
            except InvalidTag:
                raise Refused("not authentic") from None
        if not hmac.compare_digest(tag, self._mac(clear + ciphertext + suffix)):
            raise Refused("not authentic")
        return self._xor(ciphertext, ssrc, index)

    def _xor(self, octets: bytes, ssrc: int, index: int) -> bytes:
        stream = keystream(self.key, counter_iv(self.salt, ssrc, index), len(octets))
        return bytes(a ^ b for a, b in zip(octets, stream, strict=True))

    def _mac(self, octets: bytes) -> bytes:
        return hmac.new(self.auth, octets, hashlib.sha1).digest()[: self.tag]


@dataclass
class Stream:
    """What a context remembers of one SSRC."""

    roc: int
    highest: int | None = None
    """The highest sequence number so far, of this rollover count."""
    rtcp_index: int = 0


class Context:
    """One direction under one master key, for any number of SSRCs.

    Args:
        suite: a name of `SUITES`.
        secret: master key || master salt.
        mki: octets that name the key in every packet, or none.
        roc: rollover counter at which a stream not yet seen begins.
    """

    def __init__(self, suite: str, secret: bytes, *, mki: bytes = b"", roc: int = 0) -> None:
        self.suite = kind = SUITES[suite]
        if len(secret) != kind.key + kind.salt:
            raise ValueError(f"{suite} takes {kind.key} + {kind.salt} octets, not {len(secret)}")
        key, salt = secret[: kind.key], secret[kind.key :]
        self.rtp = Transform(
            kind,
            derive(key, salt, RTP_ENCRYPTION, kind.key),
            derive(key, salt, RTP_AUTHENTICATION, 20),
            derive(key, salt, RTP_SALTING, kind.salt),
            kind.rtp_tag,
        )
        self.rtcp = Transform(
            kind,
            derive(key, salt, RTCP_ENCRYPTION, kind.key),
            derive(key, salt, RTCP_AUTHENTICATION, 20),
            derive(key, salt, RTCP_SALTING, kind.salt),
            kind.rtcp_tag,
        )
        self.mki = mki
        self.roc = roc
        self.streams: dict[int, Stream] = {}
        self.seen: set[tuple[str, int, int]] = set()

    def stream(self, ssrc: int) -> Stream:
        """The state of an SSRC, made on first use."""
        return self.streams.setdefault(ssrc, Stream(self.roc))

    # -- RTP

    def protect(self, packet: bytes) -> bytes:
        """RTP to SRTP. The sequence number may leap ahead by less than 2^15, and wraps the ROC."""
        sequence, ssrc = _sequence(packet), _ssrc(packet, 8)
        stream = self.stream(ssrc)
        roc = _guess(stream, sequence)
        _advance(stream, roc, sequence)
        length = header_length(packet)
        header = packet[:length]
        index = roc << 16 | sequence
        suffix = b"" if self.suite.aead else struct.pack("!I", roc)
        ciphertext, tag = self.rtp.seal(header, packet[length:], ssrc, index, suffix)
        if self.suite.aead:
            return header + ciphertext + tag + self.mki
        return header + ciphertext + self.mki + tag

    def unprotect(self, packet: bytes) -> bytes:
        """SRTP to RTP.

        Raises:
            Refused: if the packet is not authentic under this key, or came before.
        """
        length = header_length(packet) if len(packet) >= 12 else len(packet)
        if len(packet) < length + len(self.mki) + self.suite.rtp_tag:
            raise Refused("too short")
        header, rest = packet[:length], packet[length:]
        ciphertext, mki, tag = self._split_rtp(rest)
        self._check_mki(mki)
        sequence, ssrc = _sequence(packet), _ssrc(packet, 8)
        stream = self.stream(ssrc)
        roc = _guess(stream, sequence)
        index = roc << 16 | sequence
        suffix = b"" if self.suite.aead else struct.pack("!I", roc)
        payload = self.rtp.open(header, ciphertext, tag, ssrc, index, suffix)
        self._check_replay("rtp", ssrc, index)
        _advance(stream, roc, sequence)
        return header + payload

    def _split_rtp(self, rest: bytes) -> tuple[bytes, bytes, bytes]:
        """Ciphertext, MKI and tag of what follows the header: their order depends on the suite."""
        tag, mki = self.suite.rtp_tag, len(self.mki)
        end = len(rest) - tag - mki
        if self.suite.aead:  # RFC 7714 section 8.2: the tag is part of the ciphertext
            return rest[:end], rest[end + tag :], rest[end : end + tag]
        return rest[:end], rest[end : end + mki], rest[end + mki :]

    # -- RTCP

    def protect_rtcp(self, packet: bytes, *, index: int | None = None) -> bytes:
        """RTCP to SRTCP. The index counts from 1, as libsrtp's does, unless given."""
        ssrc = _ssrc(packet, 4)
        stream = self.stream(ssrc)
        stream.rtcp_index = stream.rtcp_index + 1 if index is None else index
        word = struct.pack("!I", ENCRYPTED | stream.rtcp_index)
        ciphertext, tag = self.rtcp.seal(packet[:8], packet[8:], ssrc, stream.rtcp_index, word)
        if self.suite.aead:
            return packet[:8] + ciphertext + tag + word + self.mki
        return packet[:8] + ciphertext + word + self.mki + tag

    def unprotect_rtcp(self, packet: bytes) -> bytes:
        """SRTCP to RTCP.

        Raises:
            Refused: if the packet is not authentic under this key, in clear, or came before.
        """
        tag_length, mki_length = self.suite.rtcp_tag, len(self.mki)
        if len(packet) < 8 + 4 + tag_length + mki_length:
            raise Refused("too short")
        if self.suite.aead:  # RFC 7714 section 9.3: ciphertext, tag, word, MKI
            body, mki = packet[: len(packet) - mki_length], packet[len(packet) - mki_length :]
            body, word = body[:-4], body[-4:]
            body, tag = body[:-tag_length], body[-tag_length:]
        else:  # RFC 3711 figure 2: ciphertext, word, MKI, tag
            body, tag = packet[:-tag_length], packet[-tag_length:]
            body, mki = body[: len(body) - mki_length], body[len(body) - mki_length :]
            body, word = body[:-4], body[-4:]
        self._check_mki(mki)
        flagged = int.from_bytes(word)
        if not flagged & ENCRYPTED:
            raise Refused("SRTCP in clear")
        index, ssrc = flagged & ~ENCRYPTED, _ssrc(packet, 4)
        payload = self.rtcp.open(body[:8], body[8:], tag, ssrc, index, word)
        self._check_replay("rtcp", ssrc, index)
        return body[:8] + payload

    # -- both

    def _check_mki(self, mki: bytes) -> None:
        if mki != self.mki:
            raise Refused(f"MKI {mki.hex()} is not ours")

    def _check_replay(self, kind: str, ssrc: int, index: int) -> None:
        if (kind, ssrc, index) in self.seen:
            raise Refused("seen before")
        self.seen.add((kind, ssrc, index))


def _sequence(packet: bytes) -> int:
    return int(struct.unpack_from("!H", packet, 2)[0])


def _ssrc(packet: bytes, offset: int) -> int:
    return int(struct.unpack_from("!I", packet, offset)[0])


def _guess(stream: Stream, sequence: int) -> int:
    """The rollover count that brings `sequence` nearest to the highest seen (RFC 3711 appendix A)."""
    if stream.highest is None:
        return stream.roc
    if stream.highest < 0x8000:
        return stream.roc - 1 if sequence - stream.highest > 0x8000 and stream.roc else stream.roc
    return stream.roc + 1 if stream.highest - 0x8000 > sequence else stream.roc


def _advance(stream: Stream, roc: int, sequence: int) -> None:
    if stream.highest is None or roc > stream.roc or (roc == stream.roc and sequence > stream.highest):
        stream.roc, stream.highest = roc, sequence
