"""The conductor and members who are told keys by the signalling, or none at all."""

from __future__ import annotations

import msgspec
import pytest

from control.rekey.conductor import Conductor, Joiner, NameTaken, Signal, Ticket
from control.rekey.keychain import Keychain
from control.rekey.policy import Policy
from control.rekey.settings import RekeySettings
from mixer import port
from mixer.secret import Secret


class Stage:
    """A conductor whose mixer and KMS say yes to everything, and phones that answer when they are told to."""

    def __init__(self, **rekey: object) -> None:
        settings = msgspec.convert({"mode": "group", "t_leave_min": 0.1} | rekey, RekeySettings)
        keychain = Keychain("c", "AES_CM_128_HMAC_SHA1_80", style="ssrc")
        self.conductor = Conductor(Policy(settings, style="ssrc"), keychain, identity="focus")
        self.now = 0.0
        self.keys = 0

    def join(self, name: str, *, follows: bool = True, own: bool = True) -> Joiner:
        self.keys += 1
        tx = port.Key(secret=Secret(self.keys.to_bytes(30))) if own else None
        joiner = Joiner(port.LegAdd(conference="elsewhere", leg=name, tx=tx), None, follows=follows)
        self.conductor.join(joiner, self.now)
        return joiner

    def work(self) -> list[Ticket]:
        """Until nothing is left but phones; returns what was asked of the mixer."""
        asked: list[Ticket] = []
        while True:
            tickets, requests = self.conductor.tickets(), self.conductor.requests()
            for ticket in tickets:
                self.conductor.replied(ticket, port.Done(), self.now)
            for request in requests:
                self.conductor.made(request, Secret(request.epoch.to_bytes(32)), self.now)
            asked += tickets
            if not tickets and not requests:
                return asked

    def run(self, seconds: float) -> list[Ticket]:
        asked = self.work()
        until = self.now + seconds
        while (due := self.conductor.due()) is not None and due <= until:
            self.now = due
            self.conductor.advance(self.now)
            asked += self.work()
        self.now = until
        return asked

    def told(self) -> list[tuple[str, int]]:
        return [(signal.member, signal.epoch) for signal in self.conductor.signals()]


def names(tickets: list[Ticket]) -> list[str]:
    return [type(ticket.command).__name__ for ticket in tickets]


def test_a_key_is_signalled_once_until_there_is_an_answer() -> None:
    stage = Stage()
    stage.join("ann")
    stage.run(0.9)
    ((member, epoch),) = stage.told()
    assert stage.conductor.policy.facts(stage.now).counts.retransmissions >= 3, "the policy would have"
    assert stage.conductor.unsignalled(member, epoch, stage.now)
    assert not stage.conductor.unsignalled(member, epoch, stage.now)
    stage.run(3.0)
    assert stage.told() == [(member, epoch)], "it may be told again"
    assert stage.conductor.signalled(member, epoch, stage.now)
    assert not stage.conductor.signalled(member, epoch, stage.now)
    assert not stage.conductor.signalled("nobody", epoch, stage.now)
    assert stage.conductor.counts.bad_acks == 2
    stage.run(30.0)
    assert stage.told() == []


def test_what_is_told_is_what_the_mixer_was_given() -> None:
    stage = Stage()
    stage.join("ann")
    asked = stage.run(0.2)
    (signal,) = stage.conductor.signals()
    (prepared,) = [ticket.command.key for ticket in asked if isinstance(ticket.command, port.KeyPrepare)]
    assert signal == Signal("ann", 0, prepared.epoch, prepared, ())
    assert prepared.secret.to_base64() not in repr(signal)


def test_who_has_left_is_told_nothing_and_its_answer_is_none() -> None:
    stage = Stage()
    stage.join("ann")
    stage.join("bob")
    stage.run(0.2)
    stage.conductor.leave("ann", stage.now)
    assert [member for member, _ in stage.told()] == ["bob"]
    assert not stage.conductor.signalled("ann", 256, stage.now)


def test_an_answer_to_a_later_key_settles_those_before() -> None:
    stage = Stage()
    stage.join("ann")
    stage.join("bob")
    stage.run(0.2)
    first = stage.told()[0][1]
    stage.conductor.leave("bob", stage.now)
    stage.run(4.0)
    (second,) = [epoch for member, epoch in stage.told() if member == "ann"]
    assert second > first
    assert stage.conductor.signalled("ann", second, stage.now)
    assert not stage.conductor.signalled("ann", first, stage.now)
    assert stage.conductor.policy.keying_of("ann") == "group"


def test_one_that_would_not_go_back_to_its_own_key_is_for_the_focus_to_decide() -> None:
    stage = Stage(mode="auto", n_group_on=2, n_group_off=2)
    own = stage.join("ann").leg.tx
    stage.join("bob")
    stage.run(0.2)
    for member, epoch in stage.told():
        stage.conductor.signalled(member, epoch, stage.now)
    stage.work()
    stage.conductor.leave("bob", stage.now)
    stage.work()
    (signal,) = stage.conductor.signals()
    assert (signal.member, signal.epoch, signal.key) == ("ann", 0, own)
    assert stage.conductor.unsignalled("ann", 0, stage.now)
    assert [wish.member for wish in stage.conductor.attention] == ["ann"]


def test_one_apart_is_a_leg_and_nothing_else() -> None:
    """Its keys may be made by DTLS: there is no `tx`. No bridge ever names it."""
    stage = Stage()
    stage.join("ann")
    stage.run(0.2)
    for member, epoch in stage.told():
        stage.conductor.signalled(member, epoch, stage.now)
    stage.run(1.0)
    facts = stage.conductor.policy.facts(stage.now)
    stage.join("web", follows=False, own=False)
    (added,) = stage.run(60.0)
    assert isinstance(added.command, port.LegAdd)
    assert (added.command.keying, added.command.bridged) == ("unique", False)
    assert (added.command.conference, added.command.remove_on_timeout) == ("c", False)
    assert stage.told() == []
    assert stage.conductor.policy.facts(stage.now).members == facts.members
    stage.conductor.leave("web", stage.now, evict=True)
    assert names(stage.run(1.0)) == ["LegRemove"]
    assert stage.conductor.policy.facts(stage.now).ignored == facts.ignored


def test_one_apart_that_the_mixer_refuses_is_no_member_any_more() -> None:
    stage = Stage()
    stage.join("web", follows=False)
    (ticket,) = stage.conductor.tickets()
    stage.conductor.refused(ticket, stage.now)
    assert [wish.member for wish in stage.conductor.attention] == ["web"]
    assert stage.work() == [], "there is no leg to remove"
    stage.join("web", follows=False)
    assert names(stage.work()) == ["LegAdd"]


def test_names_are_taken_by_those_apart_too() -> None:
    stage = Stage()
    stage.join("ann", follows=False)
    with pytest.raises(NameTaken, match="ann"):
        stage.join("ann")
