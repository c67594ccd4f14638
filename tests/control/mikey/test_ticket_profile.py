"""Ticket messages with right MACs that are not of the profile: each is refused for what it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from control.mikey.base_ticket import issue, open_ticket
from control.mikey.errors import Forged, Malformed, MikeyError, Refused
from control.mikey.header import EmptyMap, GenericMap, GenericSession, SrtpMap
from control.mikey.initiator_data import check_vouched, vouched_mac
from control.mikey.keydata import Kemac, KeyData, Spi, write_keys
from control.mikey.message import Message, decode, read_data, write_data
from control.mikey.ntp import ntp_seconds, unix_seconds
from control.mikey.numbers import EncrAlg, ErrorNo, IdRole, KeyType, MacAlg, RandRole, TsType
from control.mikey.payloads import Payload, Rand, RoleIdentity, RoleRand, RoleTimestamp, Timestamp, Verification
from control.mikey.policy import SecurityPolicy, policy_of
from control.mikey.protection import decrypted, encrypted, exchange, sealed
from control.mikey.terms import Terms, terms_of
from control.mikey.ticket_payload import Flag, Ticket, TicketPolicy
from mixer.secret import Secret
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
    authority,
    complaint,
    granted,
    holder,
    requester,
    transferred,
)
from tests.control.mikey.samples import psk

Change = Callable[[Message], Message]


def swapped(message: Message, new: Payload, **which: object) -> Message:
    """The message with one payload of the kind of `new`, told by its fields, in another form."""

    def is_it(each: Payload) -> bool:
        return each.TYPE == new.TYPE and all(getattr(each, name) == value for name, value in which.items())

    assert any(map(is_it, message.payloads))
    return replace(message, payloads=tuple(new if is_it(each) else each for each in message.payloads))


def request_with(change: Change) -> bytes:
    """A request of the conference system, changed before its MAC was made."""
    message = decode(requester().request(ROOM, mki=MKI, now=NOW))
    changed = change(replace(message, payloads=message.payloads[:-1]))
    keys = exchange(KEYS[FOCUS], message.header.csb_id, RandRole.INITIATOR, changed.all(RoleRand)[0].octets)
    return sealed(changed, keys.initial, FOCUS.encode() + KMS.encode())


def policy_with(change: Callable[[TicketPolicy], TicketPolicy]) -> Change:
    return lambda message: swapped(message, change(message.one(TicketPolicy)))


def data_with(change: Callable[[Sequence[Payload]], Sequence[Payload]]) -> Change:
    return policy_with(lambda policy: replace(policy, data=write_data(change(read_data(policy.data)))))


def wished(*keys: KeyData, encryption: int = EncrAlg.NULL) -> Change:
    kemac = Kemac(write_keys(keys), encryption, MacAlg.NULL)
    return data_with(lambda parts: [kemac if isinstance(each, Kemac) else each for each in parts])


def without(kind: type[Payload]) -> Change:
    return data_with(lambda parts: [each for each in parts if not isinstance(each, kind)])


GTGK = KeyData(KeyType.GTGK, Secret(bytes(32)), None, Spi(MKI))


@pytest.mark.parametrize(
    ("change", "number"),
    [
        (policy_with(lambda policy: replace(policy, ticket_type=2)), ErrorNo.INVALID_TICKET),
        (policy_with(lambda policy: replace(policy, version=2)), ErrorNo.INVALID_TICKET),
        (policy_with(lambda policy: replace(policy, prf=0)), ErrorNo.INVALID_TPPAR),
        (policy_with(lambda policy: replace(policy, flags=policy.flags ^ Flag.FORKING)), ErrorNo.INVALID_TPPAR),
        (policy_with(lambda policy: replace(policy, flags=policy.flags | Flag.INITIATOR_KEYS)), ErrorNo.INVALID_TPPAR),
        (policy_with(lambda policy: replace(policy, data=b"")), ErrorNo.INVALID_TPPAR),
        (without(Kemac), ErrorNo.INVALID_TPPAR),
        (without(RoleTimestamp), ErrorNo.INVALID_TPPAR),
        (without(RoleIdentity), ErrorNo.INVALID_TPPAR),
        (data_with(lambda parts: [*parts, RoleIdentity(IdRole.RESPONDER, b"sip:x@y")]), ErrorNo.INVALID_TPPAR),
        (data_with(lambda parts: [*parts[:-1], RoleIdentity(IdRole.RESPONDER, b"\xff")]), ErrorNo.INVALID_TPPAR),
        (wished(), ErrorNo.INVALID_TPPAR),
        (wished(GTGK, GTGK), ErrorNo.INVALID_TPPAR),
        (wished(GTGK, encryption=EncrAlg.AES_CM_256), ErrorNo.INVALID_TPPAR),
        (wished(replace(GTGK, validity=None)), ErrorNo.INVALID_TPPAR),
        (wished(replace(GTGK, kind=KeyType.TGK)), ErrorNo.INVALID_TPPAR),
        (wished(replace(GTGK, key=Secret(bytes(15)))), ErrorNo.INVALID_TPPAR),
        (wished(replace(GTGK, key=Secret(bytes(33)))), ErrorNo.INVALID_TPPAR),
        (lambda message: swapped(message, Timestamp(5, TsType.COUNTER)), ErrorNo.UNSPECIFIED),
    ],
)
def test_wishes_that_are_not_granted(change: Change, number: ErrorNo) -> None:
    assert complaint(authority().answer(request_with(change), now=NOW)) == (number, True)


@pytest.mark.parametrize(
    ("change", "number"),
    [
        (
            lambda message: replace(message, header=replace(message.header, map=SrtpMap(()))),
            ErrorNo.UNSPECIFIED,
        ),
        (
            lambda message: swapped(message, RoleIdentity.of(IdRole.KMS, EVE.encode()), role=IdRole.KMS),
            ErrorNo.AUTH_FAILURE,
        ),
        (lambda message: swapped(message, RoleRand(RandRole.INITIATOR, bytes(31))), ErrorNo.UNSPECIFIED),
    ],
)
def test_requests_that_are_not_looked_into(change: Change, number: ErrorNo) -> None:
    assert complaint(authority().answer(request_with(change), now=NOW)) == (number, False)


def test_what_a_request_may_leave_out_or_choose() -> None:
    def no_kms(message: Message) -> Message:
        parts = [each for each in message.payloads if not (isinstance(each, RoleIdentity) and each.role == IdRole.KMS)]
        return replace(message, payloads=tuple(parts))

    for change in (no_kms, wished(replace(GTGK, key=Secret(bytes(16)))), lambda message: message):
        answer = decode(authority().answer(request_with(change), now=NOW))
        assert answer.one(Ticket)


def test_the_kms_writes_its_own_names_into_a_ticket() -> None:
    """An initiator cannot have a ticket that says another asked for it (RFC 6043 section 4.2.1.1)."""
    claim = data_with(
        lambda parts: [
            RoleIdentity.of(IdRole.INITIATOR, EVE.encode())
            if isinstance(each, RoleIdentity) and each.role == IdRole.INITIATOR
            else each
            for each in parts
        ]
    )
    policy = decode(authority().answer(request_with(claim), now=NOW)).one(Ticket).policy
    assert terms_of(policy).initiator == FOCUS
    assert policy.flags & Flag.CHANGED


# ---------------------------------------------------------------------------------------------
# transfers


def transfer_with(change: Change) -> bytes:
    """A TRANSFER_INIT, changed. Its MAC can only be checked with the help of the KMS."""
    focus = requester()
    return change(decode(transferred(focus, granted(focus, authority())))).encode()


def mapped(*sessions: GenericSession) -> Change:
    return lambda message: replace(message, header=replace(message.header, map=GenericMap(sessions)))


ONE = GenericSession.of_srtp(1, 0, ssrc=1, roc=0, seq=0, mki=MKI)


@pytest.mark.parametrize(
    "change",
    [
        lambda message: replace(message, header=replace(message.header, map=EmptyMap())),
        mapped(),
        mapped(ONE, ONE),
        mapped(replace(ONE, policies=())),
        mapped(replace(ONE, policies=(1,))),
        mapped(replace(ONE, spi=b"")),
        mapped(ONE, replace(ONE, cs_id=2, spi=b"\0\0\0\x09")),
        mapped(replace(ONE, session_data=b"")),
        mapped(replace(ONE, protocol=1)),
        lambda message: swapped(message, SecurityPolicy(0, ((0, b"\0"),))),
        lambda message: replace(message, payloads=(policy_of("AEAD_AES_256_GCM", 1), *message.payloads)),
        lambda message: replace(message, payloads=(Kemac(b""), *message.payloads)),
        lambda message: swapped(message, RoleRand(RandRole.INITIATOR, bytes(31))),
        lambda message: swapped(message, RoleIdentity.of(IdRole.INITIATOR, EVE.encode()), role=IdRole.INITIATOR),
        lambda message: swapped(message, RoleIdentity.of(IdRole.RESPONDER, BOB.encode()), role=IdRole.RESPONDER),
        lambda message: swapped(message, replace(message.one(Ticket), initiator_data=b"")),
        lambda message: swapped(message, Timestamp(5, TsType.COUNTER)),
    ],
)
def test_transfers_that_the_kms_is_not_asked_about(change: Change) -> None:
    with pytest.raises(MikeyError):
        holder().resolve(transfer_with(change), now=NOW)


def test_a_transfer_that_was_changed_is_found_out_with_the_help_of_the_kms() -> None:
    other = replace(ONE, session_data=bytes(10))
    alice, kms = holder(), authority()
    asked = alice.resolve(transfer_with(mapped(other)), now=NOW)
    with pytest.raises(Forged):
        alice.resolved(kms.answer(asked, now=NOW), now=NOW)


# ---------------------------------------------------------------------------------------------
# answers of a KMS that is not quite sane


def resolved_with(change: Callable[[Message, list[KeyData]], tuple[Message, list[KeyData]]]) -> None:
    """Let a member take an answer of the KMS that was changed before its MAC was made."""
    focus, alice, kms = requester(), holder(), authority()
    asked = alice.resolve(transferred(focus, granted(focus, kms)), now=NOW)
    message, csb_id = decode(kms.answer(asked, now=NOW)), decode(asked).header.csb_id
    by = exchange(KEYS[ALICE], csb_id, RandRole.RESPONDER, decode(asked).one(RoleRand).octets).answer
    clock = message.one(Timestamp)
    keys = list(decrypted(message.one(Kemac), by, csb_id, clock))
    changed, keys = change(replace(message, payloads=message.payloads[:-1]), keys)
    kemac = encrypted(keys, by, csb_id, clock) if changed.one(Kemac) == message.one(Kemac) else changed.one(Kemac)
    alice.resolved(sealed(swapped(changed, kemac), by, asked), now=NOW)


def test_an_answer_that_was_not_changed_is_taken() -> None:
    resolved_with(lambda message, keys: (message, keys))


@pytest.mark.parametrize(
    "change",
    [
        lambda message, keys: (message, keys[:2]),
        lambda message, keys: (message, keys[::-1]),
        lambda message, keys: (message, [*keys[:2], replace(keys[2], validity=Spi(b"\0\0\0\x08"))]),
        lambda message, keys: (message, [*keys[:2], replace(keys[2], kind=KeyType.TGK)]),
        lambda message, keys: (swapped(message, Kemac(b"", EncrAlg.NULL, MacAlg.NULL)), keys),
        lambda message, keys: (
            swapped(message, RoleIdentity.of(IdRole.RESPONDER, BOB.encode()), role=IdRole.RESPONDER),
            keys,
        ),
    ],
)
def test_answers_that_do_not_go_with_the_transfer(
    change: Callable[[Message, list[KeyData]], tuple[Message, list[KeyData]]],
) -> None:
    with pytest.raises(Refused):
        resolved_with(change)


def test_a_ticket_for_others_is_not_taken() -> None:
    focus, kms = requester(), authority()
    asked = focus.request(ROOM, mki=MKI, now=NOW)
    message = decode(kms.answer(asked, now=NOW))
    by = exchange(KEYS[FOCUS], message.header.csb_id, RandRole.INITIATOR, decode(asked).one(RoleRand).octets).answer
    whole = replace(message, payloads=message.payloads[:-1])
    other = replace(message.one(Ticket), policy=Terms(KMS, FOCUS, "sip:other@example.net", NOW, NOW + 9).policy())
    with pytest.raises(Refused, match="for others"):
        focus.granted(sealed(swapped(whole, other), by, asked), now=NOW)
    key = encrypted((GTGK,), by, message.header.csb_id, message.one(Timestamp))
    with pytest.raises(Refused, match="not those"):
        focus.granted(sealed(swapped(whole, key), by, asked), now=NOW)
    assert focus.granted(sealed(whole, by, asked), now=NOW)


# ---------------------------------------------------------------------------------------------
# the parts


def test_a_ticket_that_is_no_base_ticket_does_not_open() -> None:
    policy = Terms(KMS, FOCUS, ROOM, NOW, NOW).policy()
    ticket, keys = issue(policy, GTGK, mpk=psk(1), tpk=psk(2), rand=bytes(32), clock=Timestamp(1))
    assert open_ticket(ticket, psk(2)) == keys
    with pytest.raises(Forged):
        open_ticket(ticket, psk(3))
    with pytest.raises(Malformed):
        open_ticket(replace(ticket, data=b""), psk(2))
    tek = replace(GTGK, kind=KeyType.TEK)
    with pytest.raises(Refused):
        open_ticket(issue(policy, tek, mpk=psk(1), tpk=psk(2), rand=bytes(32), clock=Timestamp(1))[0], psk(2))
    weak = write_data((Timestamp(1), Rand(bytes(32)), Kemac(b""), Verification(MacAlg.HMAC_SHA_1_160, bytes(20))))
    with pytest.raises(Malformed):
        open_ticket(replace(ticket, data=weak[:1] + b"\0\0\0" + weak[1:]), psk(2))


def test_initiator_data_are_two_macs() -> None:
    mac = Verification(MacAlg.HMAC_SHA_256_256, bytes(32))
    for parts in ((), (mac,), (mac, mac, mac), (mac, Rand(b"")), (mac, Verification(MacAlg.NULL, b""))):
        with pytest.raises(Malformed):
            vouched_mac(write_data(parts))
    with pytest.raises(Forged):
        check_vouched(write_data((mac, mac)), psk())


@pytest.mark.parametrize("unix", [0, NOW, 2_085_978_495, 2_085_978_496, 4_000_000_000])
def test_times_of_both_eras(unix: int) -> None:
    """The 32 bits of NTP overflow at 2_085_978_496, on 7 February 2036 (RFC 4330 section 3)."""
    assert unix_seconds(RoleTimestamp(1, ntp_seconds(unix))) == unix
    assert unix_seconds(Timestamp(ntp_seconds(unix) << 32 | 5)) == unix


def test_the_first_second_of_the_second_era_is_zero() -> None:
    assert ntp_seconds(2_085_978_496) == 0
