"""The conference system of RFC 6043: it asks the KMS for a ticket, and sends it to the members.

Knows the keys of its tickets; must never know a clock, a socket, or who is a member.

    request       REQUEST_INIT_PSK to the KMS           granted       its REQUEST_RESP: a Grant
    transfer      TRANSFER_INIT to a member             transferred   its TRANSFER_RESP: the member has the key

One ticket is one epoch: a group key with its MKI. The profile is that of `control.mikey.terms`.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from control.mikey.errors import Refused, Reported
from control.mikey.header import GenericMap, GenericSession, Header
from control.mikey.initiator_data import vouch
from control.mikey.keydata import Kemac, KeyData, Spi, write_keys
from control.mikey.message import Message, decode
from control.mikey.ntp import stamp
from control.mikey.numbers import DataType, EncrAlg, IdRole, KeyType, MacAlg, Prf, RandRole
from control.mikey.payloads import RoleIdentity, RoleRand, Timestamp, Verification
from control.mikey.policy import policy_of
from control.mikey.prf import forked_mpk, group_srtp_key
from control.mikey.protection import (
    KEY_OCTETS,
    MAC,
    MAC_OCTETS,
    Pair,
    check_answer,
    decrypted,
    exchange,
    kept,
    rand_octets,
    rand_of,
    sealed,
)
from control.mikey.terms import Terms, identity_in, terms_of
from control.mikey.ticket_payload import Ticket
from mixer.secret import Secret
from mixer.suites import SuiteName

LIFETIME_S: Final = 3600
"""How long a ticket is asked to be good for."""


@dataclass(frozen=True, slots=True)
class Stream:
    """An SRTP stream under the group key, and how far it has come."""

    ssrc: int
    roc: int = 0
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Grant:
    """A ticket and the keys that it encodes."""

    terms: Terms
    ticket: Ticket
    mpk_i: Secret
    mpk_r: Secret
    group_key: Secret
    mki: bytes
    rand: bytes
    """RANDRi of all transfers of this ticket."""

    def srtp_key(self, suite: SuiteName, cs_id: int = 1) -> Secret:
        """Master key || master salt for the mixer; members derive the same from the transfer."""
        return group_srtp_key(self.group_key, cs_id=cs_id, rand_i=self.rand, suite=suite)


@dataclass(frozen=True, slots=True)
class _Request:
    octets: bytes
    keys: Pair
    conference: str
    mki: bytes


@dataclass(frozen=True, slots=True)
class _Transfer:
    octets: bytes
    member: str
    grant: Grant


class TicketRequester:
    """The initiator. Whatever it sends may be sent again as it is, until it is answered."""

    def __init__(
        self, psk: Secret, *, identity: str, kms: str = "kms", fresh: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        """`psk` is shared with the KMS. Raises Malformed if it is shorter than 16 octets."""
        self._psk = kept(psk)
        self._identity, self._kms = identity, kms
        self._fresh = fresh
        self._requests: dict[int, _Request] = {}
        self._transfers: dict[int, _Transfer] = {}

    def request(self, conference: str, *, mki: bytes, now: int, lifetime_s: int = LIFETIME_S) -> bytes:
        """REQUEST_INIT_PSK: a ticket for a group key of 32 octets that goes by this MKI, good from now on."""
        csb_id, rand = self._new_csb(self._requests), self._fresh(rand_octets(self._psk))
        terms = Terms(self._kms, self._identity, conference, now, now + lifetime_s)
        key = KeyData(KeyType.GTGK, Secret(bytes(KEY_OCTETS)), None, Spi(mki))
        wish = Kemac(write_keys((key,)), EncrAlg.NULL, MacAlg.NULL)
        header = Header(DataType.REQUEST_INIT_PSK, csb_id, verify=True, prf=Prf.HMAC_SHA_256)
        parts = (
            stamp(now, self._fresh),
            RoleRand(RandRole.INITIATOR, rand),
            RoleIdentity.of(IdRole.INITIATOR, self._identity.encode()),
            RoleIdentity.of(IdRole.KMS, self._kms.encode()),
            terms.policy(more=(wish,)),
        )
        keys = exchange(self._psk, csb_id, RandRole.INITIATOR, rand)
        octets = sealed(Message(header, parts), keys.initial, self._identity.encode() + self._kms.encode())
        self._requests[csb_id] = _Request(octets, keys, conference, mki)
        return octets

    def granted(self, octets: bytes, *, now: int) -> Grant:
        """What a REQUEST_RESP grants.

        Raises:
            Malformed, Forged: if it is not the answer of the KMS to a request.
            Refused: if there is no such request, or the ticket is not what was asked for, or not valid now.
            Reported: if the KMS refused. If that is authentic, the request is over.
        """
        message = decode(octets)
        csb_id = message.header.csb_id
        asked = self._requests.get(csb_id)
        if asked is None:
            raise Refused("no request for a ticket waits for this answer")
        try:
            check_answer(message, octets, DataType.REQUEST_RESP, asked.keys, asked.octets)
        except Reported as report:
            if report.authentic:
                del self._requests[csb_id]
            raise
        ticket = message.one(Ticket)
        terms = terms_of(ticket.policy)
        if (terms.kms, terms.initiator, terms.conference) != (self._kms, self._identity, asked.conference):
            raise Refused("the ticket is for others than it was asked for")
        terms.check_time(now)
        keys = decrypted(message.one(Kemac), asked.keys.answer, csb_id, message.one(Timestamp))
        if [key.kind for key in keys] != [KeyType.MPK, KeyType.MPK, KeyType.GTGK] or keys[2].validity != Spi(asked.mki):
            raise Refused("the keys are not those that were asked for")
        del self._requests[csb_id]
        mpk_i, mpk_r, group = (key.key for key in keys)
        return Grant(terms, ticket, mpk_i, mpk_r, group, asked.mki, self._fresh(KEY_OCTETS))

    def transfer(self, grant: Grant, member: str, streams: Sequence[Stream], suite: SuiteName, *, now: int) -> bytes:
        """TRANSFER_INIT: the ticket for a member, and the streams under its key.

        The first stream has the crypto session id 1. All members must be given the streams in one order.

        Raises:
            Refused: if the ticket is no longer valid.
        """
        grant.terms.check_time(now)
        csb_id = self._new_csb(self._transfers)
        sessions = [
            GenericSession.of_srtp(cs_id, 0, ssrc=each.ssrc, roc=each.roc, seq=each.seq, mki=grant.mki)
            for cs_id, each in enumerate(streams, 1)
        ]
        header = Header(DataType.TRANSFER_INIT, csb_id, GenericMap(tuple(sessions)), True, Prf.HMAC_SHA_256)
        head = (
            stamp(now, self._fresh),
            RoleRand(RandRole.INITIATOR, grant.rand),
            RoleIdentity.of(IdRole.INITIATOR, self._identity.encode()),
            RoleIdentity.of(IdRole.RESPONDER, member.encode()),
            policy_of(suite),
        )
        keys = exchange(grant.mpk_i, csb_id, RandRole.INITIATOR, grant.rand)
        plain = Message(header, (*head, grant.ticket))
        tag = sealed(plain, keys.initial, self._identity.encode() + member.encode())[-MAC_OCTETS:]
        ticket = replace(grant.ticket, initiator_data=vouch(tag, grant.mpk_r))
        octets = Message(header, (*head, ticket, Verification(MAC, tag))).encode()
        self._transfers[csb_id] = _Transfer(octets, member, grant)
        return octets

    def transferred(self, octets: bytes) -> tuple[str, Grant]:
        """Who has confirmed, by a TRANSFER_RESP, that it has the keys of which ticket.

        Raises:
            Malformed, Forged: if it is not the answer of that member to a transfer.
            Refused: if there is no such transfer, or it was confirmed before.
            Reported: if the member refused; nothing can vouch for that but keys that all members have.
        """
        message = decode(octets)
        csb_id = message.header.csb_id
        sent = self._transfers.get(csb_id)
        if sent is None:
            raise Refused("no transfer of a ticket waits for this answer")
        mpk = sent.grant.mpk_i
        if message.header.data_type != DataType.ERROR:
            member = identity_in(message.all(RoleIdentity), IdRole.RESPONDER)
            if member != sent.member:
                raise Refused("the answer is from another member than the ticket was sent to")
            mpk = forked_mpk(sent.grant.mpk_r, member.encode(), rand_of(message, RandRole.KMS))
        keys = Pair(
            exchange(sent.grant.mpk_i, csb_id, RandRole.INITIATOR, sent.grant.rand).initial,
            exchange(mpk, csb_id, RandRole.INITIATOR, sent.grant.rand).answer,
        )
        check_answer(message, octets, DataType.TRANSFER_RESP, keys, sent.octets)
        del self._transfers[csb_id]
        return sent.member, sent.grant

    def forget(self, conference: str) -> None:
        """Wait no longer for answers that concern a conference."""
        self._requests = {csb: each for csb, each in self._requests.items() if each.conference != conference}
        self._transfers = {
            csb: each for csb, each in self._transfers.items() if each.grant.terms.conference != conference
        }

    def _new_csb(self, taken: dict[int, _Request] | dict[int, _Transfer]) -> int:
        """A CSB ID that no exchange of this kind uses (RFC 3830 section 6.1)."""
        while True:
            (csb_id,) = struct.unpack(">I", self._fresh(4))
            if csb_id not in taken:
                return int(csb_id)
