"""A leave costs its cohort, never the conference: counted in calls, not in seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

from control.rekey.intentions import Activate, Deliver, Intention, Obtain, RemoveLeg
from control.rekey.policy import Policy
from control.rekey.settings import RekeySettings

SIZE = 256


def grown(members: int) -> Policy:
    """A conference of full cohorts, each under its group key."""
    policy = Policy(RekeySettings(mode="group", cohort_target=SIZE))
    for number in range(members):
        policy.join(f"m{number}", ratchets=True, now=0.0)
    policy.advance(0.2)
    answer(policy, policy.intentions(), 0.3)
    assert policy.facts(1.0).counts.epochs == members / SIZE
    assert policy.facts(1.0).bridged == 0
    return policy


def answer(policy: Policy, said: list[Intention], now: float) -> list[Intention]:
    """Answer as a perfect world would, until nothing more is said. Returns all that was."""
    everything = list(said)
    while said:
        for intention in said:
            match intention:
                case Obtain(cohort, epoch):
                    policy.key_ready(cohort, epoch, now)
                case Deliver(_, epoch, names, _):
                    for name in names:
                        policy.acked(name, epoch, now)
                case Activate(cohort, epoch):
                    policy.switched(cohort, epoch, now)
        said = policy.intentions()
        everything += said
    return everything


def calls(act: Callable[[], None]) -> int:
    """How many functions, of Python or C, are called by the policy and what answers it."""
    count = 0

    def profile(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        act()
    finally:
        sys.setprofile(before)
    return count


def cost_of_a_leave(policy: Policy) -> tuple[int, int, list[str]]:
    said: list[Intention] = []
    alone = calls(lambda: policy.leave("m300", now=100.0))
    said += policy.intentions()
    assert isinstance(said[0], RemoveLeg)
    rest = calls(lambda: said.extend(answer(policy, list(said), 100.1)))
    return alone, rest, [type(intention).__name__ for intention in said]


def test_a_leave_costs_the_same_in_a_conference_of_a_thousand_and_of_fifty_thousand() -> None:
    small, large = cost_of_a_leave(grown(4 * SIZE)), cost_of_a_leave(grown(196 * SIZE))
    assert small == large
    assert small[0] <= 60, "the leave itself does not depend on the size of the cohort either"


def test_a_join_costs_the_same_too() -> None:
    small, large = grown(4 * SIZE), grown(196 * SIZE)
    cost = calls(lambda: small.join("new", ratchets=True, now=50.0))
    assert cost == calls(lambda: large.join("new", ratchets=True, now=50.0))
    assert cost < 60


def test_a_cohort_twice_as_large_costs_a_rekey_twice_as_much() -> None:
    """The control: the counter counts."""
    policy = Policy(RekeySettings(mode="group", cohort_target=2 * SIZE))
    for number in range(4 * SIZE):
        policy.join(f"m{number}", ratchets=True, now=0.0)
    policy.advance(0.2)
    answer(policy, policy.intentions(), 0.3)
    assert cost_of_a_leave(policy)[1] > 1.8 * cost_of_a_leave(grown(4 * SIZE))[1]
