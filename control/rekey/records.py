"""What the policy remembers of a member, of a generation of keys, and of a message under way.

Knows: the fields. Must never know: the rules, which live where they are applied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from control.rekey.alarms import Alarm, Kind
from control.rekey.epochs import STEP_BITS

if TYPE_CHECKING:
    from control.rekey.cohort import Cohort

NEVER: Final = float("-inf")


class Member:
    """One member of the conference."""

    __slots__ = ("awaited", "cohort", "delivery", "lag_since", "lagging", "name", "one_key", "ratchets", "told")

    def __init__(self, name: str, ratchets: bool, one_key: bool, cohort: Cohort) -> None:
        self.name = name
        self.ratchets = ratchets
        self.one_key = one_key
        """It forgets a key when it takes another, be it of use or not."""
        self.cohort = cohort
        self.delivery: Delivery | None = None
        """The message that it has not acknowledged."""
        self.awaited = False
        """The distribution under way waits for it."""
        self.lagging = False
        """It missed the deadline of a delivery, and has acknowledged nothing since `lag_since`."""
        self.lag_since = 0.0
        self.told = False
        """`Attention` was raised for it."""


class Generation:
    """One generation of a cohort's group key: where it stands, and who has it."""

    __slots__ = ("acked", "awaited", "given", "number", "step", "tainted")

    def __init__(self, number: int) -> None:
        self.number = number
        self.step = 0
        self.given: dict[str, int] = {}
        """Members who were sent it, with the first step they were sent. They can compute every later one."""
        self.acked: dict[str, None] = {}
        """Those of them who said that they have it."""
        self.awaited = 0
        """Members whose word its distribution waits for."""
        self.tainted = False
        """Someone who left the conference has it: it must go."""

    @property
    def epoch(self) -> int:
        """Number of the epoch at its present step."""
        return self.number << STEP_BITS | self.step


class Delivery:
    """One key on its way to some members, until each has acknowledged it or been given up."""

    __slots__ = ("alarm", "attempt", "cohort", "deadline", "key", "lapsed", "late", "sent", "unacked")

    def __init__(self, cohort: Cohort, key: Generation, unacked: dict[str, Member]) -> None:
        self.cohort = cohort
        self.key = key
        self.unacked = unacked
        self.attempt = 1
        self.sent = 0.0
        """When the last of the first messages can have left."""
        self.deadline = 0.0
        """When those who have not acknowledged it become laggards."""
        self.late = False
        """The deadline has passed."""
        self.lapsed = 0.0
        """When that was seen."""
        self.alarm = Alarm(Kind.REPEAT, cohort, self)


class Leaver:
    """One who left and may still be able to decrypt what its cohort is sent."""

    __slots__ = ("at", "evicted", "keys", "name")

    def __init__(self, name: str, at: float, evicted: bool, keys: tuple[Generation, ...]) -> None:
        self.name = name
        self.at = at
        self.evicted = evicted
        self.keys = keys
