"""The watch itself: policies that break an invariant, and the stage that must see it."""

from __future__ import annotations

import pytest

from control.rekey.intentions import (
    Abort,
    Activate,
    AddLeg,
    Bridge,
    Deliver,
    Intention,
    Obtain,
    Ratchet,
    RemoveLeg,
    Retire,
)
from control.rekey.policy import Policy
from control.rekey.settings import RekeySettings
from tests.control.rekey.stage import Stage


class Script(Policy):
    """Says what it is told to say, whatever happens, and takes every acknowledgement."""

    def __init__(self) -> None:
        super().__init__(RekeySettings(mode="group"))
        self.lines: list[Intention] = []

    def join(self, member: str, *, now: float, **_: object) -> None:
        self.lines.append(AddLeg(member, 0))

    def leave(self, member: str, *, evict: bool = False, now: float) -> None:
        self.lines.append(RemoveLeg(member, False))

    def acked(self, member: str, epoch: int, now: float) -> bool:
        return True

    def key_ready(self, cohort: int, epoch: int, now: float) -> None:
        """So what."""

    def switched(self, cohort: int, epoch: int, now: float) -> None:
        """So what."""

    def intentions(self) -> list[Intention]:
        lines, self.lines = self.lines, []
        return lines


class Scripted:
    """A stage with a script, and two members who hear epoch 0x100."""

    def __init__(self) -> None:
        self.script = Script()
        self.stage = Stage(RekeySettings(mode="group"), policy=self.script)
        self.stage.join("a", "b")
        self.say(Obtain(0, 0x100))
        self.say(Deliver(0, 0x100, ("a", "b"), 1))
        self.say(Activate(0, 0x100))
        self.say(Bridge(0, ("a", "b"), False))
        assert self.stage.epoch_heard_by("a") == self.stage.epoch_heard_by("b") == 0x100

    def say(self, *lines: Intention, wait: float = 1.0) -> None:
        self.script.lines += lines
        self.stage.close()  # which this policy does not mind
        self.stage.run(wait)


def test_I2_a_leave_that_nothing_follows() -> None:
    scripted = Scripted()
    scripted.stage.leave("a")
    scripted.stage.run(60)
    with pytest.raises(AssertionError, match="I13: the leave of a was never covered"):
        scripted.stage.check_exposures(10.0)


def test_I2_a_leave_that_is_covered_too_late_and_one_that_is_not_accounted_for() -> None:
    scripted = Scripted()
    scripted.stage.leave("a")
    scripted.stage.run(9)
    scripted.say(Bridge(0, None, True))
    with pytest.raises(AssertionError, match="I2: a listened for 9"):
        scripted.stage.check_exposures(8.0)
    with pytest.raises(AssertionError, match="accounts"):
        scripted.stage.check_exposures(20.0)


def test_I3_a_newcomer_that_is_sent_what_is_in_use() -> None:
    scripted = Scripted()
    scripted.stage.join("new")
    with pytest.raises(AssertionError, match="I3"):
        scripted.say(Deliver(0, 0x100, ("new",), 1))


def test_I3_a_newcomer_that_is_sent_a_step_before_one_that_was_in_use() -> None:
    scripted = Scripted()
    scripted.say(Ratchet(0, 0x101))
    scripted.stage.join("new")
    with pytest.raises(AssertionError, match="I3"):
        scripted.say(Deliver(0, 0x101, ("new",), 1))


def test_I4_a_key_for_one_who_has_left() -> None:
    scripted = Scripted()
    scripted.stage.leave("a")
    scripted.say(Obtain(0, 0x200))
    with pytest.raises(AssertionError, match="I4"):
        scripted.say(Deliver(0, 0x200, ("a", "b"), 1))


def test_I6_one_who_has_not_acknowledged() -> None:
    scripted = Scripted()
    scripted.stage.network.deaf.add("b")
    scripted.say(Obtain(0, 0x200))
    scripted.say(Deliver(0, 0x200, ("a", "b"), 1))
    with pytest.raises(AssertionError, match="I6"):
        scripted.say(Activate(0, 0x200))


@pytest.mark.parametrize("epoch", [0x100, 0x001])
def test_I7_a_generation_that_was_there(epoch: int) -> None:
    scripted = Scripted()
    with pytest.raises(AssertionError):
        scripted.say(Obtain(0, epoch))


def test_I7_a_key_that_was_thrown_away() -> None:
    scripted = Scripted()
    scripted.say(Obtain(0, 0x200))
    scripted.say(Abort(0, 0x200))
    with pytest.raises(AssertionError, match="I7"):
        scripted.say(Activate(0, 0x200))


def test_I13_a_backlog() -> None:
    scripted = Scripted()
    with pytest.raises(AssertionError, match="I13"):
        scripted.say(Obtain(0, 0x200), Obtain(0, 0x300))


def test_I5_a_key_that_is_taken_away_in_use() -> None:
    scripted = Scripted()
    with pytest.raises(AssertionError, match="I5"):
        scripted.say(Retire(0, 0x100))
