"""Conferences: who is in, at which rate and under which keys. One row each, and one record."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from mixer.epochs import KeyLine
from mixer.port import Keying, PortError, Refusal, SwitchStyle
from mixer.rows import Rows
from mixer.suites import SuiteName

LOWEST_RATE: Final = 8000
"""Hz of a mix, before anybody is in it who gains from more."""


@dataclass(slots=True)
class Conference:
    """What is known of one conference beside its columns."""

    name: str
    row: int
    rate: int
    """Of its mix, Hz."""
    follows: bool
    """The rate follows its members (`rates`)."""
    keying: Keying
    style: SwitchStyle
    uplink: KeyLine
    """Group keys of what legs send."""
    cohorts: dict[int, KeyLine] = field(default_factory=dict)
    """Group keys of what legs hear, by cohort."""
    shape: tuple[SuiteName, int] | None = None
    """Style `mki`: suite and MKI length of all keys that share a stream, fixed by the first."""
    own_mkis: Counter[str] = field(default_factory=Counter)
    """Style `mki`: MKIs of legs' own keys beside the group's."""
    wanted: tuple[int, int] | None = None
    """Another rate that would suit them, and the frame from which it did."""
    join_tone: bool = False
    leave_tone: bool = False
    parting: bool = False
    """It is being emptied, its common streams with it."""
    legs: set[int] = field(default_factory=set)
    """Leg rows."""
    cohort_legs: defaultdict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    """Leg rows by cohort."""
    streams: set[int] = field(default_factory=set)
    """Rows of its common streams."""

    def line(self, cohort: int) -> KeyLine:
        """The group keys of a cohort; an empty line for one that has never had any."""
        return self.cohorts.get(cohort) or _NO_KEYS

    def cohorts_known(self) -> list[int]:
        """The cohorts that have had a key or have legs."""
        return sorted({*self.cohorts, *(cohort for cohort, legs in self.cohort_legs.items() if legs)})

    def mkis(self) -> set[str]:
        """Names of all group keys held."""
        return {mki for line in self.cohorts.values() for mki in line.mkis()}

    def wipe(self) -> None:
        """Forget all keys."""
        for line in (self.uplink, *self.cohorts.values()):
            line.wipe()


_NO_KEYS: Final = KeyLine()
"""Never changed: who wants to hold a key makes a line of its own."""


class Conferences:
    """All conferences of an engine.

    Attributes:
        max_talkers: int64[rows].
        rate: int64[rows], Hz.
    """

    def __init__(self, limit: int, tick_ms: int) -> None:
        self._limit = limit
        rows = 2 * limit  # as many again may rest
        self._by_name: dict[str, Conference] = {}
        self._by_row: dict[int, Conference] = {}
        self._following: dict[int, Conference] = {}
        self._free = Rows(rows, tick_ms)
        self.max_talkers = np.zeros(rows, np.int64)
        self.rate = np.zeros(rows, np.int64)

    def add(self, name: str, rate: int | Literal["auto"], keying: Keying, style: SwitchStyle, frame: int) -> Conference:
        row = self._free.take(frame) if len(self) < self._limit else -1
        if row < 0:
            raise PortError(Refusal.LIMIT, "no room for another conference; raise max_legs")
        follows, hertz = rate == "auto", LOWEST_RATE if rate == "auto" else rate
        conference = Conference(name, row, hertz, follows, keying, style, KeyLine())
        if follows:
            self._following[row] = conference
        self._by_name[name] = self._by_row[conference.row] = conference
        self.rate[conference.row] = hertz
        return conference

    def remove(self, conference: Conference, frame: int) -> None:
        del self._by_name[conference.name], self._by_row[conference.row]
        self._following.pop(conference.row, None)
        self._free.give_back(conference.row, frame)

    def named(self, name: str) -> Conference:
        """The conference of that name.

        Raises:
            PortError: UNKNOWN_CONFERENCE.
        """
        try:
            return self._by_name[name]
        except KeyError:
            raise PortError(Refusal.UNKNOWN_CONFERENCE, f"there is no conference {name!r}") from None

    def at(self, row: int) -> Conference:
        return self._by_row[row]

    def following(self) -> Iterable[Conference]:
        """Conferences whose rate follows their members."""
        return self._following.values()

    def holds(self, conference: Conference) -> bool:
        """True until that conference is removed, also if another one has its name then."""
        return self._by_row.get(conference.row) is conference

    def has_row(self, row: int) -> bool:
        return row in self._by_row

    def rates(self) -> set[int]:
        """Rates at which conferences mix, Hz."""
        return {conference.rate for conference in self._by_row.values()}

    def group_keys(self) -> int:
        """Cohorts of all conferences that have an active group key."""
        return sum(line.active is not None for one in self._by_row.values() for line in one.cohorts.values())

    def names(self) -> list[str]:
        return sorted(self._by_name)

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __len__(self) -> int:
        return len(self._by_name)
