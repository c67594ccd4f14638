"""The words between a conductor and its owner: who comes, what the mixer and the KMS are asked, what was done.

Knows: values. Must never know: who decides, or how they are carried.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from mixer import port
from mixer.secret import Secret


@dataclass(frozen=True, slots=True)
class Joiner:
    """Who comes: its leg as the mixer is to be told, and how keys reach it.

    `leg` needs `tx`, its own key: everybody begins on it, unless its keys are made by DTLS. Keying, cohort and bridge
    are filled in here, and the mixer removes no leg by itself: one that is missing would make it refuse every list of
    legs that names it.
    """

    leg: port.LegAdd
    psk: Secret | None
    """Pre-shared with the focus, for MIKEY. None: its keys go with the signalling, and it holds one at a time."""
    ratchets: bool = True
    """It derives the next step of a key, if it has a `psk`."""
    follows: bool = True
    """It takes the next key. False: it has an own key for life (its leg is keyed `unique`), and is never told one."""

    @property
    def name(self) -> str:
        return self.leg.leg

    @property
    def signalled(self) -> bool:
        """Its keys go with the signalling."""
        return self.psk is None and self.follows

    @property
    def steps(self) -> bool:
        """It derives the next step of a key."""
        return self.ratchets and not self.signalled

    @property
    def apart(self) -> bool:
        """In the conference, and at the KMS, but nothing that the policy has to think of."""
        return not self.follows


class NameTaken(ValueError):
    """Somebody of that name is in the conference: let it leave first, or choose another name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} is in the conference already; let it leave first, or choose another name")


@dataclass(frozen=True, slots=True)
class Request:
    """A key that the KMS is to make. Answer with `made` or `not_made`."""

    cohort: int
    epoch: int


class Then(Enum):
    """What the reply to a command means."""

    NOTHING = auto()
    ADDED = auto()
    PREPARED = auto()
    SWITCHED = auto()


@dataclass(frozen=True, slots=True)
class Ticket:
    """A command for the mixer, and what its reply is for. Answer with `replied` or `refused`."""

    command: port.Command
    then: Then = Then.NOTHING
    cohort: int = 0
    epoch: int = 0
    member: str = ""
    visit: int = 0
    """Which one of that name: it may have left and come again meanwhile."""


@dataclass(slots=True)
class Counts:
    """What was done, cumulative."""

    messages: int = 0
    octets: int = 0
    signals: int = 0
    """Keys that went with the signalling."""
    acks: int = 0
    bad_acks: int = 0
    """Forged, replayed, malformed, or from nobody we know."""
    refusals: int = 0
    """Commands that the mixer refused."""
