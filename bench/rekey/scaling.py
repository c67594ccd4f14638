"""What the policy itself takes for a leave, by size of the conference. It should not depend on it.

Knows: the real policy, answered at once by everybody. Must never know: networks, messages, media.
"""

from __future__ import annotations

import random
import statistics
from time import thread_time_ns
from typing import Final

import msgspec

from control.rekey.intentions import Activate, Deliver, Obtain, Ratchet
from control.rekey.policy import Policy
from control.rekey.settings import RekeySettings

SIZES: Final = (1_000, 10_000, 100_000)
COHORT: Final = 256
LEAVES: Final = 300


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """Microseconds of CPU in a conference of `members`, medians."""

    members: int
    cohort: int
    leave_us: float
    """The leave itself, until the mixer is told to send nothing more."""
    rekey_us: float
    """All that follows: key, deliveries, every acknowledgement, switch."""


def answer(policy: Policy, now: float) -> None:
    """The KMS, the mixer and all members say yes, until nothing more is asked."""
    while said := policy.intentions():
        for intention in said:
            match intention:
                case Obtain(cohort, epoch):
                    policy.key_ready(cohort, epoch, now)
                case Deliver(_, epoch, names, _):
                    for name in names:
                        policy.acked(name, epoch, now)
                case Activate(cohort, epoch) | Ratchet(cohort, epoch):
                    policy.switched(cohort, epoch, now)


def grown(members: int, cohort: int = COHORT) -> Policy:
    """A conference of so many, all under group keys."""
    policy = Policy(RekeySettings(mode="group", cohort_target=cohort))
    for number in range(members):
        policy.join(f"m{number}", ratchets=True, now=0.0)
    policy.advance(0.2)
    answer(policy, 0.3)
    return policy


def measure(members: int, *, cohort: int = COHORT, leaves: int = LEAVES, seed: int = 1) -> Load:
    """Members drawn at random leave one after the other, each rekey done before the next leave."""
    policy, now = grown(members, cohort), 10.0
    leave_us, rekey_us = [], []
    for number in random.Random(seed).sample(range(members), leaves):
        now += 3.0  # longer than the pause between two rekeys of a cohort
        begin = thread_time_ns()
        policy.leave(f"m{number}", now=now)
        left = thread_time_ns()
        answer(policy, now)
        done = thread_time_ns()
        leave_us.append((left - begin) / 1000)
        rekey_us.append((done - left) / 1000)
    return Load(
        members=members,
        cohort=cohort,
        leave_us=round(statistics.median(leave_us), 1),
        rekey_us=round(statistics.median(rekey_us), 1),
    )
