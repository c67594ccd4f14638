"""The KMS of RFC 6043: it makes tickets for group keys, and opens them for members of the group.

Knows the ticket key and asks who may do what; must never know a clock, a socket, or where keys of peers
are kept. All that it remembers is which messages it has answered: the tickets hold the keys.

    REQUEST_INIT_PSK    HDR, T, RANDRi, IDRi, IDRkms, TP, V      -> HDR, T, IDRkms, TICKET, KEMAC, V
    RESOLVE_INIT_PSK    HDR, T, RANDRr, IDRr, IDRkms, TICKET, V  -> HDR, T, IDRkms, KEMAC, IDRr, RANDRkms, V

The profile is that of `control.mikey.terms`. What the RFC leaves open:

- IDRi or IDRr must be there: it finds the pre-shared key. IDRkms may be left out. IDRpsk is ignored.
- Who is not authenticated gets "authentication failure" without a MAC, whether or not the identity exists.
- Who is not authorised gets "ID not supported", for no number means just that.
- A request that comes again gets the answer that it got, as long as its time is near enough.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from control.mikey.base_ticket import MPK_SPI, TicketKeys, issue, open_ticket
from control.mikey.errors import Forged, Malformed, MikeyError, Refused, Replayed
from control.mikey.header import EmptyMap, Header
from control.mikey.initiator_data import check_vouched
from control.mikey.keydata import Kemac, KeyData
from control.mikey.message import Message, decode
from control.mikey.ntp import stamp, unix_seconds
from control.mikey.numbers import DataType, ErrorNo, IdRole, KeyType, Prf, RandRole
from control.mikey.octets import Reader
from control.mikey.payloads import Payload, RoleIdentity, RoleRand, Timestamp
from control.mikey.prf import forked_mpk
from control.mikey.protection import (
    KEY_OCTETS,
    MIN_KEY,
    Pair,
    check,
    encrypted,
    exchange,
    kept,
    rand_octets,
    rand_of,
    sealed,
)
from control.mikey.replay import ReplayCache
from control.mikey.report import complain
from control.mikey.terms import FLAGS, Terms, identity_in, terms_of, wish_of
from control.mikey.ticket_payload import Flag, Ticket, TicketPolicy
from mixer.secret import Secret

MAX_LIFETIME_S: Final = 86_400
"""A ticket is good for a day at most, unless the KMS is told otherwise."""

SKEW_S: Final = 300
"""How far the clock of a peer may be off."""

PER_PEER: Final = 16_384
"""Messages of one peer that are answered within twice the skew."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """An authentic initial message, who sent it, and the keys of its exchange."""

    message: Message
    octets: bytes
    peer: str
    psk: Secret
    keys: Pair


class TicketAuthority:
    """A KMS, sans-IO: octets of one message in, octets of its answer out."""

    def __init__(
        self,
        psk_of: Callable[[str], Secret | None],
        may_request: Callable[[str, str], bool],
        may_resolve: Callable[[str, str], bool],
        *,
        ticket_key: Secret,
        fresh: Callable[[int], bytes] = secrets.token_bytes,
        identity: str = "kms",
        max_lifetime_s: int = MAX_LIFETIME_S,
        skew_s: int = SKEW_S,
        per_peer: int = PER_PEER,
    ) -> None:
        """Take what only the deployment knows.

        `psk_of(identity)`: the key shared with a peer, at least 16 octets, or None for a stranger.
        `may_request(identity, conference)`, `may_resolve(identity, conference)`: who gets tickets, who keys.
        `ticket_key`: known to this KMS only, at least 16 octets. While it stays, tickets outlive a restart.
        `identity`: the name of this KMS, as peers know it.

        Raises:
            Malformed: if the ticket key is too short.
        """
        self._psk_of, self._may_request, self._may_resolve = psk_of, may_request, may_resolve
        self._tpk = kept(ticket_key, "ticket key")
        self._fresh = fresh
        self._nobody = Secret(fresh(KEY_OCTETS))
        self._identity = identity
        self._max_lifetime_s = max_lifetime_s
        self._replay = ReplayCache(skew_s, per_peer)

    def answer(self, octets: bytes, *, now: int) -> bytes:
        """The answer to a message: a REQUEST_RESP, a RESOLVE_RESP, or an Error message.

        `now` is in Unix seconds. Empty for an Error message, which gets no answer (section 5.4). Nothing
        that comes from outside raises; what the callables of the deployment raise passes through.
        """
        header = _header_of(octets)
        if header.data_type == DataType.ERROR:
            return b""
        asked = None
        try:
            asked = self._authenticated(octets)
            return self._answer(asked, now)
        except MikeyError as error:
            key = None if asked is None else asked.keys.initial.authentication
            return complain(header, _number_of(error), stamp(now, self._fresh), key)

    def _authenticated(self, octets: bytes) -> _Asked:
        """Who sent a message. Of strangers the MAC is computed, too, so that time tells nothing."""
        message = decode(octets)
        if message.header.data_type not in _ROLES:
            raise Refused("only tickets are requested and resolved here", ErrorNo.INVALID_DT)
        if not isinstance(message.header.map, EmptyMap):
            raise Malformed("a message to the KMS handles no crypto sessions")
        role, rand_role = _ROLES[message.header.data_type]
        peer, rand = identity_in(message.all(RoleIdentity), role), rand_of(message, rand_role)
        known = self._psk_of(peer)
        psk = self._nobody if known is None or len(known) < MIN_KEY else known
        keys = exchange(psk, message.header.csb_id, rand_role, rand)
        check(message, octets, keys.initial, peer.encode() + self._identity.encode())
        if psk is self._nobody:
            raise Forged("the peer is not known")
        named = [each.octets for each in message.all(RoleIdentity) if each.role == IdRole.KMS]
        if named not in ([], [self._identity.encode()]):
            raise Forged("the message is for another KMS")
        if len(rand) < rand_octets(psk):
            raise Refused(f"the RAND has less than {rand_octets(psk)} octets")
        return _Asked(message, octets, peer, psk, keys)

    def _answer(self, asked: _Asked, now: int) -> bytes:
        before = self._replay.recall(asked.octets, now)
        if before is not None:
            return before
        self._replay.check(asked.peer, unix_seconds(asked.message.one(Timestamp)), now)
        clock = stamp(now, self._fresh)
        if asked.message.header.data_type == DataType.REQUEST_INIT_PSK:
            kind, parts = DataType.REQUEST_RESP, self._granted(asked, clock, now)
        else:
            kind, parts = DataType.RESOLVE_RESP, self._resolved(asked, clock, now)
        header = Header(kind, asked.message.header.csb_id, prf=Prf.HMAC_SHA_256)
        kms = RoleIdentity.of(IdRole.KMS, self._identity.encode())
        octets = sealed(Message(header, (clock, kms, *parts)), asked.keys.answer, asked.octets)
        self._replay.remember(asked.peer, asked.octets, octets, now)
        return octets

    def _granted(self, asked: _Asked, clock: Timestamp, now: int) -> tuple[Payload, ...]:
        """TICKET and KEMAC for one who asked for a ticket."""
        policy = asked.message.one(TicketPolicy)
        wanted, key = wish_of(policy)
        terms = Terms(
            self._identity, asked.peer, wanted.conference, wanted.start, min(wanted.end, now + self._max_lifetime_s)
        )
        terms.check_time(now)
        if not self._may_request(asked.peer, terms.conference):
            raise Refused("the peer may not have tickets for this conference", ErrorNo.INVALID_ID)
        group = KeyData(KeyType.GTGK, Secret(self._fresh(len(key.key))), None, key.validity)
        granted = terms.policy(FLAGS if terms == wanted else FLAGS | Flag.CHANGED)
        ticket, keys = issue(
            granted,
            group,
            mpk=Secret(self._fresh(KEY_OCTETS)),
            tpk=self._tpk,
            rand=self._fresh(rand_octets(self._tpk)),
            clock=clock,
        )
        return ticket, self._kemac(asked, keys.mpk_i, keys.mpk_r, group, clock)

    def _resolved(self, asked: _Asked, clock: Timestamp, now: int) -> tuple[Payload, ...]:
        """KEMAC, IDRr and RANDRkms for one who brought a ticket."""
        ticket = asked.message.one(Ticket)
        keys = self._opened(ticket)
        terms = terms_of(ticket.policy)
        terms.check_time(now)
        if not self._may_resolve(asked.peer, terms.conference):
            raise Refused("the peer may not have the keys of this conference", ErrorNo.INVALID_ID)
        modifier = RoleRand(RandRole.KMS, self._fresh(KEY_OCTETS))
        own = forked_mpk(keys.mpk_r, asked.peer.encode(), modifier.octets)
        kemac = self._kemac(asked, keys.mpk_i, own, keys.group, clock)
        return kemac, RoleIdentity.of(IdRole.RESPONDER, asked.peer.encode()), modifier

    def _opened(self, ticket: Ticket) -> TicketKeys:
        try:
            keys = open_ticket(ticket, self._tpk)
            check_vouched(ticket.initiator_data, keys.mpk_r)
        except (Forged, Malformed, Refused):
            raise Refused("the ticket is none of this KMS, or not sent by its owner", ErrorNo.INVALID_TICKET) from None
        return keys

    @staticmethod
    def _kemac(asked: _Asked, mpk_i: Secret, second: Secret, group: KeyData, clock: Timestamp) -> Kemac:
        """MPKi, MPKr or MPKr', and the group key."""
        protection = [KeyData(KeyType.MPK, mpk, None, MPK_SPI) for mpk in (mpk_i, second)]
        return encrypted((*protection, group), asked.keys.answer, asked.message.header.csb_id, clock)


def _header_of(octets: bytes) -> Header:
    """The header of a message, or one of nothing: an Error message repeats its CSB ID and PRF (section 5.4)."""
    try:
        return Header.read(Reader(octets))[0]
    except Malformed:
        return Header(DataType.REQUEST_INIT_PSK, 0, prf=Prf.HMAC_SHA_256)


def _number_of(error: MikeyError) -> ErrorNo:
    match error:
        case Forged():
            return ErrorNo.AUTH_FAILURE
        case Replayed():
            return ErrorNo.INVALID_TS
        case Refused():
            return error.number
        case _:
            return ErrorNo.UNSPECIFIED


_ROLES: Final[dict[int, tuple[IdRole, RandRole]]] = {
    DataType.REQUEST_INIT_PSK: (IdRole.INITIATOR, RandRole.INITIATOR),
    DataType.RESOLVE_INIT_PSK: (IdRole.RESPONDER, RandRole.RESPONDER),
}
