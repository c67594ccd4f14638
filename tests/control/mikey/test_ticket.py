"""Tickets from end to end: who gets keys, who does not, and whose word counts for what."""

from __future__ import annotations

from dataclasses import replace

import pytest

from control.mikey.errors import Forged, Malformed, MikeyError, Refused, Reported
from control.mikey.message import Message, decode
from control.mikey.numbers import ErrorNo
from control.mikey.payloads import Payload, RoleIdentity
from control.mikey.prf import group_srtp_key
from control.mikey.terms import Terms
from control.mikey.ticket import MAX_LIFETIME_S, TicketAuthority
from control.mikey.ticket_payload import Flag, Ticket
from control.mikey.ticket_request import TicketRequester
from mixer.secret import Secret
from tests.control.mikey import samples
from tests.control.mikey.parties import (
    ALICE,
    BOB,
    EVE,
    FOCUS,
    KEYS,
    KMS,
    MKI,
    NOW,
    ROOM,
    STREAMS,
    SUITE,
    authority,
    complaint,
    granted,
    holder,
    requester,
    resolved,
    transferred,
)


def test_the_whole_way() -> None:
    kms, focus, alice = authority(), requester(), holder()
    grant = granted(focus, kms)
    assert grant.terms == Terms(KMS, FOCUS, ROOM, NOW, NOW + 3600)
    key, confirmation = resolved(alice, kms, transferred(focus, grant))
    assert (key.terms, key.suite, key.mki, key.epoch) == (grant.terms, SUITE, MKI, 7)
    assert [session.stream() for session in key.sessions] == [(each.ssrc, each.roc, each.seq) for each in STREAMS]
    assert key.group_key == grant.group_key
    assert focus.transferred(confirmation) == (ALICE, grant)


def test_members_and_mixer_have_the_same_srtp_keys() -> None:
    kms, focus = authority(), requester()
    grant = granted(focus, kms)
    keys = [resolved(holder(who), kms, transferred(focus, grant, who))[0] for who in (ALICE, BOB)]
    for cs_id in (1, 2):
        assert keys[0].srtp_key(cs_id) == keys[1].srtp_key(cs_id) == grant.srtp_key(SUITE, cs_id)
    assert keys[0].srtp_key(1) != keys[0].srtp_key(2)
    assert keys[0].srtp_key() == group_srtp_key(grant.group_key, cs_id=1, rand_i=grant.rand, suite=SUITE)
    with pytest.raises(Malformed):
        keys[0].srtp_key(3)


def test_each_ticket_has_a_key_of_its_own() -> None:
    kms, focus = authority(), requester()
    first, second = granted(focus, kms), granted(focus, kms)
    assert first.group_key != second.group_key
    assert first.rand != second.rand


def test_the_kms_keeps_no_keys_and_may_restart() -> None:
    focus = requester()
    transfer = transferred(focus, granted(focus, authority()))
    _, confirmation = resolved(holder(), authority(), transfer)
    assert focus.transferred(confirmation)[0] == ALICE


def test_no_key_is_seen_on_the_way() -> None:
    kms, focus, alice = authority(), requester(), holder()
    seen = [focus.request(ROOM, mki=MKI, now=NOW)]
    seen.append(kms.answer(seen[0], now=NOW))
    grant = focus.granted(seen[1], now=NOW)
    seen.append(transferred(focus, grant))
    seen.append(alice.resolve(seen[2], now=NOW))
    seen.append(kms.answer(seen[3], now=NOW))
    _, confirmation = alice.resolved(seen[4], now=NOW)
    seen.append(confirmation)
    for secret in (grant.group_key, grant.mpk_i, grant.mpk_r, grant.srtp_key(SUITE)):
        octets = secret.reveal()
        for at in range(len(octets) - 3):
            assert all(octets[at : at + 4] not in message for message in seen)


# ---------------------------------------------------------------------------------------------
# who may


def test_who_may_not_request_gets_no_ticket() -> None:
    kms, eve = authority(), requester(EVE)
    answer = kms.answer(eve.request(ROOM, mki=MKI, now=NOW), now=NOW)
    assert complaint(answer) == (ErrorNo.INVALID_ID, True)
    with pytest.raises(Reported, match=r"invalid id$") as caught:
        eve.granted(answer, now=NOW)
    assert caught.value.authentic
    with pytest.raises(Refused, match="no request"):
        eve.granted(answer, now=NOW)


def test_who_may_request_for_one_conference_may_not_for_another() -> None:
    answer = authority().answer(requester().request("sip:other@example.net", mki=MKI, now=NOW), now=NOW)
    assert complaint(answer) == (ErrorNo.INVALID_ID, True)


def test_who_may_not_resolve_gets_no_key() -> None:
    kms, focus, eve = authority(), requester(), holder(EVE)
    answer = kms.answer(eve.resolve(transferred(focus, granted(focus, kms), EVE), now=NOW), now=NOW)
    assert complaint(answer) == (ErrorNo.INVALID_ID, True)
    with pytest.raises(Reported):
        eve.resolved(answer, now=NOW)
    with pytest.raises(Refused, match="no ticket waits"):
        eve.resolved(answer, now=NOW)


def test_who_has_left_gets_no_key_of_a_ticket_made_before() -> None:
    focus = requester()
    transfer = transferred(focus, granted(focus, authority()))
    assert complaint(authority(frozenset((BOB,))).answer(holder().resolve(transfer, now=NOW), now=NOW))[1]


@pytest.mark.parametrize("who", [EVE, "sip:nobody@example.net"])
def test_strangers_and_wrong_keys_are_told_the_same(who: str) -> None:
    stranger = TicketRequester(Secret(bytes(32)), identity=who, kms=KMS)
    answer = authority().answer(stranger.request(ROOM, mki=MKI, now=NOW), now=NOW)
    assert complaint(answer) == (ErrorNo.AUTH_FAILURE, False)
    with pytest.raises(Reported, match="not authenticated"):
        stranger.granted(answer, now=NOW)


def test_a_message_to_another_kms_is_not_answered() -> None:
    stray = TicketRequester(KEYS[FOCUS], identity=FOCUS, kms="sip:elsewhere@example.net")
    answer = authority().answer(stray.request(ROOM, mki=MKI, now=NOW), now=NOW)
    assert complaint(answer) == (ErrorNo.AUTH_FAILURE, False)


def test_a_key_of_the_kms_that_is_too_short_opens_nothing() -> None:
    weak = TicketAuthority(
        lambda _: Secret(b"short"), lambda *_: True, lambda *_: True, ticket_key=Secret(bytes(16)), identity=KMS
    )
    answer = weak.answer(requester().request(ROOM, mki=MKI, now=NOW), now=NOW)
    assert complaint(answer) == (ErrorNo.AUTH_FAILURE, False)


# ---------------------------------------------------------------------------------------------
# tickets that are not what they should be


def test_a_ticket_of_another_kms_is_forged() -> None:
    focus = requester()
    transfer = transferred(focus, granted(focus, authority(key=samples.psk(98))))
    answer = authority().answer(holder().resolve(transfer, now=NOW), now=NOW)
    assert complaint(answer) == (ErrorNo.INVALID_TICKET, True)


def test_no_bit_of_a_ticket_can_be_turned() -> None:
    """By one who has MPKi, as every member does, and makes the rest of the message right again."""
    kms, focus = authority(), requester()
    grant = granted(focus, kms)
    for field in ("data", "policy"):
        octets = grant.ticket.data if field == "data" else grant.ticket.policy.data
        for at in range(len(octets)):
            spoiled = octets[:at] + bytes((octets[at] ^ 1,)) + octets[at + 1 :]
            ticket = (
                replace(grant.ticket, data=spoiled)
                if field == "data"
                else replace(grant.ticket, policy=replace(grant.ticket.policy, data=spoiled))
            )
            with pytest.raises(MikeyError):
                resolved(holder(), kms, transferred(focus, replace(grant, ticket=ticket)))
    assert resolved(holder(), kms, transferred(focus, grant))


@pytest.mark.parametrize("now", [NOW - 1, NOW + 3601])
def test_a_ticket_has_its_time(now: int) -> None:
    kms, focus = authority(), requester()
    grant = granted(focus, kms)
    with pytest.raises(Refused, match="not valid"):
        transferred(focus, grant, now=now)
    transfer = transferred(focus, grant)
    with pytest.raises(Refused, match="not valid"):
        holder().resolve(transfer, now=now)
    answer = kms.answer(holder().resolve(transfer, now=NOW), now=now)
    assert complaint(answer)[0] == ErrorNo.INVALID_TS


def test_an_expired_ticket_in_a_fresh_message_is_refused_by_the_kms() -> None:
    """A member whose own clock stands still would still ask; the KMS looks at its own."""
    kms, focus = authority(), requester()
    grant = focus.granted(kms.answer(focus.request(ROOM, mki=MKI, now=NOW, lifetime_s=10), now=NOW), now=NOW)
    asked = holder().resolve(transferred(focus, grant, now=NOW + 10), now=NOW + 10)
    assert complaint(kms.answer(asked, now=NOW + 11)) == (ErrorNo.INVALID_TS, True)


def test_the_kms_shortens_what_is_asked_for_and_says_so() -> None:
    kms, focus = authority(), requester()
    asked = focus.request(ROOM, mki=MKI, now=NOW, lifetime_s=MAX_LIFETIME_S + 1)
    grant = focus.granted(kms.answer(asked, now=NOW), now=NOW)
    assert grant.terms.end == NOW + MAX_LIFETIME_S
    assert grant.ticket.policy.flags & Flag.CHANGED
    assert not granted(focus, kms).ticket.policy.flags & Flag.CHANGED
    assert resolved(holder(), kms, transferred(focus, grant))[0].terms == grant.terms


def test_a_ticket_that_is_over_before_it_begins_is_not_made() -> None:
    answer = authority().answer(requester().request(ROOM, mki=MKI, now=NOW, lifetime_s=-1), now=NOW)
    assert complaint(answer) == (ErrorNo.INVALID_TS, True)


# ---------------------------------------------------------------------------------------------
# members against each other


def test_a_member_cannot_pass_for_the_conference_system() -> None:
    """It holds MPKi and the ticket, but not MPKr (RFC 6043 section 12.4)."""
    kms, focus = authority(), requester()
    grant = granted(focus, kms)
    mallory = replace(grant, mpk_r=samples.psk(66))
    answer = kms.answer(holder(BOB).resolve(transferred(focus, mallory, BOB), now=NOW), now=NOW)
    assert complaint(answer) == (ErrorNo.INVALID_TICKET, True)


def test_a_transfer_cannot_borrow_the_initiator_data_of_another() -> None:
    kms, focus = authority(), requester()
    grant = granted(focus, kms)
    messages = [decode(transferred(focus, grant)) for _ in range(2)]
    lent = messages[0].one(Ticket)
    mixed: tuple[Payload, ...] = tuple(lent if isinstance(each, Ticket) else each for each in messages[1].payloads)
    with pytest.raises(Forged):
        holder().resolve(Message(messages[1].header, mixed).encode(), now=NOW)


def test_a_member_cannot_confirm_for_another() -> None:
    kms, focus, bob = authority(), requester(), holder(BOB)
    grant = granted(focus, kms)
    transfer = transferred(focus, grant, ALICE)
    with pytest.raises(Refused, match="another member"):
        bob.resolve(transfer, now=NOW)
    _, confirmation = resolved(holder(BOB), kms, transferred(focus, grant, BOB))
    forged = decode(confirmation)
    header = replace(forged.header, csb_id=decode(transfer).header.csb_id)
    with pytest.raises(Refused, match="another member"):
        focus.transferred(Message(header, forged.payloads).encode())
    named = [RoleIdentity(2, ALICE.encode()) if isinstance(each, RoleIdentity) else each for each in forged.payloads]
    with pytest.raises(Forged):
        focus.transferred(Message(header, tuple(named)).encode())
