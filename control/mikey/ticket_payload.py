"""TP, TICKET and THDR: RFC 6043 section 6.10 and appendix A.3.

Knows their fields; must never know a ticket's key. What nests inside is kept as octets, so that a MAC
over it can be checked on what was really sent; `control.mikey.message` reads chains of payloads in it.

    ticket type (2) | subtype | version | PRF (7), flags D to O (12), reserved (5) | length (2), TP data
    in a TICKET also: length (2), ticket data | length (2), initiator data
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntFlag
from typing import ClassVar, Final

from control.mikey.errors import Malformed
from control.mikey.numbers import PayloadType, Prf
from control.mikey.octets import Reader, counted

BASE_TICKET: Final = 1
"""Ticket type of the MIKEY base ticket; its subtype and version are 1, too."""


class Flag(IntFlag):
    """The flags of a ticket policy, by their letters in the RFC."""

    FROM_KMS = 1 << 11
    """D: the KMS made the ticket."""
    RESOLVE = 1 << 10
    """E: only the KMS resolves the ticket."""
    ANSWER = 1 << 9
    """F: a TRANSFER_RESP is sent."""
    RESPONDER_RAND = 1 << 8
    """G: the responder draws a RAND."""
    INITIATOR_RAND = 1 << 7
    """H: the initiator's RAND goes into keys derived from a TGK or GTGK."""
    FORKING = 1 << 6
    """I: each responder gets keys of its own."""
    REUSE = 1 << 5
    """J: the ticket may be used more than once."""
    CHANGED = 1 << 4
    """K: the KMS did not grant quite what was asked for."""
    INITIATOR_KEYS = 1 << 3
    """L: the initiator may supply keys."""
    RESPONDER_KEYS = 1 << 2
    """M: the responder may supply keys."""
    PLAIN_INITIATOR = 1 << 1
    """N: an initiator needs nothing beyond the RFC."""
    PLAIN_RESPONDER = 1 << 0
    """O: a responder needs nothing beyond the RFC."""


@dataclass(frozen=True, slots=True)
class TicketPolicy:
    """TP: what an initiator asks for, and the first part of every ticket: what it was granted."""

    flags: Flag
    data: bytes
    """First payload (1), then a chain: identities, validity, requested keys."""
    ticket_type: int = BASE_TICKET
    subtype: int = 1
    version: int = 1
    prf: int = Prf.HMAC_SHA_256

    TYPE: ClassVar = PayloadType.TP

    def body(self) -> bytes:
        bits = self.prf << 17 | self.flags << 5
        head = struct.pack(">HBB", self.ticket_type, self.subtype, self.version) + bits.to_bytes(3)
        return head + counted(self.data, 2)

    @classmethod
    def read(cls, reader: Reader) -> TicketPolicy:
        ticket_type, subtype, version = struct.unpack(">HBB", reader.take(4))
        bits = reader.number(3)
        if bits & 0x1F:
            raise Malformed("the reserved bits of a ticket policy are not zero")
        return cls(Flag(bits >> 5 & 0xFFF), reader.counted(2), ticket_type, subtype, version, bits >> 17)


@dataclass(frozen=True, slots=True)
class Ticket:
    """TICKET: a granted policy, and data that only the KMS can read."""

    policy: TicketPolicy
    data: bytes = field(repr=False)
    initiator_data: bytes = b""
    """Only with key forking."""

    TYPE: ClassVar = PayloadType.TICKET

    def body(self) -> bytes:
        return self.granted() + self.tail()

    def granted(self) -> bytes:
        """Policy and ticket data: what the KMS vouches for (appendix A.1)."""
        return self.policy.body() + counted(self.data, 2)

    def tail(self) -> bytes:
        """Initiator data with their length: what the MAC of a TRANSFER_INIT leaves out (section 5.5)."""
        return counted(self.initiator_data, 2)

    @classmethod
    def read(cls, reader: Reader) -> Ticket:
        return cls(TicketPolicy.read(reader), reader.counted(2), reader.counted(2))


@dataclass(frozen=True, slots=True)
class TicketHeader:
    """THDR: the first payload of ticket data. It has no number of its own, for nothing precedes it."""

    octets: bytes = b""

    def body(self) -> bytes:
        return counted(self.octets, 2)

    @classmethod
    def read(cls, reader: Reader) -> TicketHeader:
        return cls(reader.counted(2))
