"""A MIKEY message: a header and a chain of payloads, to octets and back. Round trips are exact.

Knows the order of octets; must never know what a message is allowed to hold, nor any key.

A payload of a type that is not known here cannot be stepped over, for MIKEY has no common length
field: it is an error, as are octets behind the last payload.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

from control.mikey.errors import Malformed
from control.mikey.header import Header
from control.mikey.keydata import Kemac
from control.mikey.numbers import PayloadType
from control.mikey.octets import Reader
from control.mikey.payloads import (
    Fault,
    GeneralExtension,
    Identity,
    Payload,
    Rand,
    RoleIdentity,
    RoleRand,
    RoleTimestamp,
    Timestamp,
    Verification,
)
from control.mikey.policy import SecurityPolicy
from control.mikey.ticket_payload import Ticket, TicketPolicy

MAX_OCTETS: Final = 0x10000
"""A longer message is refused unread."""

MAX_PAYLOADS: Final = 1024
"""A longer chain is refused: it could only be there to cost time."""

P = TypeVar("P", bound=Payload)


@dataclass(frozen=True, slots=True)
class Message:
    """A header and what follows it."""

    header: Header
    payloads: tuple[Payload, ...]

    def encode(self) -> bytes:
        """The message's octets.

        Raises:
            Malformed: if a value does not fit its field.
        """
        first = self.payloads[0].TYPE if self.payloads else PayloadType.LAST
        try:
            octets = self.header.encode(first) + write_chain(self.payloads)
        except (struct.error, OverflowError, ValueError):  # none of them names the value
            raise Malformed("a value is too large for its field") from None
        if len(octets) > MAX_OCTETS:
            raise Malformed(f"the message has {len(octets)} octets; at most {MAX_OCTETS} are allowed")
        return octets

    def all(self, kind: type[P]) -> list[P]:
        """The payloads of one kind."""
        return all_of(self.payloads, kind)

    def one(self, kind: type[P]) -> P:
        """The only payload of a kind. Raises Malformed unless there is exactly one."""
        return one_of(self.payloads, kind)

    def maybe(self, kind: type[P]) -> P | None:
        """The payload of a kind, if it is there. Raises Malformed if there are several."""
        return self.one(kind) if self.all(kind) else None


def decode(octets: bytes) -> Message:
    """The message that some octets are.

    Raises:
        Malformed: if they are none. No other exception, whatever the octets.
    """
    if len(octets) > MAX_OCTETS:
        raise Malformed(f"the message has {len(octets)} octets; at most {MAX_OCTETS} are allowed")
    reader = Reader(octets)
    header, first = Header.read(reader)
    return Message(header, _read_chain(reader, first, "the last payload"))


def write_chain(payloads: Sequence[Payload]) -> bytes:
    """Payloads, each beginning with the type of the next."""
    parts: list[bytes] = []
    following = [payload.TYPE for payload in payloads[1:]] + [PayloadType.LAST]
    for after, payload in zip(following, payloads, strict=False):
        parts.append(_OCTET[after])
        parts.append(payload.body())
    return b"".join(parts)


def write_data(payloads: Sequence[Payload]) -> bytes:
    """TP data or initiator data: the type of the first payload, then a chain (RFC 6043 section 6.10)."""
    return _OCTET[payloads[0].TYPE if payloads else PayloadType.LAST] + write_chain(payloads)


def read_data(octets: bytes) -> tuple[Payload, ...]:
    """The payloads in TP data or initiator data. Raises Malformed."""
    reader = Reader(octets)
    return _read_chain(reader, reader.number(1), "the data of a ticket")


def read_rest(reader: Reader, first: int) -> tuple[Payload, ...]:
    """The chain that begins with a payload of type `first` and takes all that is left. Raises Malformed."""
    return _read_chain(reader, first, "the data of a ticket")


def all_of(payloads: Sequence[Payload], kind: type[P]) -> list[P]:
    """Those of one kind."""
    return [payload for payload in payloads if isinstance(payload, kind)]


def one_of(payloads: Sequence[Payload], kind: type[P]) -> P:
    """The only one of a kind. Raises Malformed unless there is exactly one."""
    found = all_of(payloads, kind)
    if len(found) != 1:
        raise Malformed(f"the message has {len(found)} payloads of the kind {kind.TYPE.name}; it takes one")
    return found[0]


def _read_chain(reader: Reader, kind: int, what: str) -> tuple[Payload, ...]:
    payloads: list[Payload] = []
    while kind != PayloadType.LAST:
        reading = _READERS.get(kind)
        if reading is None:
            raise Malformed(f"the payload type {kind} is unknown, and its length with it")
        if len(payloads) == MAX_PAYLOADS:
            raise Malformed(f"the message has more than {MAX_PAYLOADS} payloads")
        kind = reader.number(1)
        payloads.append(reading.read(reader))
    reader.finish(what)
    return tuple(payloads)


_Readable: TypeAlias = (
    type[Kemac]
    | type[Timestamp]
    | type[Identity]
    | type[Verification]
    | type[SecurityPolicy]
    | type[Rand]
    | type[Fault]
    | type[RoleTimestamp]
    | type[RoleIdentity]
    | type[RoleRand]
    | type[TicketPolicy]
    | type[Ticket]
    | type[GeneralExtension]
)

_KINDS: Final[tuple[_Readable, ...]] = (
    Kemac,
    Timestamp,
    Identity,
    Verification,
    SecurityPolicy,
    Rand,
    Fault,
    RoleTimestamp,
    RoleIdentity,
    RoleRand,
    TicketPolicy,
    Ticket,
    GeneralExtension,
)
"""Key data are not among them: they never stand in clear (RFC 3830 section 6.13)."""

_READERS: Final[dict[int, _Readable]] = {kind.TYPE: kind for kind in _KINDS}

_OCTET: Final = tuple(bytes((number,)) for number in range(256))
