"""What the policy remembers: of a cohort, its members, its keys, messages under way and timers.

Knows: the fields. Must never know: the rules, which live where they are applied.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from math import inf
from typing import Final

from control.rekey.epochs import STEP_BITS
from control.rekey.states import TRANSITIONS, IllegalMove, Move, State

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


class Kind(StrEnum):
    """What an alarm is for."""

    REKEY = "rekey"
    """The cohort may need a new key."""
    RATCHET = "ratchet"
    """Joins have been collected for long enough."""
    ANSWER = "answer"
    """The KMS or the mixer has taken too long."""
    REPEAT = "repeat"
    """A message is to be sent again, or given up."""


class Alarm:
    """One timer of one cohort; `when` is infinite while it is not set."""

    __slots__ = ("cohort", "delivery", "kind", "when")

    def __init__(self, kind: Kind, cohort: Cohort, delivery: Delivery | None = None) -> None:
        self.kind = kind
        self.cohort = cohort
        self.delivery = delivery
        self.when = inf

    def unset(self) -> None:
        """Do not ring."""
        self.when = inf


class Cohort:
    """The members who share a group key. Those who know the rules change its fields, and only `move` its `state`."""

    __slots__ = (
        "aborted",
        "aborts",
        "active",
        "answer",
        "batch",
        "bridged",
        "delivery",
        "exposed",
        "failures",
        "fired",
        "hurried",
        "joiners",
        "members",
        "number",
        "pending",
        "plain",
        "ratchet",
        "rekey",
        "retiring",
        "retry_at",
        "rotate_at",
        "sealed",
        "state",
        "urgent",
        "waiting",
    )

    def __init__(self, number: int) -> None:
        self.number = number
        self.state = State.RESTING
        self.members: dict[str, Member] = {}
        self.plain = 0
        """Members who cannot ratchet."""
        self.bridged: dict[str, None] = {}
        """Members on own keys: what the mixer will have done when it has carried out every intention."""
        self.waiting: dict[str, None] = {}
        """Members who were never sent the active generation."""
        self.sealed = False
        """All are on own keys and stay there until a clean key is active."""
        self.active: Generation | None = None
        self.pending: Generation | None = None
        self.delivery: Delivery | None = None
        """The distribution of the pending key; after the switch, what is left of it."""
        self.joiners: dict[Delivery, None] = {}
        """Deliveries of ratchet steps."""
        self.batch: tuple[str, ...] = ()
        """Whom the ratchet step under way is for."""
        self.exposed: list[Leaver] = []
        """Members who left and can still decrypt what the cohort is sent."""
        self.aborted: deque[int] = deque(maxlen=8)
        """Generations that were thrown away since the last switch."""
        self.aborts = 0
        """Evictions in a row that threw one away."""
        self.failures = 0
        """Of the KMS or the mixer, in a row."""
        self.fired = NEVER
        """When the last rekey began."""
        self.retry_at = NEVER
        """After a failure: not before this."""
        self.rotate_at = NEVER
        """When the active key is too old."""
        self.urgent = False
        """The next rekey is for an eviction."""
        self.hurried = False
        """So is the one under way."""
        self.retiring = False
        """No group key is wanted, as soon as the mixer has answered."""
        self.rekey = Alarm(Kind.REKEY, self)
        self.ratchet = Alarm(Kind.RATCHET, self)
        self.answer = Alarm(Kind.ANSWER, self)

    def move(self, move: Move) -> None:
        """Go to the next state.

        Raises:
            IllegalMove: if the table has no such step.
        """
        following = TRANSITIONS[self.state].get(move)
        if following is None:
            raise IllegalMove(self.number, self.state, move)
        self.state = following

    @property
    def all_bridged(self) -> bool:
        """Nobody hears the group key."""
        return len(self.bridged) == len(self.members)
