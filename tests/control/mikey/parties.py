"""A KMS, a conference system and members, on a clock of their own."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final, TypeAlias

from control.mikey.message import decode
from control.mikey.numbers import DataType, ErrorNo, TsType
from control.mikey.payloads import Fault, Timestamp, Verification
from control.mikey.ticket import TicketAuthority
from control.mikey.ticket_request import Grant, Stream, TicketRequester
from control.mikey.ticket_resolve import GroupKey, TicketHolder
from mixer.secret import Secret
from tests.control.mikey.samples import psk

NOW = 1_800_000_000
KMS, FOCUS, ALICE, BOB, EVE = (f"sip:{name}@example.net" for name in ("kms", "focus", "alice", "bob", "eve"))
ROOM = "sip:room@example.net"
KEYS = {FOCUS: psk(10), ALICE: psk(20), BOB: psk(30), EVE: psk(40)}
STREAMS = (Stream(0x11223344, 1, 0xFFFE), Stream(0x55667788))
SUITE: Final = "AEAD_AES_128_GCM"
MKI = b"\0\0\0\7"


Fresh: TypeAlias = Callable[[int], bytes]


def counting() -> Fresh:
    """Octets that are never the same twice, and the same in every run."""
    drawn = 0

    def fresh(length: int) -> bytes:
        nonlocal drawn
        drawn += 1
        return bytes(length - 4) + drawn.to_bytes(4)

    return fresh


def authority(
    members: frozenset[str] = frozenset((ALICE, BOB)),
    key: Secret | None = None,
    per_peer: int = 100,
    fresh: Fresh = secrets.token_bytes,
) -> TicketAuthority:
    """A KMS that gives tickets for the room to the focus, and keys to the members."""
    return TicketAuthority(
        KEYS.get,
        lambda who, what: (who, what) == (FOCUS, ROOM),
        lambda who, what: who in members and what == ROOM,
        ticket_key=key or psk(99),
        identity=KMS,
        per_peer=per_peer,
        fresh=fresh,
    )


def requester(who: str = FOCUS, fresh: Fresh = secrets.token_bytes) -> TicketRequester:
    return TicketRequester(KEYS[who], identity=who, kms=KMS, fresh=fresh)


def holder(who: str = ALICE, fresh: Fresh = secrets.token_bytes) -> TicketHolder:
    return TicketHolder(KEYS[who], identity=who, kms=KMS, fresh=fresh)


def granted(focus: TicketRequester, kms: TicketAuthority, mki: bytes = MKI, now: int = NOW) -> Grant:
    """A ticket, asked for and received."""
    return focus.granted(kms.answer(focus.request(ROOM, mki=mki, now=now), now=now), now=now)


def transferred(focus: TicketRequester, grant: Grant, to: str = ALICE, now: int = NOW) -> bytes:
    """The TRANSFER_INIT for one member."""
    return focus.transfer(grant, to, STREAMS, SUITE, now=now)


def resolved(member: TicketHolder, kms: TicketAuthority, transfer: bytes, now: int = NOW) -> tuple[GroupKey, bytes]:
    """What a member makes of a TRANSFER_INIT, with the help of the KMS."""
    return member.resolved(kms.answer(member.resolve(transfer, now=now), now=now), now=now)


def complaint(octets: bytes) -> tuple[ErrorNo, bool]:
    """What an Error message says, and whether it has a MAC."""
    message = decode(octets)
    assert message.header.data_type == DataType.ERROR
    assert message.one(Timestamp).kind == TsType.NTP_UTC
    return ErrorNo(message.one(Fault).number), message.maybe(Verification) is not None
