"""A member, as RFC 6043 has it: it takes a ticket, has the KMS resolve it, and confirms.

Knows one pre-shared key, that with the KMS; must never know a clock, a socket, or who else is a member.

    resolve       TRANSFER_INIT of the conference system -> RESOLVE_INIT_PSK to the KMS
    resolved      RESOLVE_RESP of the KMS -> the group key, and TRANSFER_RESP to the conference system

Before the KMS has answered, nothing in a TRANSFER_INIT can be checked but whether it would be acceptable
(section 4.2.2.2). The profile is that of `control.mikey.terms`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from control.mikey.errors import Forged, Malformed, Refused, Reported
from control.mikey.header import GenericMap, GenericSession, Header
from control.mikey.initiator_data import vouched_mac
from control.mikey.keydata import Kemac, KeyData, Spi
from control.mikey.message import Message, decode
from control.mikey.ntp import stamp, unix_seconds
from control.mikey.numbers import DataType, IdRole, KeyType, Prf, RandRole
from control.mikey.payloads import RoleIdentity, RoleRand, Timestamp
from control.mikey.policy import SecurityPolicy, suite_of
from control.mikey.prf import group_srtp_key
from control.mikey.protection import (
    KEY_OCTETS,
    Pair,
    check,
    check_answer,
    claimed_mac,
    decrypted,
    exchange,
    kept,
    rand_octets,
    rand_of,
    sealed,
)
from control.mikey.replay import ReplayCache
from control.mikey.terms import Terms, identity_in, terms_of
from control.mikey.ticket import PER_PEER, SKEW_S
from control.mikey.ticket_payload import Ticket
from mixer.secret import Secret
from mixer.suites import SuiteName


@dataclass(frozen=True, slots=True)
class GroupKey:
    """A group key as it reached a member, and the streams that it is for."""

    terms: Terms
    suite: SuiteName
    mki: bytes
    sessions: tuple[GenericSession, ...]
    """Each has a `cs_id` and, by `stream()`, its SSRC, ROC and SEQ."""
    group_key: Secret
    rand: bytes

    @property
    def epoch(self) -> int:
        """The number of the group key's reign: its MKI as a number."""
        return int.from_bytes(self.mki)

    def srtp_key(self, cs_id: int = 1) -> Secret:
        """Master key || master salt of one crypto session.

        Raises:
            Malformed: if there is no such session.
        """
        if cs_id not in {session.cs_id for session in self.sessions}:
            raise Malformed(f"the transfer has no crypto session {cs_id}")
        return group_srtp_key(self.group_key, cs_id=cs_id, rand_i=self.rand, suite=self.suite)


@dataclass(frozen=True, slots=True)
class _Offer:
    """A TRANSFER_INIT that would be acceptable, were it authentic."""

    message: Message
    octets: bytes
    ticket: Ticket
    terms: Terms
    suite: SuiteName
    sessions: tuple[GenericSession, ...]
    mki: bytes
    rand: bytes


@dataclass(frozen=True, slots=True)
class _Resolve:
    offer: _Offer
    octets: bytes
    keys: Pair


class TicketHolder:
    """The responder. What it sends to the KMS may be sent again as it is, until it is answered."""

    def __init__(
        self,
        psk: Secret,
        *,
        identity: str,
        kms: str = "kms",
        fresh: Callable[[int], bytes] = secrets.token_bytes,
        skew_s: int = SKEW_S,
    ) -> None:
        """`psk` is shared with the KMS. Raises Malformed if it is shorter than 16 octets."""
        self._psk = kept(psk)
        self._identity, self._kms = identity, kms
        self._fresh = fresh
        self._replay = ReplayCache(skew_s, PER_PEER)
        self._waiting: dict[int, _Resolve] = {}

    def resolve(self, octets: bytes, *, now: int) -> bytes:
        """RESOLVE_INIT_PSK for the ticket in a TRANSFER_INIT.

        A transfer that was confirmed before needs no KMS: see `confirmed`. Only the newest 16 that wait
        for the KMS are kept, for nobody has authenticated them.

        Raises:
            Malformed: if it is no such message.
            Refused: if it is for another member, or would not be acceptable even if it is authentic.
            Replayed: if its time is too far off.
        """
        offer = self._offer(decode(octets), octets, now)
        rand = self._fresh(rand_octets(self._psk))
        csb_id = int.from_bytes(self._fresh(4))
        keys = exchange(self._psk, csb_id, RandRole.RESPONDER, rand)
        header = Header(DataType.RESOLVE_INIT_PSK, csb_id, verify=True, prf=Prf.HMAC_SHA_256)
        parts = (
            stamp(now, self._fresh),
            RoleRand(RandRole.RESPONDER, rand),
            RoleIdentity.of(IdRole.RESPONDER, self._identity.encode()),
            RoleIdentity.of(IdRole.KMS, self._kms.encode()),
            offer.ticket,
        )
        sent = sealed(Message(header, parts), keys.initial, self._identity.encode() + self._kms.encode())
        while len(self._waiting) >= 16:
            del self._waiting[next(iter(self._waiting))]
        self._waiting[csb_id] = _Resolve(offer, sent, keys)
        return sent

    def confirmed(self, octets: bytes, *, now: int) -> bytes | None:
        """The TRANSFER_RESP that this very TRANSFER_INIT got before, if it is remembered: it may have been lost."""
        return self._replay.recall(octets, now)

    def resolved(self, octets: bytes, *, now: int) -> tuple[GroupKey, bytes]:
        """The group key that a RESOLVE_RESP brings, and the TRANSFER_RESP to send.

        Raises:
            Malformed, Forged: if it is not the answer of the KMS, or the TRANSFER_INIT was not authentic.
            Refused: if nothing waits for it, or the keys do not go with the transfer.
            Replayed: if the transfer was taken before.
            Reported: if the KMS refused. If that is authentic, the transfer is over.
        """
        message = decode(octets)
        asked = self._waiting.get(message.header.csb_id)
        if asked is None:
            raise Refused("no ticket waits for this answer")
        try:
            check_answer(message, octets, DataType.RESOLVE_RESP, asked.keys, asked.octets)
        except Reported as report:
            if report.authentic:
                del self._waiting[message.header.csb_id]
            raise
        keys = decrypted(message.one(Kemac), asked.keys.answer, message.header.csb_id, message.one(Timestamp))
        del self._waiting[message.header.csb_id]
        offer = asked.offer
        mpk_i, own, group = _kinds(keys, offer.mki)
        self._check_transfer(offer, mpk_i)
        if self._replay.recall(offer.octets, now) is not None:
            raise Refused("the transfer was confirmed before")
        self._replay.check(offer.terms.initiator, unix_seconds(offer.message.one(Timestamp)), now)
        sent = self._confirmation(offer, own, message, now)
        self._replay.remember(offer.terms.initiator, offer.octets, sent, now)
        return GroupKey(offer.terms, offer.suite, offer.mki, offer.sessions, group, offer.rand), sent

    def _offer(self, message: Message, octets: bytes, now: int) -> _Offer:
        if message.header.data_type != DataType.TRANSFER_INIT:
            raise Refused("the message transfers no ticket")
        ticket, identities = message.one(Ticket), message.all(RoleIdentity)
        terms = terms_of(ticket.policy)
        terms.check_time(now)
        if (terms.kms, terms.initiator) != (self._kms, identity_in(identities, IdRole.INITIATOR)):
            raise Refused("the ticket is of another KMS, or not of the one who sends it")
        if identity_in(identities, IdRole.RESPONDER) != self._identity:
            raise Refused("the ticket is sent to another member")
        if message.all(Kemac):
            raise Refused("the transfer brings a key of its own, which its ticket does not allow")
        if vouched_mac(ticket.initiator_data) != claimed_mac(message):
            raise Forged("the initiator data of the ticket are for another transfer")
        self._replay.check(terms.initiator, unix_seconds(message.one(Timestamp)), now)
        sessions, suite, mki = _streams(message)
        rand = rand_of(message, RandRole.INITIATOR)
        if len(rand) < KEY_OCTETS:
            raise Refused(f"the RAND has less than {KEY_OCTETS} octets")
        return _Offer(message, octets, ticket, terms, suite, sessions, mki, rand)

    def _check_transfer(self, offer: _Offer, mpk_i: Secret) -> None:
        """Now that MPKi is known, the TRANSFER_INIT can be authenticated."""
        keys = exchange(mpk_i, offer.message.header.csb_id, RandRole.INITIATOR, offer.rand)
        suffix = offer.terms.initiator.encode() + self._identity.encode()
        check(offer.message, offer.octets, keys.initial, suffix)

    def _confirmation(self, offer: _Offer, own: Secret, answer: Message, now: int) -> bytes:
        """TRANSFER_RESP, under the MPKr' that only this member, the initiator and the KMS have."""
        if identity_in(answer.all(RoleIdentity), IdRole.RESPONDER) != self._identity:
            raise Refused("the KMS forked the keys for another identity")
        modifier = RoleRand(RandRole.KMS, rand_of(answer, RandRole.KMS))
        header = offer.message.header
        keys = exchange(own, header.csb_id, RandRole.INITIATOR, offer.rand)
        parts = (stamp(now, self._fresh), RoleIdentity.of(IdRole.RESPONDER, self._identity.encode()), modifier)
        reply = Header(DataType.TRANSFER_RESP, header.csb_id, header.map, prf=Prf.HMAC_SHA_256)
        return sealed(Message(reply, parts), keys.answer, offer.octets)


def _streams(message: Message) -> tuple[tuple[GenericSession, ...], SuiteName, bytes]:
    """Crypto sessions of a transfer, and the one suite and MKI that they share."""
    session_map, policies = message.header.map, message.all(SecurityPolicy)
    if not isinstance(session_map, GenericMap) or len(policies) != 1:
        raise Refused("a transfer maps its crypto sessions by GENERIC-ID and has one policy")
    sessions = session_map.sessions
    if any(session.policies != (policies[0].number,) for session in sessions):
        raise Refused("a crypto session has another policy than the one that the transfer brings")
    mkis = {session.spi for session in sessions}
    if len(mkis) != 1 or not min(mkis):
        raise Refused("the crypto sessions of a transfer are under one key, which has an MKI")
    if len({session.cs_id for session in sessions}) != len(sessions):
        raise Malformed("two crypto sessions have the same id")
    for session in sessions:
        session.stream()
    return sessions, suite_of(policies[0]), mkis.pop()


def _kinds(keys: tuple[KeyData, ...], mki: bytes) -> tuple[Secret, Secret, Secret]:
    """MPKi, MPKr' and the group key that a KMS answers with."""
    if [key.kind for key in keys] != [KeyType.MPK, KeyType.MPK, KeyType.GTGK] or keys[2].validity != Spi(mki):
        raise Refused("the keys of the ticket are not those of the transfer")
    mpk_i, own, group = keys
    return mpk_i.key, own.key, group.key
