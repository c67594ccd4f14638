"""What an m-line says of DTLS: fingerprints (RFC 8122) and who connects (RFC 4145, RFC 5763).

Knows how to read both. Must never know a certificate.
"""

from __future__ import annotations

import re
from typing import Final, Literal, TypeAlias

from control.sdp.model import Media, Session
from control.sdp.refusal import Unacceptable, Warn

Fingerprint: TypeAlias = tuple[str, str]
"""Name of the hash in lower case, and the octets as `AB:CD:...` in upper case."""

Setup: TypeAlias = Literal["active", "passive"]

_LENGTHS: Final = {"sha-1": 20, "sha-224": 28, "sha-256": 32, "sha-384": 48, "sha-512": 64}
_FINGERPRINT: Final = re.compile(r"([A-Za-z0-9-]+) +([0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2})*) *")


def fingerprints_of(session: Session, media: Media, hashes: tuple[str, ...]) -> tuple[Fingerprint, ...]:
    """The fingerprints of these hashes; each names a certificate that the peer may show."""
    found = []
    for value in session.inherited(media, "fingerprint"):
        match = _FINGERPRINT.fullmatch(value)
        if match is None:
            continue
        name, octets = match[1].lower(), match[2].upper()
        if name in hashes and len(octets) == 3 * _LENGTHS.get(name, 0) - 1:
            found.append((name, octets))
    return tuple(found)


def role_for_offer(session: Session, media: Media, before: Setup | None) -> Setup:
    """The role that we take when this is offered. A running association keeps its roles (RFC 8842 section 5.3).

    Raises:
        Unacceptable: if the peer wants no connection, or says what is no role.
    """
    match next(iter(session.inherited(media, "setup")), "active"):
        case "actpass":
            return before or "active"
        case "active":
            return "passive"
        case "passive":
            return "active"
    raise Unacceptable(Warn.PARAMETER, "a=setup of an offer must be actpass, active or passive")


def role_for_answer(session: Session, media: Media) -> Setup:
    """The role that an answer leaves to us, who offered actpass.

    Raises:
        Unacceptable: if it takes no role.
    """
    match next(iter(session.inherited(media, "setup")), "passive"):
        case "active":
            return "passive"
        case "passive":
            return "active"
    raise Unacceptable(Warn.PARAMETER, "a=setup of an answer must be active or passive")
