"""The roster of one conference: who is on it now, and what has changed since a version.

Knows users and their order of joining. Must never know SIP, XML, a clock, or who is looking.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count
from types import MappingProxyType
from typing import Final

from control.roster import tidy
from control.roster.people import Conference, Departure, User

HISTORY: Final = 16_384
"""Changes that are remembered. Whoever is further behind needs the whole roster anyway."""


@dataclass(frozen=True, slots=True)
class Presence:
    """A user on the roster. `alias` is the number that stands for it while it is anonymous, else 0."""

    user: User
    alias: int


@dataclass(frozen=True, slots=True)
class Change:
    """One step from a version to the next: a presence before and after it, and how the rest was before."""

    conference: Conference
    user_count: int
    before: Presence | None = None
    after: Presence | None = None
    reason: Departure = "departed"


class Roster:
    """The state of one conference; `version` counts its changes."""

    def __init__(self, conference: Conference) -> None:
        self.version = 0
        self.user_count = 0
        self._conference = tidy.conference(conference)
        self._presences: dict[str, Presence] = {}
        self._history: deque[Change] = deque(maxlen=HISTORY)
        self._aliases = count(1)

    @property
    def conference(self) -> Conference:
        """What is said of the conference as a whole."""
        return self._conference

    @property
    def presences(self) -> Mapping[str, Presence]:
        """Everybody, by URI, in the order of joining."""
        return MappingProxyType(self._presences)

    def describe(self, conference: Conference) -> None:
        """Subject, limit, active or locked have changed; the URI never does."""
        conference = replace(tidy.conference(conference), entity=self._conference.entity)
        if conference != self._conference:
            self._record(Change(self._conference, self.user_count))
            self._conference = conference

    def put(self, user: User) -> None:
        """A user has come, or something of it has changed."""
        user = tidy.user(user)
        before = self._presences.get(user.entity)
        if before is not None and before.user == user:
            return
        after = Presence(user, self._alias(user, before))
        self._record(Change(self._conference, self.user_count, before, after))
        self._presences[user.entity] = after
        self.user_count += user.present - (before is not None and before.user.present)

    def remove(self, entity: str, reason: Departure = "departed") -> None:
        """A user is gone. One that is not there changes nothing."""
        before = self._presences.pop(tidy.uri(entity), None)
        if before is not None:
            self._record(Change(self._conference, self.user_count, before, None, reason))
            self.user_count -= before.user.present

    def since(self, version: int) -> tuple[Change, ...] | None:
        """The changes after a version, oldest first; None if it is too long ago."""
        steps = self.version - version
        if not 0 <= steps <= len(self._history):
            return None
        recent = reversed(self._history)
        return tuple(next(recent) for _ in range(steps))[::-1]

    def _alias(self, user: User, before: Presence | None) -> int:
        """A number of its own for each stay under cover: neither a name seen before, nor an alias, leads to it."""
        if not user.anonymous:
            return 0
        return (before.alias if before is not None else 0) or next(self._aliases)

    def _record(self, change: Change) -> None:
        self._history.append(change)
        self.version += 1
