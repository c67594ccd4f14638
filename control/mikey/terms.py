"""What a ticket is good for: the ticket policy (RFC 6043 section 6.10) of the profile that is spoken here.

Knows who may use a ticket for which conference, and when; must never know a key.

The profile, out of the many that the RFC allows:

- MIKEY base tickets made by the KMS (D) that only the KMS resolves (E): mode 1 of section 4.1.1.
- One group key (GTGK) a ticket, supplied by the KMS and nobody else (not L, not M).
- Key forking (I): a member cannot pass for the conference system, nor for another member, towards
  those two. GTGKs are not forked; this is what they are for.
- A TRANSFER_RESP is sent (F). The initiator's RAND, the same in all transfers of a ticket, goes into the
  keys of streams (H), and no RAND of a responder does (not G), or members would derive different keys.
- Reuse is allowed (J), for one ticket goes to all members of a conference. Section 5.3 wants new RANDs
  for each reuse, section 9 the same RANDs for a group key: all transfers of one ticket count as one session.
- The one responder identity in the policy is the conference; who its members are, the KMS knows (section 12.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from control.mikey.errors import Malformed, Refused
from control.mikey.keydata import Kemac, KeyData, Spi, read_keys
from control.mikey.message import one_of, read_data, write_data
from control.mikey.ntp import ntp_seconds, unix_seconds
from control.mikey.numbers import EncrAlg, ErrorNo, IdRole, KeyType, Prf, TsRole
from control.mikey.payloads import Payload, RoleIdentity, RoleTimestamp
from control.mikey.ticket_payload import BASE_TICKET, Flag, TicketPolicy

FLAGS: Final = (
    Flag.FROM_KMS
    | Flag.RESOLVE
    | Flag.ANSWER
    | Flag.INITIATOR_RAND
    | Flag.FORKING
    | Flag.REUSE
    | Flag.PLAIN_INITIATOR
    | Flag.PLAIN_RESPONDER
)
"""The flags of every ticket here. The KMS adds CHANGED if it granted less than was asked for."""


MIN_GROUP_KEY: Final = 16
MAX_GROUP_KEY: Final = 32
"""Octets of a group key. RANDs of 32 octets do for no longer one (section 12.1)."""


@dataclass(frozen=True, slots=True)
class Terms:
    """A ticket's terms. Times are Unix seconds, both ends included."""

    kms: str
    initiator: str
    conference: str
    start: int
    end: int

    def policy(self, flags: Flag = FLAGS, more: Sequence[Payload] = ()) -> TicketPolicy:
        """The terms as a ticket policy; `more` goes in front of the responder, where a KEMAC belongs."""
        parts: tuple[Payload, ...] = (
            RoleIdentity.of(IdRole.KMS, self.kms.encode()),
            RoleIdentity.of(IdRole.INITIATOR, self.initiator.encode()),
            RoleTimestamp(TsRole.START, ntp_seconds(self.start)),
            RoleTimestamp(TsRole.END, ntp_seconds(self.end)),
            *more,
            RoleIdentity.of(IdRole.RESPONDER, self.conference.encode()),
        )
        return TicketPolicy(flags, write_data(parts))

    def check_time(self, now: int) -> None:
        """Raise Refused unless the ticket is valid now."""
        if not self.start <= now <= self.end:
            raise Refused("the ticket is not valid yet, or no longer", ErrorNo.INVALID_TS)


def terms_of(policy: TicketPolicy) -> Terms:
    """The terms in a ticket policy.

    Raises:
        Malformed: if there are none.
        Refused: if the policy is not of the profile above.
    """
    if (policy.ticket_type, policy.subtype, policy.version) != (BASE_TICKET, 1, 1):
        raise Refused("the ticket is no MIKEY base ticket", ErrorNo.INVALID_TICKET)
    if policy.prf != Prf.HMAC_SHA_256 or policy.flags & ~Flag.CHANGED != FLAGS:
        raise Refused("the ticket policy is not of the supported profile", ErrorNo.INVALID_TPPAR)
    parts = read_data(policy.data)
    return Terms(
        identity_in(parts, IdRole.KMS),
        identity_in(parts, IdRole.INITIATOR),
        identity_in(parts, IdRole.RESPONDER),
        _time_in(parts, TsRole.START),
        _time_in(parts, TsRole.END),
    )


def wish_of(policy: TicketPolicy) -> tuple[Terms, KeyData]:
    """The terms and the key that an initiator asks for. The key's octets are zeros; its length and SPI count.

    Raises:
        Refused: if it is no wish that can be granted here.
    """
    try:
        terms = terms_of(policy)
        kemac = one_of(read_data(policy.data), Kemac)
        keys = read_keys(kemac.data)
    except Malformed as error:
        raise Refused(f"the wished ticket policy: {error}", ErrorNo.INVALID_TPPAR) from None
    match keys:
        case (KeyData(kind=KeyType.GTGK, validity=Spi()) as key,) if kemac.encryption == EncrAlg.NULL:
            if MIN_GROUP_KEY <= len(key.key) <= MAX_GROUP_KEY:
                return terms, key
    raise Refused("a ticket is for one GTGK of 16 to 32 octets with an SPI", ErrorNo.INVALID_TPPAR)


def identity_in(payloads: Sequence[Payload], role: IdRole) -> str:
    """The only identity with this role, as text. Raises Malformed unless there is exactly one."""
    found = [each for each in payloads if isinstance(each, RoleIdentity) and each.role == role]
    try:
        return one_of(found, RoleIdentity).octets.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("an identity is not UTF-8 text") from None


def _time_in(payloads: Sequence[Payload], role: TsRole) -> int:
    found = [each for each in payloads if isinstance(each, RoleTimestamp) and each.role == role]
    return unix_seconds(one_of(found, RoleTimestamp))
