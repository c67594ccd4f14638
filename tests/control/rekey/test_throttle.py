"""How often leaves rekey: the law of the throttle, and why it is no debounce (invariant I13)."""

from __future__ import annotations

import random
from math import exp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control.rekey.intentions import Activate, AddLeg, Bridge, Deliver, Intention, Obtain, RemoveLeg
from control.rekey.policy import Policy
from control.rekey.settings import RekeySettings
from tests.control.rekey.people import Network
from tests.control.rekey.stage import Stage


class Answers:
    """A KMS, a mixer and members who answer at once, so that nothing but the throttle takes time."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.fired = 0

    def give(self, now: float) -> None:
        policy = self.policy
        while said := policy.intentions():
            for intention in said:
                match intention:
                    case Obtain(cohort, epoch):
                        self.fired += 1
                        policy.key_ready(cohort, epoch, now)
                    case Deliver(_, epoch, members, _):
                        for member in members:
                            policy.acked(member, epoch, now)
                    case Activate(cohort, epoch):
                        policy.switched(cohort, epoch, now)

    def pass_time(self, until: float) -> None:
        while (due := self.policy.due()) is not None and due <= until:
            self.policy.advance(due)
            self.give(due)


@pytest.mark.parametrize("load", [0.1, 0.5, 1.0, 2.0, 5.0])
def test_rekeys_follow_the_law_of_a_leading_edge_throttle(load: float) -> None:
    """r = 1 / (T + exp(-lambda T) / lambda): T after the last rekey, or at the first leave after that."""
    pause, leaves = 2.0, 6000
    rate = load / pause
    settings_ = RekeySettings(
        mode="group",
        t_leave_min=pause,
        delivery_s=0.0,
        promote_s=1e9,
        promote_legs=10**6,
        epoch_max_age=1e9,
        closing_share=1e9,
    )
    policy = Policy(settings_)
    answers = Answers(policy)
    members = [f"m{number}" for number in range(40)]
    for name in members:
        policy.join(name, ratchets=False, now=0.0)
    answers.pass_time(10.0)
    assert answers.fired == 1
    start = now = 10.0
    answers.fired = 0
    clock = random.Random(load)
    for number in range(leaves):
        now += clock.expovariate(rate)
        answers.pass_time(now)
        policy.leave(members[number], now=now)  # the oldest: it has the key
        answers.give(now)
        members.append(f"m{number + 40}")
        policy.join(members[-1], ratchets=False, now=now)
        answers.give(now)
    law = 1 / (pause + exp(-load) / rate)
    assert answers.fired / (now - start) == pytest.approx(law, rel=0.04)


class Debounce(Policy):
    """The control: what Jitsi's `debounce` does. A rekey waits for a pause in the leaves, however long."""

    def __init__(self, pause: float) -> None:
        super().__init__(RekeySettings(mode="group"))
        self.pause = pause
        self.names: dict[str, None] = {}
        self.said: list[Intention] = []
        self.alarm: float | None = None
        self.owing: set[str] = set()
        self.epoch = 0

    def join(self, member: str, *, now: float, **_: object) -> None:
        self.names[member] = None
        self.said.append(AddLeg(member, 0))
        self.alarm = now + self.pause

    def leave(self, member: str, *, evict: bool = False, now: float) -> None:
        del self.names[member]
        self.owing.discard(member)
        self.said.append(RemoveLeg(member, False))
        self.alarm = now + self.pause

    def due(self) -> float | None:
        return self.alarm

    def advance(self, now: float) -> None:
        if self.alarm is not None and now >= self.alarm:
            self.alarm = None
            self.epoch += 0x100
            self.said.append(Obtain(0, self.epoch))

    def key_ready(self, cohort: int, epoch: int, now: float) -> None:
        self.owing = set(self.names)
        self.said.append(Deliver(0, epoch, tuple(self.names), 1))

    def acked(self, member: str, epoch: int, now: float) -> bool:
        if member not in self.owing:
            return False
        self.owing.discard(member)
        if not self.owing:
            self.said.append(Activate(0, epoch))
        return True

    def switched(self, cohort: int, epoch: int, now: float) -> None:
        if epoch == 0x100:
            self.said.append(Bridge(0, tuple(self.names), False))

    def intentions(self) -> list[Intention]:
        said, self.said = self.said, []
        return said


def burst(stage: Stage, gaps: list[float]) -> None:
    stage.join(*[f"m{number}" for number in range(len(gaps) + 5)])
    stage.run(30)
    assert all(stage.epoch_heard_by(name) for name in stage.people)
    for number, gap in enumerate(gaps):
        stage.leave(f"m{number}")
        stage.run(gap)
    stage.run(30)


BURST = [0.4] * 100
NO_BRIDGE = RekeySettings(mode="group", bridge_max=0)


def test_I13_every_leave_of_a_long_burst_is_covered_in_time() -> None:
    stage = Stage(NO_BRIDGE)
    burst(stage, BURST)
    stage.check_exposures(RekeySettings().t_leave_closing + stage.bound())


def test_I13_the_same_check_catches_a_debounce() -> None:
    stage = Stage(NO_BRIDGE, policy=Debounce(5.0))
    burst(stage, BURST)
    with pytest.raises(AssertionError, match="I2: m0 listened for 4"):
        stage.check_exposures(RekeySettings().t_leave_closing + stage.bound())


@settings(max_examples=60, deadline=None)
@given(
    gaps=st.lists(st.floats(0, 3), min_size=1, max_size=40),
    evictions=st.sets(st.integers(0, 39)),
    target=st.sampled_from([0, 5, 64]),
    rtt=st.sampled_from([0.01, 0.1, 0.6]),
)
def test_I13_any_burst_is_covered_in_time(gaps: list[float], evictions: set[int], target: int, rtt: float) -> None:
    """Twice over an eviction may throw away the key that would have covered a leave."""
    stage = Stage(RekeySettings(mode="group", bridge_max=0, cohort_target=target), network=Network(rtt=rtt))
    stage.join(*[f"m{number}" for number in range(len(gaps) + 5)])
    stage.run(30)
    for number, gap in enumerate(gaps):
        stage.leave(f"m{number}", evict=number in evictions)
        stage.run(gap)
    stage.run(30)
    stage.check_exposures(RekeySettings().t_leave_closing + 3 * stage.bound())
    facts = stage.policy.facts(stage.now)
    assert facts.counts.rekeys <= 2 * facts.cohorts + len(gaps) + 30 / 2, "no more rekeys than leaves"
    assert all(stage.epoch_heard_by(name) for name in stage.people)
