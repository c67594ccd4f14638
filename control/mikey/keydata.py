"""KEMAC and the keys inside it: RFC 3830 sections 6.2, 6.13 and 6.14, RFC 6043 section 6.2.

Knows how keys are laid out; must never know what they are for. Keys and salts are Secrets, and the
octets of KEMAC, which are keys in clear under the NULL algorithm, stay out of every repr.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

from control.mikey.errors import Malformed
from control.mikey.numbers import SALTED, EncrAlg, KeyType, MacAlg, PayloadType, Validity
from control.mikey.octets import Reader, counted
from control.mikey.payloads import mac_length
from mixer.secret import Secret


@dataclass(frozen=True, slots=True)
class Kemac:
    """KEMAC: encrypted keys, and in pre-shared-key messages the MAC of the whole message."""

    data: bytes = field(repr=False)
    """Key data sub-payloads, encrypted by `encryption`."""
    encryption: int = EncrAlg.AES_CM_128
    mac_algorithm: int = MacAlg.HMAC_SHA_1_160
    mac: bytes = b""
    """Empty while the message to be authenticated is built, and with the NULL algorithm."""

    TYPE: ClassVar = PayloadType.KEMAC

    def body(self) -> bytes:
        return bytes((self.encryption,)) + counted(self.data, 2) + bytes((self.mac_algorithm,)) + self.mac

    @classmethod
    def read(cls, reader: Reader) -> Kemac:
        encryption = reader.number(1)
        data = reader.counted(2)
        mac_algorithm = reader.number(1)
        return cls(data, encryption, mac_algorithm, reader.take(mac_length(mac_algorithm)))


@dataclass(frozen=True, slots=True)
class Spi:
    """The key goes by this SPI; in SRTP it is the MKI."""

    octets: bytes

    KIND: ClassVar = Validity.SPI

    def body(self) -> bytes:
        return counted(self.octets, 1)


@dataclass(frozen=True, slots=True)
class Interval:
    """The key is for these packets; in SRTP both are 48-bit indices."""

    valid_from: bytes
    valid_to: bytes

    KIND: ClassVar = Validity.INTERVAL

    def body(self) -> bytes:
        return counted(self.valid_from, 1) + counted(self.valid_to, 1)


KeyValidity: TypeAlias = Spi | Interval | None


@dataclass(frozen=True, slots=True)
class KeyData:
    """One key with its salt, if its type has one, and what it is valid for."""

    kind: KeyType
    key: Secret
    salt: Secret | None = None
    validity: KeyValidity = None

    TYPE: ClassVar = PayloadType.KEY_DATA

    def __post_init__(self) -> None:
        if (self.kind in SALTED) != (self.salt is not None):
            raise Malformed(f"a {self.kind.name} {'needs' if self.salt is None else 'takes no'} salt")

    def body(self) -> bytes:
        validity = self.validity
        kind = self.kind << 4 | (Validity.NULL if validity is None else validity.KIND)
        octets = bytes((kind,)) + counted(self.key.reveal(), 2)
        if self.salt is not None:
            octets += counted(self.salt.reveal(), 2)
        return octets if validity is None else octets + validity.body()

    @classmethod
    def read(cls, reader: Reader) -> KeyData:
        octet = reader.number(1)
        try:
            kind, validity = KeyType(octet >> 4), Validity(octet & 0xF)
        except ValueError:
            raise Malformed(f"key type {octet >> 4} or key validity {octet & 0xF} is unknown") from None
        key = _read_secret(reader)
        salt = _read_secret(reader) if kind in SALTED else None
        return cls(kind, key, salt, _read_validity(reader, validity))


def _read_secret(reader: Reader) -> Secret:
    octets = reader.counted(2)
    if not octets:
        raise Malformed("a key or a salt of no octets")
    return Secret(octets)


def _read_validity(reader: Reader, validity: Validity) -> KeyValidity:
    if validity == Validity.SPI:
        return Spi(reader.counted(1))
    if validity == Validity.INTERVAL:
        return Interval(reader.counted(1), reader.counted(1))
    return None


def write_keys(keys: Sequence[KeyData]) -> bytes:
    """The plain text of a KEMAC: key data sub-payloads, one pointing at the next."""
    following = [PayloadType.KEY_DATA] * (len(keys) - 1) + [PayloadType.LAST]
    return b"".join(bytes((after,)) + key.body() for after, key in zip(following, keys, strict=False))


def read_keys(octets: bytes) -> tuple[KeyData, ...]:
    """The keys in the plain text of a KEMAC; none if it is empty, as in an update that brings no key.

    Raises:
        Malformed: if it is anything else than whole key data sub-payloads.
    """
    keys = []
    reader = Reader(octets)
    following: int = PayloadType.KEY_DATA if octets else PayloadType.LAST
    while following == PayloadType.KEY_DATA:
        following = reader.number(1)
        keys.append(KeyData.read(reader))
    if following != PayloadType.LAST:
        raise Malformed(f"a key is followed by the payload {following}, which is no key")
    reader.finish("the last key")
    return tuple(keys)
