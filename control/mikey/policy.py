"""Security policies for SRTP (RFC 3830 section 6.10, RFC 7714 section 14.3), and the suites that they stand for.

Knows the parameters of `mixer.suites`; must never know a key.

One parameter has two readings: "authentication tag length" is one number, while AES_CM_128_HMAC_SHA1_32
shortens the tag of SRTP but not that of SRTCP (RFC 4568 section 6.2.2). Here it speaks of SRTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import ClassVar, Final

from control.mikey.errors import Malformed, Refused
from control.mikey.numbers import PayloadType, Protocol
from control.mikey.octets import Reader, counted
from mixer.suites import SUITES, Suite, SuiteName


class Param(IntEnum):
    """Types of SRTP policy parameters."""

    ENCRYPTION = 0
    ENCRYPTION_KEY = 1
    AUTHENTICATION = 2
    AUTHENTICATION_KEY = 3
    SALT = 4
    PRF = 5
    KEY_DERIVATION_RATE = 6
    SRTP_ENCRYPTED = 7
    SRTCP_ENCRYPTED = 8
    FEC_ORDER = 9
    SRTP_AUTHENTICATED = 10
    TAG = 11
    PREFIX = 12
    AEAD_TAG = 20


@dataclass(frozen=True, slots=True)
class SecurityPolicy:
    """SP: a numbered set of (type, value) parameters for one security protocol, in the order of the wire."""

    number: int
    params: tuple[tuple[int, bytes], ...]
    protocol: int = Protocol.SRTP

    TYPE: ClassVar = PayloadType.SP

    def body(self) -> bytes:
        params = b"".join(bytes((kind,)) + counted(value, 1) for kind, value in self.params)
        return bytes((self.number, self.protocol)) + counted(params, 2)

    @classmethod
    def read(cls, reader: Reader) -> SecurityPolicy:
        number, protocol = reader.take(2)
        inner = Reader(reader.counted(2))
        params = []
        while inner.left:
            kind = inner.number(1)
            params.append((kind, inner.counted(1)))
        return cls(number, tuple(params), protocol)


@cache
def policy_of(suite: SuiteName, number: int = 0) -> SecurityPolicy:
    """The policy payload that stands for a suite, every parameter that matters spelled out."""
    return SecurityPolicy(number, tuple((kind, bytes((value,))) for kind, value in _params_of(SUITES[suite]).items()))


def suite_of(policy: SecurityPolicy) -> SuiteName:
    """The suite that a policy stands for. What a policy leaves out has SRTP's own default.

    Raises:
        Malformed: if a parameter is there twice, or its value is empty.
        Refused: if it stands for none of `mixer.suites`.
    """
    if policy.protocol != Protocol.SRTP:
        raise Refused(f"a policy for the security protocol {policy.protocol}; only SRTP is supported")
    given: dict[int, int] = {}
    for kind, value in policy.params:
        if kind in given or not value:
            raise Malformed(f"the policy parameter {kind} is there twice or has no value")
        given[kind] = int.from_bytes(value)
    for suite in SUITES.values():
        if _fits(given, suite):
            return suite.name
    raise Refused("the policy stands for no SRTP suite that is supported")


def _params_of(suite: Suite) -> dict[int, int]:
    if suite.aead:
        return {
            Param.ENCRYPTION: _AES_GCM,
            Param.ENCRYPTION_KEY: suite.key,
            Param.AUTHENTICATION: _NO_MAC,
            Param.SALT: suite.salt,
            Param.PRF: _AES_CM_PRF,
            Param.SRTP_ENCRYPTED: 1,
            Param.SRTCP_ENCRYPTED: 1,
            Param.AEAD_TAG: suite.tag,
        }
    return {
        Param.ENCRYPTION: _AES_CM,
        Param.ENCRYPTION_KEY: suite.key,
        Param.AUTHENTICATION: _HMAC_SHA1,
        Param.AUTHENTICATION_KEY: 20,
        Param.SALT: suite.salt,
        Param.PRF: _AES_CM_PRF,
        Param.SRTP_ENCRYPTED: 1,
        Param.SRTCP_ENCRYPTED: 1,
        Param.SRTP_AUTHENTICATED: 1,
        Param.TAG: suite.tag,
    }


def _fits(given: Mapping[int, int], suite: Suite) -> bool:
    """Whether the parameters, filled up with defaults, are those of the suite and say nothing against it.

    What has no meaning with an AEAD cipher (RFC 7714 section 14.3 names what has) is not looked at there.
    """
    wanted = _DEFAULTS | _params_of(suite)
    defaults = _DEFAULTS | _AEAD_DEFAULTS if suite.aead else _DEFAULTS
    idle = _IDLE_WITH_AEAD if suite.aead else set()
    if set(given) - set(wanted):
        return False
    return all(given.get(kind, defaults[kind]) == value for kind, value in wanted.items() if kind not in idle)


_AES_CM: Final = 1
_AES_GCM: Final = 6
_NO_MAC: Final = 0
_HMAC_SHA1: Final = 1
_AES_CM_PRF: Final = 0

_DEFAULTS: Final[dict[int, int]] = {
    Param.ENCRYPTION: _AES_CM,
    Param.ENCRYPTION_KEY: 16,
    Param.AUTHENTICATION: _HMAC_SHA1,
    Param.AUTHENTICATION_KEY: 20,
    Param.SALT: 14,
    Param.PRF: _AES_CM_PRF,
    Param.KEY_DERIVATION_RATE: 0,
    Param.SRTP_ENCRYPTED: 1,
    Param.SRTCP_ENCRYPTED: 1,
    Param.FEC_ORDER: 0,
    Param.SRTP_AUTHENTICATED: 1,
    Param.TAG: 10,
    Param.PREFIX: 0,
}

_AEAD_DEFAULTS: Final[dict[int, int]] = {Param.SALT: 12, Param.AEAD_TAG: 16}

_IDLE_WITH_AEAD: Final[set[int]] = {Param.AUTHENTICATION, Param.AUTHENTICATION_KEY, Param.SRTP_AUTHENTICATED, Param.TAG}
