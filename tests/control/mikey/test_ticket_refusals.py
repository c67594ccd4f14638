"""Tickets under attack: tampering, replay, loss and noise, at every step of the way."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control.mikey.errors import Malformed, MikeyError, Refused, Replayed
from control.mikey.header import Header
from control.mikey.message import Message, decode
from control.mikey.numbers import DataType, ErrorNo, MacAlg
from control.mikey.payloads import Fault, Timestamp, Verification
from control.mikey.ticket import TicketAuthority
from control.mikey.ticket_request import Stream, TicketRequester
from control.mikey.ticket_resolve import TicketHolder
from mixer.secret import Secret
from tests.control.mikey import samples
from tests.control.mikey.parties import (
    ALICE,
    FOCUS,
    KEYS,
    MKI,
    NOW,
    ROOM,
    SUITE,
    authority,
    complaint,
    counting,
    granted,
    holder,
    requester,
    resolved,
    transferred,
)


def test_no_bit_of_any_message_can_be_turned() -> None:
    """One bit in each octet, at every step of the way; then the true message goes through."""
    kms, focus, alice = authority(), requester(), holder()
    request = focus.request(ROOM, mki=MKI, now=NOW)
    for spoiled in one_bit_an_octet(request):
        complaint(kms.answer(spoiled, now=NOW))
    response = kms.answer(request, now=NOW)
    for spoiled in one_bit_an_octet(response):
        with pytest.raises(MikeyError):
            focus.granted(spoiled, now=NOW)
    transfer = transferred(focus, focus.granted(response, now=NOW))
    for spoiled in one_bit_an_octet(transfer):
        with pytest.raises(MikeyError):
            resolved(holder(), kms, spoiled)
    resolve = alice.resolve(transfer, now=NOW)
    for spoiled in one_bit_an_octet(resolve):
        complaint(kms.answer(spoiled, now=NOW))
    response = kms.answer(resolve, now=NOW)
    for spoiled in one_bit_an_octet(response):
        with pytest.raises(MikeyError):
            alice.resolved(spoiled, now=NOW)
    _, confirmation = alice.resolved(response, now=NOW)
    for spoiled in one_bit_an_octet(confirmation):
        with pytest.raises(MikeyError):
            focus.transferred(spoiled)
    assert focus.transferred(confirmation)[0] == ALICE


def one_bit_an_octet(octets: bytes) -> list[bytes]:
    return [octets[:at] + bytes((octet ^ 1 << at % 8,)) + octets[at + 1 :] for at, octet in enumerate(octets)]


def test_the_kms_says_the_same_thing_twice() -> None:
    """Else a replayed request would put two keys under one keystream."""
    kms, focus = authority(), requester()
    request = focus.request(ROOM, mki=MKI, now=NOW)
    assert kms.answer(request, now=NOW) == kms.answer(request, now=NOW + 300)
    assert complaint(kms.answer(request, now=NOW + 601)) == (ErrorNo.INVALID_TS, True)


@pytest.mark.parametrize("off", [-301, 301])
def test_a_message_from_another_time_is_refused(off: int) -> None:
    request = requester().request(ROOM, mki=MKI, now=NOW)
    assert complaint(authority().answer(request, now=NOW + off)) == (ErrorNo.INVALID_TS, True)


def test_a_peer_that_asks_too_much_is_refused_and_others_are_not() -> None:
    kms, focus = authority(per_peer=2), requester()
    grant = granted(focus, kms)
    granted(focus, kms)
    answer = kms.answer(focus.request(ROOM, mki=MKI, now=NOW), now=NOW)
    assert complaint(answer) == (ErrorNo.UNSPECIFIED, True)
    assert resolved(holder(), kms, transferred(focus, grant))
    assert granted(focus, kms, now=NOW + 601)


def test_an_answer_is_taken_once() -> None:
    kms, focus, alice = authority(), requester(), holder()
    answer = kms.answer(focus.request(ROOM, mki=MKI, now=NOW), now=NOW)
    transfer = transferred(focus, focus.granted(answer, now=NOW))
    with pytest.raises(Refused):
        focus.granted(answer, now=NOW)
    answer = kms.answer(alice.resolve(transfer, now=NOW), now=NOW)
    _, confirmation = alice.resolved(answer, now=NOW)
    with pytest.raises(Refused):
        alice.resolved(answer, now=NOW)
    focus.transferred(confirmation)
    with pytest.raises(Refused):
        focus.transferred(confirmation)


def test_a_lost_confirmation_is_given_again_without_the_kms() -> None:
    kms, focus, alice = authority(), requester(), holder()
    transfer = transferred(focus, granted(focus, kms))
    assert alice.confirmed(transfer, now=NOW) is None
    _, confirmation = resolved(alice, kms, transfer)
    assert alice.confirmed(transfer, now=NOW) == confirmation


def test_a_transfer_is_taken_once() -> None:
    kms, focus, alice = authority(), requester(), holder()
    transfer = transferred(focus, granted(focus, kms))
    resolved(alice, kms, transfer)
    with pytest.raises(Refused, match="before"):
        resolved(alice, kms, transfer)
    with pytest.raises(Replayed):
        alice.resolve(transfer, now=NOW + 301)


def test_transfers_that_wait_for_the_kms_are_few() -> None:
    kms, focus, alice = authority(), requester(), holder()
    grant = granted(focus, kms)
    asked = [alice.resolve(transferred(focus, grant), now=NOW) for _ in range(17)]
    with pytest.raises(Refused, match="no ticket waits"):
        alice.resolved(kms.answer(asked[0], now=NOW), now=NOW)
    assert alice.resolved(kms.answer(asked[16], now=NOW), now=NOW)


def test_answers_for_a_conference_that_has_ended_are_not_awaited() -> None:
    kms, focus = authority(), requester()
    grant = granted(focus, kms)
    answer = kms.answer(focus.request(ROOM, mki=MKI, now=NOW), now=NOW)
    _, confirmation = resolved(holder(), kms, transferred(focus, grant))
    focus.forget(ROOM)
    with pytest.raises(Refused):
        focus.granted(answer, now=NOW)
    with pytest.raises(Refused):
        focus.transferred(confirmation)


# ---------------------------------------------------------------------------------------------
# noise


@pytest.mark.parametrize(
    ("octets", "number"),
    [
        (b"", ErrorNo.UNSPECIFIED),
        (b"GET / HTTP/1.1\r\n", ErrorNo.UNSPECIFIED),
        (Message(Header(DataType.PSK, 7), ()).encode(), ErrorNo.INVALID_DT),
        (Message(Header(DataType.REQUEST_RESP, 7), ()).encode(), ErrorNo.INVALID_DT),
        (Message(Header(12, 7), ()).encode(), ErrorNo.INVALID_DT),
        (Message(Header(DataType.REQUEST_INIT_PSK, 7), ()).encode(), ErrorNo.UNSPECIFIED),
    ],
)
def test_noise_is_answered_with_an_error(octets: bytes, number: ErrorNo) -> None:
    assert complaint(authority().answer(octets, now=NOW)) == (number, False)


def test_an_error_repeats_csb_id_and_prf() -> None:
    answer = authority().answer(Message(Header(DataType.PSK, 0xABCD, prf=5), ()).encode(), now=NOW)
    assert decode(answer).header == Header(DataType.ERROR, 0xABCD, prf=5)


def test_errors_are_not_answered() -> None:
    error = Message(Header(DataType.ERROR, 7), (Timestamp(1), Fault(0))).encode()
    assert authority().answer(error, now=NOW) == b""


@pytest.mark.parametrize(
    ("algorithm", "prf", "number"),
    [(MacAlg.HMAC_SHA_1_160, 1, ErrorNo.INVALID_MAC), (MacAlg.HMAC_SHA_256_256, 0, ErrorNo.INVALID_PRF)],
)
def test_weaker_algorithms_are_named(algorithm: MacAlg, prf: int, number: ErrorNo) -> None:
    asked = decode(requester().request(ROOM, mki=MKI, now=NOW))
    last = Verification(algorithm, bytes(20 if algorithm == MacAlg.HMAC_SHA_1_160 else 32))
    octets = Message(replace(asked.header, prf=prf), (*asked.payloads[:-1], last)).encode()
    assert complaint(authority().answer(octets, now=NOW)) == (number, False)


def test_names_as_long_as_the_wire_allows() -> None:
    """Two of them do not fit in a policy: the requester says so, and the KMS would."""
    with pytest.raises(Malformed):
        requester().request("sip:" + "x" * 65530, mki=MKI, now=NOW)


def sent() -> tuple[bytes, bytes, bytes]:
    """A request, a transfer and a resolve, the same in every run."""
    kms, focus = authority(fresh=counting()), requester(fresh=counting())
    request = focus.request(ROOM, mki=MKI, now=NOW)
    transfer = transferred(focus, focus.granted(kms.answer(request, now=NOW), now=NOW))
    return request, transfer, holder(fresh=counting()).resolve(transfer, now=NOW)


SENT = sent()


@settings(max_examples=200)
@given(st.one_of(st.binary(max_size=200), *map(samples.spoiled, SENT)))
def test_fuzz(octets: bytes) -> None:
    """Every side, on noise: the KMS answers, the others raise MikeyError and nothing else."""
    answer = authority().answer(octets, now=NOW)
    assert not answer or octets in SENT or complaint(answer)
    for act in (
        lambda: requester().granted(octets, now=NOW),
        lambda: requester().transferred(octets),
        lambda: holder().resolved(octets, now=NOW),
    ):
        with pytest.raises(MikeyError):
            act()
    try:
        holder().resolve(octets, now=NOW)
    except MikeyError:
        return
    assert decode(octets).header.data_type == DataType.TRANSFER_INIT


@given(samples.messages)
def test_fuzz_any_message(message: Message) -> None:
    octets = message.encode()
    answer = authority().answer(octets, now=NOW)
    assert (answer == b"") == (message.header.data_type == DataType.ERROR)
    with pytest.raises(MikeyError):
        holder().resolve(octets, now=NOW)


@settings(max_examples=100)
@given(st.data())
def test_fuzz_answers(data: st.DataObject) -> None:
    kms, focus, alice = authority(), requester(), holder()
    true = kms.answer(focus.request(ROOM, mki=MKI, now=NOW), now=NOW)
    spoiled = data.draw(samples.spoiled(true))
    if spoiled != true:
        with pytest.raises(MikeyError):
            focus.granted(spoiled, now=NOW)
    true = kms.answer(alice.resolve(transferred(focus, focus.granted(true, now=NOW)), now=NOW), now=NOW)
    spoiled = data.draw(samples.spoiled(true))
    if spoiled != true:
        with pytest.raises(MikeyError):
            alice.resolved(spoiled, now=NOW)


# ---------------------------------------------------------------------------------------------


def test_short_keys_are_not_used() -> None:
    short = Secret(bytes(15))
    with pytest.raises(Malformed):
        TicketRequester(short, identity=FOCUS)
    with pytest.raises(Malformed):
        TicketHolder(short, identity=ALICE)
    with pytest.raises(Malformed):
        TicketAuthority(KEYS.get, lambda *_: True, lambda *_: True, ticket_key=short)


def test_streams_that_do_not_fit() -> None:
    kms, focus = authority(), requester()
    grant = granted(focus, kms)
    with pytest.raises(Malformed):
        focus.transfer(grant, ALICE, (Stream(1 << 32),), SUITE, now=NOW)


def test_secrets_never_show() -> None:
    kms, focus, alice = authority(), requester(), holder()
    grant = granted(focus, kms)
    key, _ = resolved(alice, kms, transferred(focus, grant))
    for value in (kms, focus, alice, grant, key, grant.ticket):
        text = f"{value!r} {value}"
        for secret in (grant.group_key, grant.mpk_i, grant.mpk_r, KEYS[FOCUS]):
            assert repr(secret.reveal())[2:12] not in text
            assert secret.reveal().hex()[:16] not in text
