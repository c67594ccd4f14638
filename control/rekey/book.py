"""The book of a conference: what every rule of the policy reads and writes.

Knows: members, cohorts, alarms, what is to be said, what is counted. Must never know: the rules.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from control.rekey.alarms import Alarms
from control.rekey.closing import Closing
from control.rekey.epochs import GENERATION_MAX
from control.rekey.settings import Mode, RekeySettings, Style

if TYPE_CHECKING:
    from control.rekey.intentions import Exposure, Intention
    from control.rekey.records import Cohort, Member


class Ignored(StrEnum):
    """Why an input changed nothing."""

    NOT_MEMBER = "not_member"
    """An acknowledgement by one who has left, or was never there."""
    UNKNOWN_EPOCH = "unknown_epoch"
    """An acknowledgement of a key that was not sent to this member."""
    ABORTED_EPOCH = "aborted_epoch"
    """An acknowledgement of a key that was thrown away."""
    SUPERSEDED_EPOCH = "superseded_epoch"
    """An acknowledgement of a key that another has replaced."""
    REPEATED = "repeated"
    """A second acknowledgement of the same key."""
    BEHIND = "behind"
    """An acknowledgement of a step so old that the member cannot follow from it; it is sent a newer one."""
    STRAY_ANSWER = "stray_answer"
    """An answer to what was not asked, or is not wanted any more."""
    DUPLICATE_JOIN = "duplicate_join"
    UNKNOWN_LEAVE = "unknown_leave"


class Counts(msgspec.Struct):
    """What has happened so far."""

    joins: int = 0
    leaves: int = 0
    """Evictions too."""
    evictions: int = 0
    rekeys: int = 0
    """Keys asked of the KMS."""
    epochs: int = 0
    """Generations activated."""
    ratchets: int = 0
    """Steps activated."""
    deliveries: int = 0
    """First messages of a key to a member."""
    retransmissions: int = 0
    acks: int = 0
    """Acknowledgements that counted."""
    aborts: int = 0
    """Keys thrown away for an eviction."""
    failures: int = 0
    """Of the KMS or the mixer; late answers too."""
    bridges: int = 0
    """Times that a whole cohort was put on own keys."""
    unaffordable: int = 0
    """Leaves that only the rekey covered, because the bridge budget was spent."""
    attentions: int = 0


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a conference's keys, for metrics. Never a key."""

    mode: Mode
    members: int
    cohorts: int
    bridged: int
    """Legs on own keys."""
    laggards: int
    """Members who owe an acknowledgement beyond its deadline."""
    generation: int
    """The highest given out."""
    closing: bool
    counts: Counts
    ignored: dict[str, int]


class Book:
    """All state of one conference's policy."""

    __slots__ = (
        "alarms",
        "bridged",
        "closing",
        "cohorts",
        "counts",
        "exposures",
        "generation",
        "grouped",
        "ignored",
        "laggards",
        "members",
        "said",
        "say",
        "settings",
        "style",
    )

    def __init__(self, settings: RekeySettings, style: Style) -> None:
        self.settings = settings
        self.style = style
        self.members: dict[str, Member] = {}
        self.cohorts: dict[int, Cohort] = {}
        self.grouped = False
        """Group keys are wanted."""
        self.generation = 0
        """The highest that was given out."""
        self.bridged = 0
        self.laggards = 0
        self.alarms = Alarms()
        self.closing = Closing(settings)
        self.counts = Counts()
        self.ignored: Counter[str] = Counter()
        self.exposures: list[Exposure] = []
        self.said: list[Intention] = []
        self.say = self.said.append

    def next_generation(self) -> int | None:
        """A number that was never given out; None if there is none left."""
        if self.generation >= GENERATION_MAX:
            return None
        self.generation += 1
        return self.generation

    def ignore(self, reason: Ignored) -> bool:
        """Count an input that changes nothing. Always False."""
        self.ignored[reason.value] += 1
        return False

    def facts(self, now: float) -> Facts:
        """The state in numbers."""
        return Facts(
            mode="group" if self.grouped else "unique",
            members=len(self.members),
            cohorts=len(self.cohorts),
            bridged=self.bridged,
            laggards=self.laggards,
            generation=self.generation,
            closing=self.closing.is_near(now),
            counts=msgspec.structs.replace(self.counts),
            ignored=dict(self.ignored),
        )

    def drain(self) -> list[Intention]:
        """What was said since the last call."""
        said = self.said
        self.said = []
        self.say = self.said.append
        return said
