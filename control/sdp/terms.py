"""What we are ready to agree to: codecs, suites, profiles, and which comes first.

Knows wishes only. Must never know an offer, an address or a key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from mixer.port import CodecName, Opus, Ptime, Rate
from mixer.suites import SuiteName

Security: TypeAlias = Literal["sdes", "dtls", "clear"]


PTIMES: Final[tuple[Ptime, ...]] = (10, 20, 30, 40, 60)
"""Milliseconds that the mixer can put into a packet, and the most that it takes in one."""


@dataclass(frozen=True, slots=True)
class Codec:
    """A codec by its name in a=rtpmap."""

    name: CodecName
    rate: Rate
    """The clock rate, Hz: of opus 48000 and of G722 8000, whatever the audio has."""
    bits_per_s: int
    """The most that a second of it has."""
    static: int | None = None
    """The payload type that needs no rtpmap (RFC 3551 section 6)."""
    channels: int = 1
    """As a=rtpmap tells them: of opus always 2, mono or not (RFC 7587 section 7)."""
    ptimes: tuple[Ptime, ...] = PTIMES
    """Milliseconds of whole frames."""
    comfort_noise: bool = True
    """It has no way of its own to say silence, so RFC 3389 is of use beside it."""


PCMU: Final = Codec("PCMU", 8000, 64_000, static=0)
PCMA: Final = Codec("PCMA", 8000, 64_000, static=8)
G722: Final = Codec("G722", 8000, 64_000, static=9)
L16: Final = (Codec("L16", 16000, 256_000), Codec("L16", 8000, 128_000), Codec("L16", 48000, 768_000))
OPUS: Final = Codec("opus", 48000, 510_000, channels=2, ptimes=(10, 20, 40, 60), comfort_noise=False)
AMR: Final = Codec("AMR", 8000, 13_000, ptimes=(20, 40, 60), comfort_noise=False)
AMR_WB: Final = Codec("AMR-WB", 16000, 25_000, ptimes=(20, 40, 60), comfort_noise=False)

KNOWN_CODECS: Final = (OPUS, G722, AMR_WB, PCMU, PCMA, AMR, *L16)
"""All that there is words for, by how they sound for what they take; a mixer may lack some. L16 is dear: it comes
last."""

KNOWN_SUITES: Final[tuple[SuiteName, ...]] = (
    "AEAD_AES_256_GCM",
    "AEAD_AES_128_GCM",
    "AES_256_CM_HMAC_SHA1_80",
    "AES_CM_128_HMAC_SHA1_80",
    "AES_CM_128_HMAC_SHA1_32",
)
"""All that a mixer has, best first."""

OPUS_AS_USUAL: Final = Opus()

SECURE_PROFILES: Final = ("RTP/SAVP", "RTP/SAVPF", "UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF")
CLEAR_PROFILES: Final = ("RTP/AVP", "RTP/AVPF")


@dataclass(frozen=True, slots=True)
class Terms:
    """What the focus takes; every tuple is in its order of preference."""

    codecs: tuple[Codec, ...] = KNOWN_CODECS
    opus: Opus = OPUS_AS_USUAL
    """How we would encode Opus; what a peer asks for may lessen it, and add `cbr`."""
    suites: tuple[SuiteName, ...] = KNOWN_SUITES
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
    comfort_noise: bool = True
    """Agree to comfort noise (RFC 3389) beside codecs that have none of their own."""
    mki_wanted: bool = False
    """Of two lines of one suite take the one with an MKI, rather than the one without."""
    levels: bool = True
    """Agree to audio levels in header extensions (RFC 6464 and 6465)."""
    fingerprint_hashes: tuple[str, ...] = ("sha-256", "sha-384", "sha-512")

    def takes(self, profile: str) -> bool:
        """Whether an m-line with this profile may be agreed to."""
        return profile in self.profiles or (profile in CLEAR_PROFILES and (self.opportunistic or self.allow_clear))
