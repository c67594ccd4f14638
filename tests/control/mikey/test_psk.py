"""A key push and its acknowledgement: who hears it, who does not, and what no tampering gets past."""

from __future__ import annotations

import pytest
from hypothesis import given

from control.mikey import prf
from control.mikey.errors import Forged, Malformed, MikeyError, Refused, Replayed
from control.mikey.header import SrtpSession
from control.mikey.message import decode
from control.mikey.numbers import TsType
from control.mikey.payloads import Identity, Rand
from control.mikey.policy import policy_of
from control.mikey.psk import MAX_OUTSTANDING, Sender
from control.mikey.push import Delivery, Push
from mixer.secret import Secret
from tests.control.mikey import naive, samples
from tests.control.mikey.samples import (
    ALICE,
    BOB,
    CSB,
    FOCUS,
    RAND,
    deliver,
    psk,
    receiver,
    sender,
    tek_push,
    tgk_push,
)


@pytest.mark.parametrize("offer", [tgk_push(), tek_push()])
@pytest.mark.parametrize(("clock", "at"), [(TsType.COUNTER, 1), (TsType.NTP_UTC, 0xEA00_0000_8000_0000)])
def test_push_and_acknowledgement(offer: Push, clock: TsType, at: int) -> None:
    focus, member = sender(clock=clock), receiver()
    delivery, answer = deliver(member, focus.push(offer, timestamp=at))
    assert delivery == Delivery(offer, CSB, RAND, at)
    assert focus.acknowledged(answer) == at


def test_identities_may_be_left_out() -> None:
    focus = Sender(psk(), identity=FOCUS, peer=ALICE, csb_id=CSB, rand=RAND, named=False)
    octets = focus.push(tgk_push(), timestamp=1)
    delivery, answer = deliver(receiver(), octets)
    assert delivery.push == tgk_push()
    assert focus.acknowledged(answer) == 1
    for message in (octets, answer):
        assert not decode(message).all(Identity)


@given(samples.pushes)
def test_any_push_arrives_as_it_left(offer: Push) -> None:
    delivery, answer = receiver().accept(sender().push(offer, timestamp=1))
    assert delivery is not None
    assert delivery.push == offer
    assert (answer is not None) == offer.verify


def test_without_the_flag_nobody_answers() -> None:
    delivery, answer = receiver().accept(sender().push(tgk_push(verify=False), timestamp=1))
    assert delivery is not None
    assert answer is None


def test_the_epoch_is_the_mki() -> None:
    assert tgk_push(mki=b"\0\1\0\2").epoch == 0x10002


def test_octets_of_a_push_against_the_naive_cipher() -> None:
    """The whole message but its MAC, put together by hand; then the MAC and the key inside it."""
    octets = sender().push(tgk_push(), timestamp=5)
    key = psk().reveal()
    rest = b"\xff" + CSB.to_bytes(4) + RAND
    encryption = naive.prf("sha1", key, bytes.fromhex("150533E1") + rest, 128)
    authentication = naive.prf("sha1", key, bytes.fromhex("2D22AC75") + rest, 160)
    salt = naive.prf("sha1", key, bytes.fromhex("29B88916") + rest, 112)
    clear = bytes.fromhex("00 01 0020") + psk(9).reveal() + bytes.fromhex("04 00000002")
    message = b"".join(
        (
            bytes.fromhex("01 00 05 80 c0ffee01 01 00  00 11223344 00000001"),
            bytes.fromhex("0b 02 00000005"),
            bytes.fromhex("06 10") + RAND,
            bytes.fromhex("06 01 0015") + FOCUS,
            bytes.fromhex("0a 01 0015") + ALICE,
            bytes.fromhex("01") + policy_of("AEAD_AES_128_GCM").body(),
            bytes.fromhex("00 01 0029") + naive.aes_cm(encryption, salt, CSB, 5, clear) + b"\x01",
        )
    )
    assert octets == message + naive.hmac("sha1", authentication, message)


def test_octets_of_an_acknowledgement_against_the_naive_mac() -> None:
    """RFC 3830 section 5.2: the MAC covers message || Identity_i || Identity_r || Timestamp."""
    _, answer = deliver(receiver(), sender().push(tgk_push(), timestamp=5))
    label = bytes.fromhex("2D22AC75") + b"\xff" + CSB.to_bytes(4) + RAND
    authentication = naive.prf("sha1", psk().reveal(), label, 160)
    message = b"".join(
        (
            bytes.fromhex("01 01 05 00 c0ffee01 01 00  00 11223344 00000001"),
            bytes.fromhex("06 02 00000005"),
            bytes.fromhex("09 01 0015") + ALICE,
            bytes.fromhex("00 01"),
        )
    )
    mac = naive.hmac("sha1", authentication, message + FOCUS + ALICE + bytes.fromhex("00000005"))
    assert answer == message + mac


# ---------------------------------------------------------------------------------------------
# the key of the stream


def test_two_members_derive_the_same_srtp_key() -> None:
    offer = tgk_push()
    alice, _ = deliver(receiver(1, ALICE), sender(1, ALICE).push(offer, timestamp=7))
    bob, _ = deliver(receiver(2, BOB), sender(2, BOB).push(offer, timestamp=900))
    assert alice.srtp_key() == bob.srtp_key()
    mixer = prf.srtp_key(offer.secret, csb_id=CSB, cs_id=1, rand=RAND, suite=offer.suite)
    assert alice.srtp_key() == mixer
    label = b"\x01" + CSB.to_bytes(4) + RAND
    wanted = naive.prf("sha1", offer.secret.reveal(), bytes.fromhex("2AD01C64") + label, 128)
    wanted += naive.prf("sha1", offer.secret.reveal(), bytes.fromhex("39A2C14B") + label, 96)
    assert mixer.reveal() == wanted


def test_streams_of_a_tgk_have_keys_of_their_own_and_those_of_a_tek_have_not() -> None:
    sessions = SrtpSession(0, 1, 0), SrtpSession(0, 2, 0)
    tgk = Push(sessions, "AEAD_AES_256_GCM", "tgk", psk(), b"\0\0\0\1")
    delivery, _ = deliver(receiver(), sender().push(tgk, timestamp=1))
    assert delivery.srtp_key(1) != delivery.srtp_key(2)
    for none in (0, 3):
        with pytest.raises(Malformed):
            delivery.srtp_key(none)
    delivery, _ = deliver(receiver(), sender().push(tek_push(), timestamp=1))
    assert delivery.srtp_key(1) == delivery.srtp_key(2) == tek_push().secret


# ---------------------------------------------------------------------------------------------
# enemies


def test_a_wrong_key_hears_nothing() -> None:
    with pytest.raises(Forged):
        receiver(2).accept(sender(1).push(tgk_push(), timestamp=1))


def test_the_key_is_not_in_the_message() -> None:
    octets = sender().push(tek_push(), timestamp=1)
    key = tek_push().secret.reveal()
    assert all(key[at : at + 4] not in octets for at in range(len(key) - 3))


def test_no_bit_of_a_push_can_be_turned() -> None:
    focus, member = sender(), receiver()
    octets = focus.push(tgk_push(), timestamp=1)
    for spoiled in samples.flips(octets):
        with pytest.raises(MikeyError):
            member.accept(spoiled)
    assert member.accept(octets)[0] is not None


def test_no_bit_of_an_update_can_be_turned() -> None:
    focus, member = sender(), receiver()
    _, answer = deliver(member, focus.push(tgk_push(), timestamp=1))
    focus.acknowledged(answer)
    octets = focus.push(tgk_push(mki=b"\0\0\0\3"), timestamp=2)
    for spoiled in samples.flips(octets):
        with pytest.raises(MikeyError):
            member.accept(spoiled)
    assert member.accept(octets)[0] is not None


def test_no_bit_of_an_acknowledgement_can_be_turned() -> None:
    focus = sender()
    _, answer = deliver(receiver(), focus.push(tgk_push(), timestamp=1))
    for spoiled in samples.flips(answer):
        with pytest.raises(MikeyError):
            focus.acknowledged(spoiled)
    assert focus.acknowledged(answer) == 1


def test_a_push_for_another_member_is_not_taken_even_under_the_same_key() -> None:
    with pytest.raises(Refused, match="another member"):
        receiver(1, BOB).accept(sender(1, ALICE).push(tgk_push(), timestamp=1))


def test_an_acknowledgement_of_another_member_is_forged_even_under_the_same_key() -> None:
    to_alice, to_bob = sender(1, ALICE), sender(1, BOB)
    to_alice.push(tgk_push(), timestamp=1)
    _, answer = deliver(receiver(1, BOB), to_bob.push(tgk_push(), timestamp=1))
    with pytest.raises(Forged):
        to_alice.acknowledged(answer)


def test_a_push_is_no_acknowledgement_of_itself() -> None:
    focus = sender()
    with pytest.raises(Refused):
        focus.acknowledged(focus.push(tgk_push(), timestamp=1))


# ---------------------------------------------------------------------------------------------
# replay, loss, order


def test_retransmission_gets_the_same_answer_and_no_second_key() -> None:
    focus, member = sender(), receiver()
    octets = focus.push(tgk_push(), timestamp=1)
    _, answer = deliver(member, octets)
    assert member.accept(octets) == (None, answer)
    assert member.accept(octets) == (None, answer)
    assert focus.acknowledged(answer) == 1


def test_a_second_acknowledgement_is_replayed() -> None:
    focus = sender()
    _, answer = deliver(receiver(), focus.push(tgk_push(), timestamp=1))
    focus.acknowledged(answer)
    with pytest.raises(Replayed):
        focus.acknowledged(answer)


def test_an_older_push_is_replayed() -> None:
    focus, member = sender(), receiver()
    first, second = (focus.push(tgk_push(), timestamp=at) for at in (1, 2))
    deliver(member, first)
    deliver(member, second)
    with pytest.raises(Replayed):
        member.accept(first)
    assert member.accept(second)[0] is None


def test_a_member_that_missed_a_push_takes_the_next() -> None:
    focus, member = sender(), receiver()
    focus.push(tgk_push(), timestamp=1)
    delivery, answer = deliver(member, focus.push(tgk_push(mki=b"\0\0\0\3"), timestamp=2))
    assert delivery.push.epoch == 3
    assert focus.acknowledged(answer) == 2


def test_an_acknowledgement_settles_the_pushes_before_it() -> None:
    focus, member = sender(), receiver()
    _, first = deliver(member, focus.push(tgk_push(), timestamp=1))
    _, second = deliver(member, focus.push(tgk_push(), timestamp=2))
    assert focus.acknowledged(second) == 2
    with pytest.raises(Replayed):
        focus.acknowledged(first)


def test_acknowledgements_may_come_late_but_in_order() -> None:
    focus, member = sender(), receiver()
    answers = [deliver(member, focus.push(tgk_push(), timestamp=at))[1] for at in (1, 2)]
    assert [focus.acknowledged(answer) for answer in answers] == [1, 2]


def test_pushes_that_nobody_acknowledges_are_given_up() -> None:
    focus, member = sender(), receiver()
    answers = [deliver(member, focus.push(tgk_push(), timestamp=at))[1] for at in range(MAX_OUTSTANDING + 1)]
    with pytest.raises(Replayed):
        focus.acknowledged(answers[0])
    assert focus.acknowledged(answers[1]) == 1


@pytest.mark.parametrize("at", [0, 5, -1, 1 << 32])
def test_a_timestamp_is_used_once(at: int) -> None:
    """Twice would be two keys under one keystream."""
    focus = sender()
    focus.push(tgk_push(), timestamp=5)
    with pytest.raises(Malformed):
        focus.push(tgk_push(mki=b"\0\0\0\3"), timestamp=at)


def test_the_rand_is_left_out_once_the_member_has_it() -> None:
    """RFC 3830 section 4.5: an update has no new RAND."""
    focus, member = sender(), receiver()
    for at in (1, 2):
        octets = focus.push(tgk_push(), timestamp=at)
        assert decode(octets).maybe(Rand) == Rand(RAND)
    focus.acknowledged(deliver(member, octets)[1])
    update = focus.push(tgk_push(), timestamp=3)
    assert decode(update).maybe(Rand) is None
    assert deliver(member, update)[0].rand == RAND


def test_a_member_that_lost_its_state_is_introduced_again() -> None:
    focus, member = sender(), receiver()
    focus.acknowledged(deliver(member, focus.push(tgk_push(), timestamp=1))[1])
    member = receiver()
    with pytest.raises(Refused, match="not known"):
        member.accept(focus.push(tgk_push(), timestamp=2))
    focus.introduce()
    assert deliver(member, focus.push(tgk_push(), timestamp=3))[0].timestamp == 3


def test_a_bundle_that_was_forgotten_is_not_known() -> None:
    focus, member = sender(), receiver()
    focus.acknowledged(deliver(member, focus.push(tgk_push(), timestamp=1))[1])
    member.forget(CSB)
    member.forget(CSB)
    with pytest.raises(Refused):
        member.accept(focus.push(tgk_push(), timestamp=2))


def test_messages_from_before_the_member_began_are_replayed() -> None:
    focus = sender(clock=TsType.NTP_UTC)
    old, new = (focus.push(tgk_push(), timestamp=at) for at in (99, 100))
    member = receiver(not_before=100)
    with pytest.raises(Replayed):
        member.accept(old)
    assert member.accept(new)[0] is not None


def test_bundles_do_not_disturb_each_other() -> None:
    member = receiver()
    bundles = [Sender(psk(), identity=FOCUS, peer=ALICE, csb_id=csb_id, rand=RAND) for csb_id in (1, 2)]
    deliver(member, bundles[0].push(tgk_push(), timestamp=9))
    delivery, answer = deliver(member, bundles[1].push(tgk_push(), timestamp=1))
    assert delivery.csb_id == 2
    with pytest.raises(Refused):
        bundles[0].acknowledged(answer)


# ---------------------------------------------------------------------------------------------


def test_secrets_never_show() -> None:
    focus, member = sender(), receiver()
    secret = Secret(b"EPOCHSECRETEPOCHSECRETEPOCHSECRE")
    offer = Push((SrtpSession(0, 1, 0),), "AEAD_AES_128_GCM", "tgk", secret, b"\0\0\0\1")
    octets = focus.push(offer, timestamp=1)
    delivery, _ = deliver(member, octets)
    shown = [repr(each) for each in (focus, member, offer, delivery, delivery.srtp_key(), decode(octets))]
    for spoiled in (octets[:-1] + b"\0", octets[:50], octets + b"\0"):
        with pytest.raises(MikeyError) as caught:
            receiver().accept(spoiled)
        shown += [repr(caught.value), str(caught.value)]
    keys = (secret.reveal(), psk().reveal(), delivery.srtp_key().reveal())
    for text in shown:
        for key in keys:
            assert key.hex()[:16] not in text
            assert repr(key)[2:12] not in text
