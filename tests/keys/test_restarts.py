"""I14: whatever is killed, at whatever step, I1 to I3 hold and the conference goes on talking.

A day in the life of a small conference is played again and again; each time the focus, or the mixer, is killed
just before another of the commands that pass between them.
"""

from __future__ import annotations

import numpy as np
import pytest

from control.rekey.conductor import Request, Ticket
from mixer.port import (
    ConferenceCreate,
    Key,
    KeyActivate,
    KeyPrepare,
    KeySwitched,
    PortError,
    Refusal,
)
from mixer.secret import Secret
from tests.keys.house import CONFERENCE, Guest, House
from tests.mixer.net import Net
from tests.mixer.phone import tone
from tests.mixer.room import Room
from tests.mixer.tap import readable

KILLED = 19
"""Commands of the day; each of them has its turn."""


class Day:
    """Joins, a leave, a late joiner, an eviction; a crash before one command, noticed a little later."""

    def __init__(self, victim: str, at: int) -> None:
        self.house = House(rekey={"t_leave_min": 0.3}, keys_up=Net(1, delay_ms=30), max_legs=64)
        self.victim, self.at = victim, at
        self.commands = 0
        self.crashed = False
        self.gone: list[tuple[Guest, int]] = []
        """Who left, and the tick from which the mixer certainly knows."""
        self.house.before = self._count

    def _count(self, ticket: Ticket) -> bool:
        self.commands += 1
        self.crashed |= self.commands == self.at
        return not self.crashed

    def live(self) -> House:
        one = self.house
        one.join("ann", tone(437.0))
        one.join("bob", tone(1013.0))
        one.join("cat")
        one.join("dan")
        self.wait(800)
        self.leave("dan")
        self.wait(700)
        one.join("eve")
        self.wait(500)
        self.leave("cat", evict=True)
        self.wait(1200)
        if self.crashed and one.before == self._count:
            self.recover()
        one.run(3000)
        return one

    def leave(self, name: str, *, evict: bool = False) -> None:
        self.gone.append((self.house.leave(name, evict=evict), self.house.room.frame))

    def wait(self, ms: int) -> None:
        self.house.run(ms)
        if self.crashed and self.house.before == self._count:
            self.recover()

    def recover(self) -> None:
        """The crash is noticed."""
        if self.victim == "focus":
            self.house.restart_focus()
        else:
            self.house.restart_mixer()
        # Who left while the focus was dead is removed now.
        self.gone = [(guest, self.house.room.frame if self.crashed else frame) for guest, frame in self.gone]
        self.house.run(200)


@pytest.mark.parametrize("victim", ["focus", "mixer"])
@pytest.mark.parametrize("at", range(1, KILLED + 1))
def test_i14_killed_before_a_command(victim: str, at: int) -> None:
    day = Day(victim, at)
    one = day.live()
    assert day.crashed
    assert one.settled(), one.cohorts()
    check_keystream(one)  # I1
    for guest, frame in day.gone:  # I2
        capture = [sent for sent in one.room.sent if sent.frame > frame and sent.address != guest.phone.address]
        assert readable(capture[-600:], guest.known()) == []
    late = one.guests["eve"]  # I3
    first = [sent for sent in one.room.sent if sent.frame <= late.joined]
    assert readable(first[-400:], late.known()) == []
    for guest in one.guests.values():
        audible = np.abs(guest.phone.audio(200).astype(int)).max()
        assert audible > 2500, f"{guest.name} hears the others"
        assert len(guest.phone.heard[-50:]) == 50


def test_i14_the_day_without_a_crash_has_as_many_commands() -> None:
    """So that every command had its turn; and the checks hold on a day on which nothing happens."""
    day = Day("focus", at=0)
    one = day.live()
    assert day.commands == KILLED
    assert not one.refusals
    check_keystream(one)
    one.check_ears()


def check_keystream(one: House) -> None:
    """No two packets under one (key, SSRC, index), over both lives of the mixer."""
    seen: dict[tuple[str, int, int], bytes] = {}
    for guest in [*one.guests.values(), *one.past]:
        for heard in guest.phone.heard:
            name = heard.key, heard.packet.ssrc, heard.packet.seq
            assert seen.setdefault(name, heard.packet.pack()) == heard.packet.pack()
    assert len(seen) > 100


# -- the rule behind it ---------------------------------------------------------------------------


def test_a_mixer_that_came_back_takes_no_key_of_before() -> None:
    """The ledger outlives kill -9: every key ever sent under is refused, whoever pushes it, for whatever."""
    one = House()
    one.join("ann", tone(437.0))
    one.join("bob")
    one.settle()
    pushed = [one.conductor.keychain.key(0, one.cohorts()[0].epoch), *one.guests["ann"].owns]
    one.restart_mixer()
    for number, key in enumerate(pushed):
        again = Key(suite=key.suite, secret=Secret(key.secret.reveal()), mki=f"0000{number:04x}", epoch=0xFFFFFF)
        with pytest.raises(PortError) as caught:
            one.room.apply(KeyPrepare(conference=CONFERENCE, key=again))
        assert caught.value.refusal == Refusal.KEY_REUSED


def test_without_the_ledger_the_same_key_would_be_taken() -> None:
    """The control run, and why SSRCs are drawn afresh in every life."""
    first = Room()
    key = first.key("k")
    first.apply(ConferenceCreate(conference="c", keying="group", key=key))
    first.revive()
    first.apply(ConferenceCreate(conference="c", keying="group", key=key))


def test_a_command_for_another_life_is_refused() -> None:
    one = House()
    one.join("ann")
    one.settle()
    boot = one.room.engine.boot_id
    one.restart_mixer()
    stale = KeyPrepare(conference=CONFERENCE, key=one.room.key("k", mki="00009999", epoch=0x9999), boot=boot)
    with pytest.raises(PortError) as caught:
        one.room.apply(stale)
    assert caught.value.refusal == Refusal.BAD_BOOT


# -- bad input, and what it gets --------------------------------------------------------------------


def test_a_kms_that_is_down() -> None:
    """The cohort is bridged, whatever the budget; nothing is invented; when it is back there is a new key."""
    one = House(rekey={"t_leave_min": 0.2, "bridge_max": 0})
    for name in ("ann", "bob", "cat"):
        one.join(name, tone(437.0) if name == "ann" else None)
    one.settle()
    one.run(500)
    one.kms.down = True
    gone = one.leave("cat")
    one.run(500)
    frame = one.room.frame
    one.run(3000)
    capture = [sent for sent in one.room.sent if sent.frame > frame and sent.address != gone.phone.address]
    assert readable(capture, gone.known()) == [], "fail closed"
    (cohort,) = one.cohorts()
    assert cohort.bridged == cohort.legs == 2
    one.check_ears()
    one.kms.down = False
    one.run(8000)
    assert one.settled()
    one.check_ears()


def test_a_kms_that_is_slow() -> None:
    """Its answer comes after the policy gave up: the key is thrown away, and another is asked for."""
    one = House(rekey={"t_leave_min": 0.2, "answer_timeout": 0.5})
    one.join("ann", tone(437.0))
    one.join("bob")
    one.settle()
    one.kms.delay_ms = 900
    one.leave("bob")
    one.join("cat")
    one.run(4000)
    one.kms.delay_ms = 20
    one.run(8000)
    assert one.settled()
    one.check_ears()


def test_acknowledgements_that_are_none() -> None:
    """From a non-member, forged, replayed, for another push, malformed: counted, and nobody is unbridged by them."""
    one = House(keys_up=Net(1, loss=1.0))
    one.join("ann", tone(437.0))
    bob = one.join("bob")
    messages: list[bytes] = []
    receive = bob.member.receive

    def note(octets: bytes, *, now: float) -> bytes | None:
        answer = receive(octets, now=now)
        if answer is not None:
            messages.append(answer)
        return answer

    bob.member.receive = note  # type: ignore[method-assign]
    one.run(300)
    true = messages[0]
    forged = true[:-1] + bytes([true[-1] ^ 1])
    for name, octets in [("nobody", true), ("ann", true), ("bob", forged), ("bob", b""), ("bob", b"\x01" * 90)]:
        bad = one.conductor.counts.bad_acks
        assert not one.acknowledge(name, octets)
        assert one.conductor.counts.bad_acks == bad + 1
    assert bob.acked == set()
    assert one.acknowledge("bob", true)
    bad = one.conductor.counts.bad_acks
    assert not one.acknowledge("bob", true), "replayed"
    assert one.conductor.counts.bad_acks == bad + 1
    one.run(3000)
    assert {heard.key for heard in one.guests["ann"].phone.heard} == {one.guests["ann"].owns[-1].mki}


def test_forged_and_replayed_key_messages() -> None:
    """What an attacker on the key channel can make a member do: nothing."""
    one = House(rekey={"epoch_max_age": 0.5})
    one.join("ann", tone(437.0))
    bob = one.join("bob")
    seen: list[bytes] = []
    deliver = one.deliver

    def note(name: str, octets: bytes) -> None:
        if name == "bob":
            seen.append(octets)
        deliver(name, octets)

    one.deliver = note  # type: ignore[method-assign]
    one.run(3000)
    assert len(seen) > 3
    held = bob.member.held()
    epoch = bob.member.epoch
    for octets in seen[:-1]:
        bob.member.receive(octets, now=one.now())
        bob.member.receive(octets[:40] + bytes([octets[40] ^ 8]) + octets[41:], now=one.now())
    assert bob.member.held() == held
    assert bob.member.epoch == epoch
    assert bob.member.refused > len(seen)
    one.run(1000)
    one.check_ears()


def test_an_answer_of_the_kms_for_what_nobody_wants_any_more() -> None:
    one = House(rekey={"t_leave_min": 0.1})
    one.join("ann")
    one.settle()
    epoch = one.cohorts()[0].highest
    one.conductor.made(Request(0, 0x7700), Secret(bytes(range(32))), one.now())
    one.work()
    one.run(100)
    (cohort,) = one.cohorts()
    assert cohort.epoch == epoch
    assert 0x7700 not in cohort.prepared
    with pytest.raises(PortError):
        one.room.apply(KeyActivate(conference=CONFERENCE, epoch=0x7700))


def test_a_mixer_that_destroys_a_key_for_its_age() -> None:
    """The hard limit: nobody told the mixer of a successor, it fails closed, and the policy makes a new one."""
    from control.rekey.keychain import Limits

    one = House(limits=Limits(max_age_s=2.0), rekey={"epoch_max_age": 1000.0})
    one.join("ann", tone(437.0))
    one.join("bob")
    one.settle()
    one.run(5000)
    assert len([event for event in one.room.named(KeySwitched) if not event.leg]) >= 2
    one.check_ears()
    assert len(one.guests["bob"].phone.heard) >= one.room.frame - 2
