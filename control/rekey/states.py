"""The life of one cohort (`records.Cohort`), as a table: what is under way with its key, and what may follow.

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

from enum import StrEnum
from typing import Final


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
