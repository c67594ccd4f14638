"""What we are ready to agree to: codecs, suites, profiles, and which comes first.

Knows wishes only. Must never know an offer, an address or a key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from mixer.port import CodecName, Rate
from mixer.suites import SuiteName

Security: TypeAlias = Literal["sdes", "dtls", "clear"]


@dataclass(frozen=True, slots=True)
class Codec:
    """A codec of one channel, by its name in a=rtpmap."""

    name: CodecName
    rate: Rate
    """The clock rate, Hz."""
    width: int
    """Octets a sample."""
    static: int | None = None
    """The payload type that needs no rtpmap (RFC 3551 section 6)."""

    def longest(self, octets: int) -> int:
        """Whole milliseconds of audio that fit."""
        return octets * 1000 // (self.rate * self.width)


PCMU: Final = Codec("PCMU", 8000, 1, static=0)
PCMA: Final = Codec("PCMA", 8000, 1, static=8)
L16: Final = (Codec("L16", 16000, 2), Codec("L16", 8000, 2), Codec("L16", 48000, 2))

KNOWN_CODECS: Final = (PCMU, PCMA, *L16)
"""All that the mixer has. L16 is dear: it comes last."""

SECURE_PROFILES: Final = ("RTP/SAVP", "RTP/SAVPF", "UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF")
CLEAR_PROFILES: Final = ("RTP/AVP", "RTP/AVPF")


@dataclass(frozen=True, slots=True)
class Terms:
    """What the focus takes; every tuple is in its order of preference."""

    codecs: tuple[Codec, ...] = KNOWN_CODECS
    suites: tuple[SuiteName, ...] = (
        "AEAD_AES_256_GCM",
        "AEAD_AES_128_GCM",
        "AES_256_CM_HMAC_SHA1_80",
        "AES_CM_128_HMAC_SHA1_80",
        "AES_CM_128_HMAC_SHA1_32",
    )
    profiles: tuple[str, ...] = SECURE_PROFILES
    opportunistic: bool = True
    """Take RTP/AVP and RTP/AVPF if the offer protects them all the same (RFC 8643): phones whose SRTP is optional."""
    allow_clear: bool = False
    """Take them unprotected too, if nothing better is offered."""
    security: tuple[Security, ...] = ("sdes", "dtls")
    """Which one to take when a client offers both; the one left out is not taken at all."""
    ptime: int = 20
    """Milliseconds of audio in a packet that we send, unless the peer asks for another."""
    max_ptime: int = 60
    dtmf: bool = True
    """Agree to telephone-event (RFC 4733)."""
    mki_wanted: bool = False
    """Of two lines of one suite take the one with an MKI, rather than the one without."""
    levels: bool = True
    """Agree to audio levels in header extensions (RFC 6464 and 6465)."""
    fingerprint_hashes: tuple[str, ...] = ("sha-256", "sha-384", "sha-512")

    def takes(self, profile: str) -> bool:
        """Whether an m-line with this profile may be agreed to."""
        return profile in self.profiles or (profile in CLEAR_PROFILES and (self.opportunistic or self.allow_clear))
