"""The plain payloads: RFC 3830 sections 6.6 to 6.15, RFC 6043 sections 6.4 to 6.9.

Knows their octets; must never know which message they belong in. Every payload has a `TYPE`, a
`body()` without the octet that names its successor, and a `read()` that takes such a body.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar, Protocol

from control.mikey.errors import Malformed
from control.mikey.numbers import MAC_LENGTH, TS_LENGTH, IdType, PayloadType, TsType
from control.mikey.octets import Reader, counted


class Payload(Protocol):
    """What all payloads are."""

    TYPE: ClassVar[PayloadType]

    def body(self) -> bytes:
        """The payload's octets without "next payload". Raises Malformed if a value does not fit."""


@dataclass(frozen=True, slots=True)
class Timestamp:
    """T: NTP-UTC and NTP are 64-bit fixed point, COUNTER and NTP-UTC-32 are 32-bit integers."""

    value: int
    kind: int = TsType.NTP_UTC

    TYPE: ClassVar = PayloadType.T

    def body(self) -> bytes:
        return bytes((self.kind,)) + self.octets()

    def octets(self) -> bytes:
        """The value as it stands in the payload."""
        return self.value.to_bytes(_ts_length(self.kind))

    @property
    def wide(self) -> int:
        """The value as 64 bits, as it goes into an IV.

        COUNTER is padded in front (RFC 3830 section 6.6), NTP-UTC-32 behind (RFC 6043 section 6.3).
        """
        return self.value << 32 if self.kind == TsType.NTP_UTC_32 else self.value

    @classmethod
    def read(cls, reader: Reader) -> Timestamp:
        kind = reader.number(1)
        return cls(reader.number(_ts_length(kind)), kind)


@dataclass(frozen=True, slots=True)
class RoleTimestamp:
    """TR: a timestamp that says what it is the time of."""

    role: int
    value: int
    kind: int = TsType.NTP_UTC_32

    TYPE: ClassVar = PayloadType.TR

    def body(self) -> bytes:
        return bytes((self.role, self.kind)) + self.value.to_bytes(_ts_length(self.kind))

    @classmethod
    def read(cls, reader: Reader) -> RoleTimestamp:
        role, kind = reader.take(2)
        return cls(role, reader.number(_ts_length(kind)), kind)


@dataclass(frozen=True, slots=True)
class Rand:
    """RAND: random octets, 16 at least."""

    octets: bytes

    TYPE: ClassVar = PayloadType.RAND

    def body(self) -> bytes:
        return counted(self.octets, 1)

    @classmethod
    def read(cls, reader: Reader) -> Rand:
        return cls(reader.counted(1))


@dataclass(frozen=True, slots=True)
class RoleRand:
    """RANDR: random octets that say who drew them."""

    role: int
    octets: bytes

    TYPE: ClassVar = PayloadType.RANDR

    def body(self) -> bytes:
        return bytes((self.role,)) + counted(self.octets, 1)

    @classmethod
    def read(cls, reader: Reader) -> RoleRand:
        return cls(reader.number(1), reader.counted(1))


@dataclass(frozen=True, slots=True)
class Identity:
    """ID: who somebody is."""

    octets: bytes
    kind: int = IdType.URI

    TYPE: ClassVar = PayloadType.ID

    @classmethod
    def of(cls, octets: bytes) -> Identity:
        """An identity of the kind that it looks like: a URI has a scheme, an NAI has none."""
        return cls(octets, id_type(octets))

    def body(self) -> bytes:
        return bytes((self.kind,)) + counted(self.octets, 2)

    @classmethod
    def read(cls, reader: Reader) -> Identity:
        kind = reader.number(1)
        return cls(reader.counted(2), kind)


@dataclass(frozen=True, slots=True)
class RoleIdentity:
    """IDR: an identity that says whose it is."""

    role: int
    octets: bytes
    kind: int = IdType.URI

    TYPE: ClassVar = PayloadType.IDR

    @classmethod
    def of(cls, role: int, octets: bytes) -> RoleIdentity:
        """An identity of the kind that it looks like."""
        return cls(role, octets, id_type(octets))

    def body(self) -> bytes:
        return bytes((self.role, self.kind)) + counted(self.octets, 2)

    @classmethod
    def read(cls, reader: Reader) -> RoleIdentity:
        role, kind = reader.take(2)
        return cls(role, reader.counted(2), kind)


@dataclass(frozen=True, slots=True)
class Verification:
    """V: the MAC of a message. Empty while the message to be authenticated is built."""

    algorithm: int
    mac: bytes

    TYPE: ClassVar = PayloadType.V

    def body(self) -> bytes:
        return bytes((self.algorithm,)) + self.mac

    @classmethod
    def read(cls, reader: Reader) -> Verification:
        algorithm = reader.number(1)
        return cls(algorithm, reader.take(mac_length(algorithm)))


@dataclass(frozen=True, slots=True)
class Fault:
    """ERR: what was wrong with a message."""

    number: int

    TYPE: ClassVar = PayloadType.ERR

    def body(self) -> bytes:
        return struct.pack(">BH", self.number, 0)

    @classmethod
    def read(cls, reader: Reader) -> Fault:
        number, reserved = struct.unpack(">BH", reader.take(3))
        if reserved:
            raise Malformed("the reserved octets of an error payload are not zero")
        return cls(number)


@dataclass(frozen=True, slots=True)
class GeneralExtension:
    """General extension: octets whose meaning `kind` names."""

    kind: int
    octets: bytes

    TYPE: ClassVar = PayloadType.GENERAL_EXTENSION

    def body(self) -> bytes:
        return bytes((self.kind,)) + counted(self.octets, 2)

    @classmethod
    def read(cls, reader: Reader) -> GeneralExtension:
        kind = reader.number(1)
        return cls(kind, reader.counted(2))


def id_type(octets: bytes) -> IdType:
    """URI if there is a scheme, else network access identifier (RFC 3830 section 6.7)."""
    return IdType.URI if b":" in octets else IdType.NAI


def mac_length(algorithm: int) -> int:
    """Octets of a MAC. Raises Malformed for an unknown algorithm: its length cannot be known either."""
    if algorithm not in MAC_LENGTH:
        raise Malformed(f"the MAC algorithm {algorithm} is unknown")
    return MAC_LENGTH[algorithm]


def _ts_length(kind: int) -> int:
    if kind not in TS_LENGTH:
        raise Malformed(f"the timestamp type {kind} is unknown")
    return TS_LENGTH[kind]
