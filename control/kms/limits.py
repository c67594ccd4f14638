"""How often somebody may ask: token buckets. Time is an argument.

A bucket holds up to `burst` tokens and gains `per_s` of them a second; every request takes one.
Memory is bounded: a bucket that is full again is like none, and is dropped when room is needed.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

BUCKETS: Final = 65_536
"""Kept for each rate. Beyond that the one used longest ago is dropped."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests a second, after so many at once."""

    per_s: float
    burst: int


class Buckets:
    """One bucket for each name, all of one rate."""

    def __init__(self, rate: Rate, *, most: int = BUCKETS) -> None:
        self._rate = rate
        self._most = most
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._levels)

    def take(self, name: str, now: float) -> float:
        """Take a token of `name` at `now` (seconds). 0 if there was one, else seconds until there is."""
        level, then = self._levels.get(name, (float(self._rate.burst), now))
        level = min(self._rate.burst, level + max(0.0, now - then) * self._rate.per_s)
        # Who waited as long as it was told has a whole token, but for what floats lose.
        allowed = level >= 1.0 - _GRACE
        self._levels[name] = (max(0.0, level - 1.0) if allowed else level, now)
        self._levels.move_to_end(name)
        if len(self._levels) > self._most:
            self._levels.popitem(last=False)
        return 0.0 if allowed else math.ceil((1.0 - level) / self._rate.per_s * 1000) / 1000


_GRACE: Final = 1e-6


class RateLimits:
    """The rates of one KMS."""

    def __init__(self, systems: Rate, others: Rate, conferences: Rate) -> None:
        """`systems` for each conference system, `others` for each other caller, `conferences` for the
        epochs of each conference."""
        self.systems = Buckets(systems)
        self.others = Buckets(others)
        self.conferences = Buckets(conferences)
