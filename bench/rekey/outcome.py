"""Outcome: what one strategy did in one conference, and the meter that it is read off.

Knows: counts, exposures and seconds. Must never know: where they come from, what anything costs.
"""

from __future__ import annotations

from math import inf
from typing import Any, Final, Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

How: TypeAlias = Literal["policy", "model"]

BIN_S: Final = 10.0
"""Seconds a point of a time series."""


class Exposed(msgspec.Struct, frozen=True):
    """How long leavers could still decrypt, s. They are those who held a group key when they left."""

    leavers: int
    mean: float
    p95: float
    max: float


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """A conference in steps of `BIN_S`, from its beginning."""

    members: list[int]
    deliveries: list[int]
    bridged: list[float]
    """Mean of legs on own keys."""
    exposure: list[float]
    """Longest exposure that ended in the step, s."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy in one conference."""

    strategy: str
    people: int
    seed: int
    how: How
    joins: int
    leaves: int
    epochs: int
    """Fresh keys that came into use."""
    deliveries: int
    """Messages with a key to one member each, repetitions included."""
    repeats: int
    """Of these, sent again."""
    multicast: int = 0
    """Keys encrypted for a multicast key tree instead."""
    peak: int
    """Most deliveries asked for in one second."""
    behind_s: float
    """The longest that the focus was behind with its messages."""
    exposed: Exposed
    steady: Exposed
    """Of those who left before the end of the conference."""
    most_legs: int
    """On own keys at a time."""
    leg_s: float
    """Seconds on an own key, over all legs: each costs a packet's encryption 50 times a second."""
    cohort_s: float
    """The same of cohorts under group keys."""
    policy_cpu_s: float = 0.0
    """What the policy itself took."""
    policy_calls: int = 0
    series: Series | None = None


def exposed(values: NDArray[np.float64]) -> Exposed:
    """The summary of some exposures, zeros for none."""
    if not len(values):
        return Exposed(0, 0.0, 0.0, 0.0)
    return Exposed(len(values), float(values.mean()), float(np.percentile(values, 95)), float(values.max()))


class Meter:
    """Gathers what a run does."""

    def __init__(self, length: float) -> None:
        """`length`: seconds that are expected; more are fine."""
        self.deliveries = self.repeats = 0
        self.leg_s = self.cohort_s = 0.0
        self.behind_s = 0.0
        self.most_legs = 0
        self._since = 0.0
        self._asked = [0] * (int(length) + 120)
        self._ended: list[tuple[float, float]] = []
        bins = int(length / BIN_S) + 12
        self._members, self._bridged, self._exposure = [0] * bins, [0.0] * bins, [0.0] * bins

    def asked(self, now: float, count: int, *, again: bool = False) -> None:
        """So many messages are to be sent."""
        self.deliveries += count
        self.repeats += count if again else 0
        second = int(now)
        if second >= len(self._asked):
            self._asked += [0] * (second - len(self._asked) + 60)
        self._asked[second] += count

    def stood(self, now: float, legs: int, cohorts: int) -> None:
        """Until now, so many legs were on own keys, and so many cohorts under group keys."""
        seconds = now - self._since
        if seconds > 0:
            self.most_legs = max(self.most_legs, legs)
            self.leg_s += legs * seconds
            self.cohort_s += cohorts * seconds
            self._spread(self._since, now, legs)
            self._since = now

    def _spread(self, begin: float, end: float, legs: int) -> None:
        first, last = self._bin(begin), self._bin(end)
        for step in range(first, last + 1):
            part = min(end, (step + 1) * BIN_S) - max(begin, step * BIN_S)
            self._bridged[step] += legs * max(0.0, part) / BIN_S

    def counted(self, now: float, members: int) -> None:
        """There are so many members from now on."""
        self._members[self._bin(now)] = members

    def ended(self, now: float, seconds: float) -> None:
        """Somebody who left can listen no longer."""
        self._ended.append((now - seconds, seconds))
        step = self._bin(now)
        self._exposure[step] = max(self._exposure[step], seconds)

    def waits(self, seconds: float) -> None:
        """The focus is so far behind with its messages."""
        self.behind_s = max(self.behind_s, seconds)

    @property
    def peak(self) -> int:
        return max(self._asked)

    def exposures(self, before: float = inf) -> Exposed:
        """Of those who left before then."""
        ended = np.array(self._ended).reshape(-1, 2)
        return exposed(ended[ended[:, 0] < before, 1])

    def series(self) -> Series:
        """The course of it."""
        members = list(self._members)
        for step in range(1, len(members)):  # nothing happened: as before
            members[step] = members[step] or members[step - 1]
        width = int(BIN_S)
        asked = [sum(self._asked[at : at + width]) for at in range(0, len(members) * width, width)]
        return Series(members=members, deliveries=asked, bridged=self._bridged, exposure=self._exposure)

    def _bin(self, now: float) -> int:
        step = max(0, int(now / BIN_S))
        while step >= len(self._members):
            self._members.append(0)
            self._bridged.append(0.0)
            self._exposure.append(0.0)
        return step

    def outcome(self, strategy: str, seed: int, end: float, *, series: bool, **counted: Any) -> Outcome:
        """All of it. `end`: of the conference, s; `counted`: what only the run itself knows."""
        return Outcome(
            strategy=strategy,
            people=0,
            seed=seed,
            deliveries=self.deliveries,
            repeats=self.repeats,
            peak=self.peak,
            behind_s=self.behind_s,
            exposed=self.exposures(),
            steady=self.exposures(end),
            most_legs=self.most_legs,
            leg_s=self.leg_s,
            cohort_s=self.cohort_s,
            series=self.series() if series else None,
            **counted,
        )
