"""What the policy wants done: frozen values, to be carried out in the order in which they come.

Knows: the words between the policy and whoever drives it. Must never know: how they are carried out.

Every `Obtain` is answered by `key_ready` or `key_failed`; every `Activate` and `Ratchet` by `switched`
or `key_failed`. The rest has no answer. Members are named as they were when they joined.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec


class _Value(msgspec.Struct, frozen=True, gc=False):
    """Base of the intentions."""


class AddLeg(_Value, frozen=True, gc=False):
    """Put a leg into a cohort, on its own key ("unicast admission")."""

    member: str
    cohort: int
    bridged: bool = True
    """False: under the cohort's key in use, which the member was told in the signalling."""


class RemoveLeg(_Value, frozen=True, gc=False):
    """Send nothing more to a leg. Comes before all else that its leaving asks for."""

    member: str
    bridge: bool
    """In the same tick, put all that is left of its cohort on own keys."""


class Obtain(_Value, frozen=True, gc=False):
    """Have the KMS make a key for this generation, and the mixer hold it, unused."""

    cohort: int
    epoch: int


class Ratchet(_Value, frozen=True, gc=False):
    """Derive this step from the active one, and use it from the next packet on. Nobody is told.

    Keep the step before it until the answer: a `Deliver` may still be of that one.
    """

    cohort: int
    epoch: int


class Deliver(_Value, frozen=True, gc=False):
    """Send the key of an epoch to some members; each is to acknowledge it."""

    cohort: int
    epoch: int
    members: tuple[str, ...]
    attempt: int
    """1 for the first message of this key to these members, then counting."""


class Activate(_Value, frozen=True, gc=False):
    """Switch all legs of a cohort that are not on own keys to an epoch, at one packet."""

    cohort: int
    epoch: int


class Abort(_Value, frozen=True, gc=False):
    """Destroy a key that was to be. It may not have come yet, or never come.

    If an `Activate` was refused or not answered it may even be in use; then all legs are on own keys.
    """

    cohort: int
    epoch: int


class Retire(_Value, frozen=True, gc=False):
    """Destroy the active key, at whatever step. It has no successor: the cohort is on own keys now."""

    cohort: int
    epoch: int


class Bridge(_Value, frozen=True, gc=False):
    """Put legs on their own keys, or take them back to the active group key."""

    cohort: int
    members: tuple[str, ...] | None
    """None for the whole cohort."""
    on: bool


class Attention(_Value, frozen=True, gc=False):
    """A member needs a decision that is not for this policy: drop it, or keep it as it is."""

    member: str
    reason: str


Intention: TypeAlias = AddLeg | RemoveLeg | Obtain | Ratchet | Deliver | Activate | Abort | Retire | Bridge | Attention


class Exposure(msgspec.Struct, frozen=True, gc=False):
    """How long a member that left could still decrypt what its cohort was sent.

    It matters to one who can capture the packets of another member: its own have stopped.
    """

    member: str
    cohort: int
    seconds: float
    """From its leaving until the cohort was bridged, retired, or switched to a key that it never had."""
    evicted: bool
