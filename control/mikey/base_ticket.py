"""The MIKEY base ticket (RFC 6043 appendix A): keys that travel through all hands and open in one.

Knows the ticket protection key, TPK; must never know who asks, nor when.

    ticket data = THDR, T, RAND, KEMAC, V       KEMAC = E(encr_key, MPK || GTGK)

The MAC in V covers policy and ticket data up to itself, so the terms cannot be changed on the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from control.mikey import prf
from control.mikey.cipher import check_mac, mac
from control.mikey.errors import Malformed, Refused
from control.mikey.keydata import Kemac, KeyData, Spi
from control.mikey.message import one_of, read_rest, write_chain
from control.mikey.numbers import KeyType, PayloadType
from control.mikey.octets import Reader
from control.mikey.payloads import Rand, Timestamp, Verification
from control.mikey.protection import MAC, MAC_OCTETS, decrypted, encrypted
from control.mikey.ticket_payload import Ticket, TicketHeader, TicketPolicy
from mixer.secret import Secret

NO_CSB: Final = 0xFFFFFFFF
"""What stands for the CSB ID in the IV of a ticket."""

MPK_SPI: Final = Spi(bytes(4))
"""Every key must have an SPI (section 6.2.1); nothing refers to that of an MPK."""


@dataclass(frozen=True, slots=True)
class TicketKeys:
    """What a ticket encodes: the two protection keys that its MPK gives, and the group key with its MKI."""

    mpk_i: Secret
    mpk_r: Secret
    group: KeyData


def issue(
    policy: TicketPolicy, group: KeyData, *, mpk: Secret, tpk: Secret, rand: bytes, clock: Timestamp
) -> tuple[Ticket, TicketKeys]:
    """A ticket for a group key, and the keys that it encodes.

    `mpk` and `rand` are fresh; the RAND is as long as TPK and MPK, or longer (section 12.1).
    """
    keys = prf.ticket_keys(tpk, rand)
    kemac = encrypted((KeyData(KeyType.MPK, mpk, None, MPK_SPI), group), keys, NO_CSB, clock)
    chain = write_chain((clock, Rand(rand), kemac, Verification(MAC, b"")))
    data = bytes((PayloadType.T,)) + TicketHeader().body() + chain
    unsigned = Ticket(policy, data + bytes(MAC_OCTETS))
    tag = mac(MAC, keys.authentication, unsigned.granted()[:-MAC_OCTETS])
    return Ticket(policy, data + tag), TicketKeys(*prf.mpk_pair(mpk, rand), group)


def open_ticket(ticket: Ticket, tpk: Secret) -> TicketKeys:
    """The keys that a ticket encodes.

    Raises:
        Forged: if it was not made under this TPK, or policy or data were changed.
        Malformed: if its data are no ticket data.
        Refused: if they are authentic, but not such as `issue` makes.
    """
    reader = Reader(ticket.data)
    first = reader.number(1)
    TicketHeader.read(reader)
    parts = read_rest(reader, first)
    clock, rand, claimed = one_of(parts, Timestamp), one_of(parts, Rand).octets, one_of(parts, Verification)
    if parts[-1] is not claimed or claimed.algorithm != MAC:
        raise Malformed("the ticket does not end with its MAC")
    keys = prf.ticket_keys(tpk, rand)
    check_mac(MAC, keys.authentication, ticket.granted()[:-MAC_OCTETS], claimed.mac)
    inside = decrypted(one_of(parts, Kemac), keys, NO_CSB, clock)
    if [key.kind for key in inside] != [KeyType.MPK, KeyType.GTGK]:
        raise Refused("the ticket does not hold an MPK and a group key")
    return TicketKeys(*prf.mpk_pair(inside[0].key, rand), inside[1])
