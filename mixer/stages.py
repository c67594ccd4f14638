"""Where the time goes: nanoseconds spent in each step of the packet's way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

WINDOW: Final = 250
"""Ticks that lateness looks back on: five seconds. What is older shows only in the counts."""


class Stages:
    """A stopwatch with laps. Each lap goes to the step that just ended."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._last = 0
        self.total: dict[str, int] = {}
        """Nanoseconds by step, cumulative."""

    def begin(self) -> None:
        """Start watching; what was done since the last lap is not counted."""
        self._last = self._clock()

    def lap(self, step: str) -> None:
        """The step of that name is done."""
        now = self._clock()
        self.total[step] = self.total.get(step, 0) + now - self._last
        self._last = now

    def per_tick_us(self, ticks: int) -> dict[str, float]:
        """Mean microseconds a tick of each step."""
        return {step: round(total / 1000 / max(1, ticks), 1) for step, total in self.total.items()}


class Lateness:
    """How late ticks began."""

    def __init__(self) -> None:
        self._recent: deque[int] = deque(maxlen=WINDOW)
        self.late = 0
        """Ticks that began more than 10 ms late, cumulative."""
        self.skipped = 0
        """Ticks that were given up, cumulative."""

    def note(self, lateness_ns: int) -> None:
        self._recent.append(lateness_ns)
        self.late += lateness_ns > 10_000_000

    def percentiles_ms(self) -> dict[str, float]:
        """`p50`, `p99` and `max` of the last five seconds, milliseconds."""
        ordered = sorted(self._recent) or [0]
        at = {"p50": len(ordered) // 2, "p99": min(len(ordered) - 1, len(ordered) * 99 // 100), "max": -1}
        return {name: round(ordered[position] / 1e6, 3) for name, position in at.items()}
