"""The life of one cohort: the members who share a group key, and what is under way with that key.

Knows: which step may follow which. Must never know: time, settings, other cohorts.

A cohort rests, or exactly one thing is under way in it. While it rests it has an active key, or none:
then all its legs are on own keys, which is unique keying. A new key is obtained from the KMS and
prepared at the mixer, then delivered, then activated; until that moment the old one stays in use. A
ratchet step is activated first and delivered after. An eviction may throw a key away while it is
delivered, and begins anew. Whatever fails goes back to rest, with an alarm set for another attempt.
When its last member has left and its keys are destroyed, a cohort is gone; its number never returns.

`TRANSITIONS` is all of it. A pair that is not written there is a fault of the policy, and raises
`IllegalMove`. Answers from outside that come too late are not moves: they are counted and dropped.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from typing import Final

from control.rekey.alarms import Alarm, Kind
from control.rekey.records import NEVER, Delivery, Generation, Leaver, Member


class State(StrEnum):
    """What is under way."""

    RESTING = "resting"
    OBTAINING = "obtaining"
    DELIVERING = "delivering"
    ACTIVATING = "activating"
    RATCHETING = "ratcheting"
    GONE = "gone"


class Move(StrEnum):
    """What may happen."""

    BEGIN = "begin"
    """A new key is asked for."""
    READY = "ready"
    """The KMS has made it and the mixer holds it."""
    COMPLETE = "complete"
    """All have acknowledged it, or have had their time."""
    SWITCHED = "switched"
    """The mixer uses it."""
    RESTART = "restart"
    """Someone who was sent it has been evicted: it is thrown away for another."""
    RATCHET = "ratchet"
    """The mixer is to go one step on."""
    FAILED = "failed"
    """The KMS or the mixer would not, or did not answer."""
    ABANDON = "abandon"
    """No group key is wanted any more."""
    EMPTIED = "emptied"
    """The last member has left, and no key is left either."""


TRANSITIONS: Final[dict[State, dict[Move, State]]] = {
    State.RESTING: {
        Move.BEGIN: State.OBTAINING,
        Move.RATCHET: State.RATCHETING,
        Move.ABANDON: State.RESTING,
        Move.EMPTIED: State.GONE,
    },
    State.OBTAINING: {
        Move.READY: State.DELIVERING,
        Move.FAILED: State.RESTING,
        Move.ABANDON: State.RESTING,
    },
    State.DELIVERING: {
        Move.COMPLETE: State.ACTIVATING,
        Move.RESTART: State.OBTAINING,
        Move.FAILED: State.RESTING,
        Move.ABANDON: State.RESTING,
    },
    State.ACTIVATING: {
        Move.SWITCHED: State.RESTING,
        Move.FAILED: State.RESTING,
    },
    State.RATCHETING: {
        Move.SWITCHED: State.RESTING,
        Move.FAILED: State.RESTING,
    },
    State.GONE: {},
}


class IllegalMove(Exception):
    """The policy made a step that its own table does not have. Report it: it is a fault of the program."""

    def __init__(self, cohort: int, state: State, move: Move) -> None:
        super().__init__(f"cohort {cohort} is {state.value}: it cannot {move.value}; please report this")
        self.state = state
        self.move = move


class Cohort:
    """One cohort. Its fields are changed by the modules that know the rules, `state` only by `move`."""

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
