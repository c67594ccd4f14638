"""Conferences: who is in, at which rate and under which keys. One row each, and one record."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mixer.epochs import GroupKeys
from mixer.port import Key, Keying, PortError, Refusal, SwitchStyle
from mixer.rows import Rows


@dataclass(slots=True)
class Conference:
    """What is known of one conference beside its columns."""

    name: str
    row: int
    rate: int
    keying: Keying
    style: SwitchStyle
    keys: GroupKeys
    uplink: Key | None
    legs: set[int] = field(default_factory=set)
    """Leg rows."""
    streams: set[int] = field(default_factory=set)
    """Rows of its common streams."""


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
        self._free = Rows(rows, tick_ms)
        self.max_talkers = np.zeros(rows, np.int64)
        self.rate = np.zeros(rows, np.int64)

    def add(
        self, name: str, rate: int, keying: Keying, style: SwitchStyle, keys: GroupKeys, uplink: Key | None, frame: int
    ) -> Conference:
        row = self._free.take(frame) if len(self) < self._limit else -1
        if row < 0:
            raise PortError(Refusal.LIMIT, "no room for another conference; raise max_legs")
        conference = Conference(name, row, rate, keying, style, keys, uplink)
        self._by_name[name] = self._by_row[conference.row] = conference
        self.rate[conference.row] = rate
        return conference

    def remove(self, conference: Conference, frame: int) -> None:
        del self._by_name[conference.name], self._by_row[conference.row]
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

    def rates(self) -> set[int]:
        """Rates at which conferences mix, Hz."""
        return {conference.rate for conference in self._by_row.values()}

    def names(self) -> list[str]:
        return sorted(self._by_name)

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __len__(self) -> int:
        return len(self._by_name)
