"""The SRTP crypto suites: names and lengths, nothing else.

Names are those of the IANA "SDP Security Descriptions" registry (RFC 4568, RFC 6188, RFC 7714).
A master key travels as key || salt, in the order of RFC 4568 section 6.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

SuiteName: TypeAlias = Literal[
    "AES_CM_128_HMAC_SHA1_80",
    "AES_CM_128_HMAC_SHA1_32",
    "AES_256_CM_HMAC_SHA1_80",
    "AEAD_AES_128_GCM",
    "AEAD_AES_256_GCM",
]


@dataclass(frozen=True, slots=True)
class Suite:
    """Lengths of one suite, in octets."""

    name: SuiteName
    key: int
    salt: int
    tag: int
    """Octets added to an SRTP packet by authentication."""
    rtcp_tag: int
    """Octets added to an SRTCP packet by authentication (the index word not counted)."""
    aead: bool
    """True for RFC 7714 suites, where the MKI follows the tag instead of preceding it."""

    @property
    def secret(self) -> int:
        """Length of key || salt."""
        return self.key + self.salt


SUITES: Final[dict[SuiteName, Suite]] = {
    suite.name: suite
    for suite in (
        Suite("AES_CM_128_HMAC_SHA1_80", 16, 14, 10, 10, False),
        # RFC 4568 section 6.2.2: SRTCP keeps the 80-bit tag.
        Suite("AES_CM_128_HMAC_SHA1_32", 16, 14, 4, 10, False),
        Suite("AES_256_CM_HMAC_SHA1_80", 32, 14, 10, 10, False),
        Suite("AEAD_AES_128_GCM", 16, 12, 16, 16, True),
        Suite("AEAD_AES_256_GCM", 32, 12, 16, 16, True),
    )
}
