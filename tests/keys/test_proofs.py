"""I1 to I14: what group keying promises, proved on real packets. Each has its name from the list of invariants.

The adversaries have teeth: each keeps the whole capture and every key that it ever held or can derive, and for
each proof there is a control run in which the defence is taken away and the same look finds something.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from control.rekey.epochs import generation_of, step_of
from mixer.port import KeyBridge, KeyPrepare, KeySwitched, LegAdd, LegRemove, PortError, Refusal
from tests.keys.house import CONFERENCE, Guest, House
from tests.leaks import leaks
from tests.mixer.net import Net
from tests.mixer.phone import tone
from tests.mixer.room import Sent
from tests.mixer.tap import readable
from tests.mixer.test_engine_keys import start_at

styles = pytest.mark.parametrize("style", ["mki", "ssrc"])


def house(guests: int = 4, **fields: object) -> House:
    """A talker and some listeners, all under a group key."""
    made = House(**fields)  # type: ignore[arg-type]
    made.join("ann", tone(437.0))
    for number in range(guests - 1):
        made.join(f"g{number}")
    made.settle()
    return made


def since(one: House, frame: int, *, but: Guest | None = None) -> list[Sent]:
    """What was sent from a tick on, but for the goodbye to who left."""
    return [sent for sent in one.room.sent if sent.frame > frame and (but is None or sent.address != but.phone.address)]


def before(one: House, frame: int) -> list[Sent]:
    return [sent for sent in one.room.sent if sent.frame <= frame]


# -- I1: keystream ------------------------------------------------------------------------------


@styles
def test_i1_no_index_is_used_twice(style: str) -> None:
    """Over joins, leaves, rejoins and rekeys: one (key, SSRC, index), one packet."""
    one = house(3, style=style, rekey={"t_leave_min": 0.1, "promote_s": 0.2})
    for turn in range(6):
        one.join(f"x{turn}", tone(600.0 + 50 * turn))
        one.run(400)
        one.leave(
            f"x{turn}" if turn % 2 else f"x{max(0, turn - 1)}" if f"x{max(0, turn - 1)}" in one.guests else f"x{turn}"
        )
        one.run(400)
    packets: dict[tuple[str, int, int], bytes] = {}
    for guest in [*one.guests.values(), *one.past]:
        for heard in guest.phone.heard:
            name = heard.key, heard.packet.ssrc, heard.packet.seq
            assert packets.setdefault(name, heard.packet.pack()) == heard.packet.pack()
    assert len(packets) > 300
    assert len({key for key, _, _ in packets}) > 10


# -- I2: forward --------------------------------------------------------------------------------


@pytest.mark.parametrize("evict", [False, True], ids=["leave", "evict"])
def test_i2_a_leaver_reads_not_one_packet_more(evict: bool) -> None:
    """With the bridge: exposure 0, whatever the policy is doing, and though it goes on receiving key messages."""
    one = house(5, rekey={"t_leave_min": 1.0})
    gone = one.leave("g0", evict=evict)
    frame = one.room.frame
    one.run(4000)
    assert one.settled()
    assert readable(since(one, frame, but=gone), gone.known()) == []
    one.check_ears()
    assert all(np.abs(guest.phone.audio(100).astype(int)).max() > 2500 for guest in list(one.guests.values())[1:])


def test_i2_without_the_bridge_the_bound_is_the_throttle() -> None:
    """The budget is spent: max(t_leave_min, d_p + A) + d_p + A + one tick. Nothing after it, and something in it."""
    one = house(5, rekey={"t_leave_min": 1.0, "bridge_max": 0})
    one.run(400)
    gone = one.leave("g0")
    frame = one.room.frame
    one.run(5000)
    exposed = readable(since(one, frame, but=gone), gone.known())
    assert exposed, "the look finds what is there"
    last_ms = (max(sent.frame for sent in exposed) - frame) * 20
    d_p, ack = one.kms.delay_ms + 20, 1000
    assert last_ms <= max(1000, d_p + ack) + d_p + ack + 20
    (exposure,) = one.conductor.policy.exposures()
    assert abs(exposure.seconds * 1000 - last_ms) <= 60, "and the policy's own account of it is true"


def test_i2_a_policy_that_never_rekeys_exposes_all() -> None:
    """The control run: unique keys are never rekeyed by a leave, and here the group key is not, either."""
    one = house(5, rekey={"t_leave_min": 1.0})
    gone = one.guests.pop("g0")
    one.room.phones.pop("g0")
    one.room.apply(LegRemove(leg="g0"))  # behind the policy's back
    frame = one.room.frame
    one.run(3000)
    exposed = readable(since(one, frame, but=gone), gone.known())
    assert len({sent.frame for sent in exposed}) >= 149, "every tick until the end"


def test_i2_a_leave_while_a_key_is_on_its_way() -> None:
    """The leaver got the next key already: the cohort stays bridged through that one and the one after."""
    one = house(5, rekey={"t_leave_min": 0.2}, keys_up=Net(3, delay_ms=200))
    one.run(500)
    one.leave("g0")
    while not any(len(guest.deliveries) > 1 for guest in one.guests.values()):
        one.step()
    gone = one.leave("g1")
    assert max(delivery.push.epoch for delivery in gone.deliveries) > one.cohorts()[0].epoch
    frame = one.room.frame
    one.run(6000)
    assert one.settled()
    assert readable(since(one, frame, but=gone), gone.known()) == []
    one.check_ears()


def test_i2_an_own_key_is_of_no_use_either() -> None:
    """Who left and comes again gets keys of its own again; what it held before opens nothing."""
    one = house(4, rekey={"t_leave_min": 0.2})
    gone = one.leave("g0")
    one.run(1000)
    frame = one.room.frame
    one.join("g0", tone(900.0))
    one.run(2000)
    assert readable(since(one, frame), gone.known()) == []
    one.check_ears()


# -- I3: backward -------------------------------------------------------------------------------


@pytest.mark.parametrize("ratchets", [True, False], ids=["ratchet", "unique until the next epoch"])
def test_i3_a_joiner_reads_nothing_of_before(ratchets: bool) -> None:
    """With everything that it can derive from what it is given, it opens no packet from before it came."""
    one = house(4, rekey={"promote_s": 1.0})
    one.run(1000)
    frame = one.room.frame
    counts = one.conductor.counts.messages
    late = one.join("late", ratchets=ratchets)
    one.run(3000)
    assert one.settled()
    assert late.phone.heard[0].at_ns <= (frame + 2) * 20_000_000, "and it hears at once"
    assert readable(before(one, frame), late.known()) == []
    assert readable(since(one, frame), late.known())
    if ratchets:
        assert one.conductor.counts.messages == counts + 1, "existing members get no message"
        assert step_of(one.cohorts()[0].epoch) == 1
    one.check_ears()


def test_i3_a_joiner_that_is_given_the_current_secret_reads_the_past() -> None:
    """The control run: the same joiner, delivered to before the ratchet."""
    one = house(4)
    one.run(500)
    late = one.join("late")
    (cohort,) = one.cohorts()
    push = one.conductor.keychain.push(0, cohort.epoch, [], ratchets=True)
    late.deliveries.append(
        type(one.guests["g0"].deliveries[0])(push, one.conductor.keychain.csb_id, one.conductor.keychain.rand, 1)
    )
    assert len({sent.frame for sent in readable(one.room.sent, late.known())}) >= 25


def test_i3_many_joiners_one_step() -> None:
    """Joins within 100 ms share a step of the ratchet; nobody who was there is told."""
    one = house(4)
    one.run(500)
    counts = one.conductor.counts.messages
    first = one.cohorts()[0].epoch
    for number in range(10):
        one.join(f"late{number}")
    one.run(2000)
    assert one.settled()
    assert one.conductor.counts.messages == counts + 10
    assert one.cohorts()[0].epoch == first + 1
    one.check_ears()


# -- I4: member interval ------------------------------------------------------------------------


def test_i4_keys_go_to_members_only() -> None:
    """Nobody is told an epoch that was made after it left, though its address still receives what is sent."""
    one = house(5, rekey={"t_leave_min": 0.1, "promote_s": 0.2}, keys_down=Net(4, loss=0.1, jitter_ms=80))
    for turn in range(8):
        one.join(f"x{turn}", ratchets=bool(turn % 3))
        one.run(300)
        one.leave(f"x{turn // 2}" if f"x{turn // 2}" in one.guests else f"x{turn}")
        one.run(300)
    assert len(one.past) == 8
    for gone in one.past:
        assert gone.left is not None
        epochs = {delivery.push.epoch for delivery in gone.deliveries}
        made_later = {
            event.epoch
            for event in one.room.named(KeySwitched)
            if not event.leg and generation_of(event.epoch) > max(map(generation_of, epochs), default=0)
        }
        assert not epochs & made_later
        opened = readable(since(one, gone.left, but=gone), gone.known())
        assert opened == [], gone.name


# -- I5, I6: switches ---------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [0.0, 0.01, 0.02, 0.05, 0.1])
def test_i5_two_hundred_switches_lose_nothing(loss: float) -> None:
    """Five times 200: under loss, delay and reordering of keys, acknowledgements and media, every packet that
    arrives can be read, each stream is one unbroken sequence, and nothing is sent under a key not acknowledged (I6,
    checked in every tick)."""
    weather = {"loss": loss, "delay_ms": 15, "jitter_ms": 45}
    one = house(
        3,
        seed=int(loss * 100),
        keys_down=Net(11, **weather),  # type: ignore[arg-type]
        keys_up=Net(12, **weather),  # type: ignore[arg-type]
        ears=Net(13, **weather),  # type: ignore[arg-type]
        rekey={"epoch_max_age": 0.4},
    )
    while len([event for event in one.room.named(KeySwitched) if not event.leg]) < 200:
        one.run(500)
    for guest in one.guests.values():
        phone = guest.phone
        assert not phone.refused
        assert len({heard.packet.ssrc for heard in phone.heard}) == 1
        sent = [s for s in one.room.sent if s.address == phone.address and s.octets[1] & 0x7F < 64]
        arrived = len({heard.packet.seq for heard in phone.heard})
        assert arrived == len(phone.heard)
        expected = len(sent) - len([1 for s in sent if s.frame > one.room.frame - 4])
        assert arrived >= expected * (1 - loss) * 0.97 - 5
        assert (loss > 0) or arrived >= expected
        seqs = [int.from_bytes(s.octets[2:4]) for s in sent]
        assert {b - a & 0xFFFF for a, b in itertools.pairwise(seqs)} == {1}


def test_i5_a_member_without_grace_would_lose_packets() -> None:
    """The control run: the same weather, and members that drop the old key at once."""
    weather = {"delay_ms": 15, "jitter_ms": 45}
    one = house(3, ears=Net(13, **weather), rekey={"epoch_max_age": 0.4})  # type: ignore[arg-type]
    for guest in one.guests.values():
        used = guest.member.used

        def hasty(mki: bytes, *, now: float, used: Callable[..., None] = used, guest: Guest = guest) -> None:
            used(mki, now=now - 10)
            guest.member.advance(now=now)

        guest.member.used = hasty  # type: ignore[method-assign]
        guest.phone.contexts = _NoMemory()
    one.run(20_000)
    assert any(guest.phone.refused for guest in one.guests.values())


class _NoMemory(dict):  # type: ignore[type-arg]
    """Contexts that are not kept beyond their key."""

    def get(self, key: object, default: object = None) -> None:
        return None


def test_i6_nobody_unacknowledged_is_sent_group_keyed_media() -> None:
    """A member that never gets a key message hears everything, under its own key, and is named for attention."""
    one = House()
    one.join("ann", tone(437.0))
    deaf = one.join("deaf")
    deliver = one.deliver
    one.deliver = lambda name, octets: None if name == "deaf" else deliver(name, octets)  # type: ignore[method-assign]
    one.run(14_000)
    assert not deaf.acked
    assert {heard.key for heard in deaf.phone.heard} == {deaf.owns[-1].mki}
    assert len(deaf.phone.heard) >= 695
    assert [each.member for each in one.conductor.attention] == ["deaf"]
    one.deliver = deliver  # type: ignore[method-assign]
    one.run(3000)
    one.leave("ann")
    one.run(4000)
    assert deaf.acked, "at the next epoch it is asked again"
    one.check_ears()


def test_i6_the_look_finds_a_mixer_that_does_not_wait() -> None:
    """The control run: somebody unbridges a member that has not acknowledged."""
    one = house(3, keys_up=Net(1, delay_ms=500), rekey={"t_leave_min": 0.1})
    one.join("slow")
    one.run(300)
    one.room.apply(KeyBridge(conference=CONFERENCE, legs=("slow",), on=False))
    with pytest.raises(AssertionError, match="I6: slow"):
        one.run(200)


# -- I7: monotone -------------------------------------------------------------------------------


def test_i7_epochs_rise_and_aborted_ones_stay_away() -> None:
    one = house(5, rekey={"t_leave_min": 0.1}, keys_up=Net(2, delay_ms=120))
    aborted: set[int] = set()
    seen = one.before

    def note(ticket: object) -> bool:
        command = ticket.command  # type: ignore[attr-defined]
        if type(command).__name__ == "KeyAbort":
            aborted.add(command.epoch)
        return seen(ticket)  # type: ignore[arg-type]

    one.before = note
    for turn in range(6):
        one.join(f"x{turn}")
        one.run(260)
        one.leave(f"x{turn}", evict=True)
        one.run(100)
        one.leave("g0", evict=True) if turn == 0 else one.run(20)
    one.run(3000)
    epochs = [event.epoch for event in one.room.named(KeySwitched) if not event.leg]
    assert epochs == sorted(set(epochs))
    assert aborted, "evictions threw keys away"
    assert not aborted & set(epochs)
    for epoch in [*aborted, *epochs]:
        with pytest.raises(PortError) as caught:
            one.room.apply(KeyPrepare(conference=CONFERENCE, key=one.room.key("k", mki="0000aaaa", epoch=epoch)))
        assert caught.value.refusal == Refusal.BAD_EPOCH


# -- I8, I9 -------------------------------------------------------------------------------------


def test_i8_one_encrypt_a_tick_and_cohort() -> None:
    """Checked in every tick of every test here (`House.check_tick`); and exactly one when there are listeners."""
    one = house(12, rekey={"cohort_target": 4})
    assert len(one.cohorts()) == 3
    counters = one.room.engine.counters
    before_ = counters.common_encodes, counters.common_encrypts
    one.run(1000)
    assert (counters.common_encodes - before_[0], counters.common_encrypts - before_[1]) == (50, 150)


def test_i9_generations_are_independent() -> None:
    """Each is asked of the KMS; nothing that derives from one opens a packet of another."""
    one = house(4, rekey={"epoch_max_age": 1.0})
    one.run(6000)
    generations = {generation_of(event.epoch) for event in one.room.named(KeySwitched) if not event.leg}
    assert len(generations) >= 5
    assert {generation_of(epoch) for _, epoch in one.kms.made} >= generations
    assert len(set(one.kms.made.values())) == len(one.kms.made)
    guest = one.guests["g0"]
    for delivery in guest.deliveries:
        alone = Guest("x", guest.member, guest.phone, [], guest.recorder, 0, guest.psk, deliveries=[delivery]).known()
        opened = readable(one.room.sent, alone)
        assert {generation_of(one.epoch_of(sent)) for sent in opened if one.epoch_of(sent)} == {
            generation_of(delivery.push.epoch)
        }


# -- I10: late joiners --------------------------------------------------------------------------


@styles
@pytest.mark.parametrize("wait_ms", [200, 700, 900])
def test_i10_a_joiner_reads_from_its_first_packet(style: str, wait_ms: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, at and after the wrap of the sequence: told SSRC, ROC and seq, it hears at once."""
    start_at(monkeypatch, 65_500)
    one = house(3, style=style, rekey={"promote_s": 0.3})
    one.run(wait_ms)
    late = one.join("late")
    one.run(1500)
    assert not late.phone.refused
    assert len(late.phone.heard) >= 74
    one.check_ears()


# -- I11: SSRCs ---------------------------------------------------------------------------------


def test_i11_a_second_claimant_is_refused() -> None:
    one = house(3)
    taken = one.guests["g0"].phone.ssrc
    ours = one.guests["g0"].phone.heard[-1].packet.ssrc
    for ssrc in (taken, ours):
        leg = LegAdd(
            conference=CONFERENCE,
            leg="thief",
            keying="group",
            bridged=True,
            rx=one.room.key("rx"),
            tx=one.room.key("tx", mki="deadbeef"),
            ssrc=ssrc,
        )
        with pytest.raises(PortError) as caught:
            one.room.apply(leg)
        assert caught.value.refusal == Refusal.SSRC_CONFLICT
    one.run(500)
    one.check_ears()


# -- I12: secrecy of plumbing -------------------------------------------------------------------


def test_i12_nothing_that_can_be_printed_holds_a_key() -> None:
    """Commands, tickets, intentions, replies, events, refusals, members, conductors: all of it."""
    one = House(rekey={"t_leave_min": 0.1})
    texts: list[str] = []

    def note(ticket: object) -> bool:
        texts.append(f"{ticket!r} {ticket}")
        return True

    one.before = note
    one.join("ann", tone(437.0))
    one.join("bob")
    one.run(1000)
    one.join("cat")
    one.run(500)
    one.leave("bob")
    one.run(1500)
    texts += [repr(thing) for thing in (one.conductor, one.conductor.keychain, *one.guests.values())]
    texts += [repr(event) for event in one.room.events]
    texts += [repr(key) for guest in one.guests.values() for key in guest.member.held()]
    texts.append(repr(one.room.show(CONFERENCE)))
    secrets = one.room.secrets | {f"kms{at}": octets for at, octets in enumerate(one.kms.made.values())}
    for guest in [*one.guests.values(), *one.past]:
        secrets |= {f"{guest.name}{at}": key.secret.reveal() for at, key in enumerate(guest.known())}
    assert len(secrets) > 500
    assert not leaks(dict(list(secrets.items())[:60]), "\n".join(texts))
    assert any("KeyPrepare" in text for text in texts)


# -- I13: liveness ------------------------------------------------------------------------------


def test_i13_every_leave_of_a_burst_is_covered() -> None:
    """Thirty leaves in four seconds, bridges spent: each leaver reads nothing after its bound."""
    one = house(36, max_legs=64, rekey={"t_leave_min": 0.5, "bridge_max": 0, "closing_leaves": 1000})
    one.run(600)
    for number in range(30):
        one.leave(f"g{number}")
        one.run(140 if number % 3 else 100)
    bound_ms = max(500, 40 + 1000) + 40 + 1000 + 20
    one.run(bound_ms + 500)
    assert one.settled()
    for gone in one.past:
        assert gone.left is not None
        late = [sent for sent in since(one, gone.left, but=gone) if sent.frame > gone.left + bound_ms // 20]
        assert readable(late[:400], gone.known()) == []
    exposures = one.conductor.policy.exposures()
    assert len(exposures) == 30
    assert max(each.seconds for each in exposures) * 1000 <= bound_ms
    one.check_ears()
