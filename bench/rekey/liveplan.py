"""Live plan: one run with media, said once and read by the focus and by the members' process.

Knows: names, addresses, seeds of keys. Must never know: sockets, clocks.

Members 0, 1 and 2 talk; everybody else listens. Who leaves, and who comes late, is drawn from the seed; the leaves come
first, one every `gap_s`.
"""

from __future__ import annotations

import hashlib
import random
from typing import Final

import msgspec

from bench.plan import MOST_LEGS, Plan, PlanError
from bench.processes import BenchError
from mixer.secret import Secret
from mixer.suites import SuiteName

CONFERENCE: Final = "live"
FOCUS: Final = "focus"
TALKERS: Final = 3
HEAD_S: Final = 2.1
"""Of talk before anything happens: longer than the pause between two rekeys; and"""
TAIL_S: Final = 1.0
"""after everything has."""


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """One run. Times are in seconds."""

    members: int
    """To begin with."""
    cohort: int = 0
    """Members of a cohort; 0 for one group."""
    bridge_max: int = 0
    """Legs that may be on own keys for a leave; 0 for no bridge."""
    leaves: int = 5
    joins: int = 2
    gap_s: float = 2.5
    """From one event to the next: more than the pause between two rekeys."""
    loss: float = 0.0
    """Share of key messages, and of their acknowledgements, that the network swallows."""
    suite: SuiteName = "AES_CM_128_HMAC_SHA1_80"
    setup_s: float = 20.0
    """Until everybody is in, at most; what arrives meanwhile is kept too."""
    seed: str = ""

    def check(self) -> None:
        """Raises: BenchError if this run cannot be made."""
        if not TALKERS + self.leaves < self.members <= MOST_LEGS - self.joins:
            raise BenchError(f"more than {TALKERS + self.leaves} members, and at most {MOST_LEGS}: who stays must hear")
        try:
            self.plan().check()
        except PlanError as error:
            raise BenchError(str(error)) from error

    @property
    def legs(self) -> int:
        """All that there will ever be."""
        return self.members + self.joins

    def plan(self) -> Plan:
        """The same for the load generator: all legs, their addresses, and what talkers say."""
        return Plan(
            legs=self.legs,
            talkers=TALKERS,
            suite=self.suite,
            seconds=self.talk_s - HEAD_S,
            warmup=HEAD_S,
            slices=1,
            seed=self.seed,
        )

    def talkers_plan(self) -> Plan:
        """Of those who send."""
        return msgspec.structs.replace(self.plan(), legs=TALKERS)

    @property
    def talk_s(self) -> float:
        """So long do talkers talk."""
        return HEAD_S + (self.leaves + self.joins) * self.gap_s + TAIL_S

    def leavers(self) -> list[int]:
        """Who leaves, in this order: nobody who talks or comes late."""
        return random.Random(self.seed).sample(range(TALKERS, self.members), self.leaves)

    def name(self, leg: int) -> str:
        return f"leg-{leg}"

    def number(self, name: str) -> int:
        """The leg of that name."""
        return int(name.removeprefix("leg-"))

    def psk(self, leg: int) -> Secret:
        """Pre-shared between the focus and a member."""
        return Secret(hashlib.shake_256(f"{self.seed}/psk/{leg}".encode()).digest(16))

    def own_mki(self, leg: int) -> bytes:
        """Of its own key: the highest bit is set."""
        return (0x8000_0000 | leg + 1).to_bytes(4)
