"""CPU time of something small, measured so that a busy machine does not show.

Knows: this thread's clock. Must never know: what is measured.

Everything is the CPU time of one thread, user and system, so other programs cost nothing but cold caches. A
sample is many repetitions of one act; the number given is the median of the samples, with their range.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable
from time import thread_time_ns

import msgspec


class Cpu(msgspec.Struct, frozen=True):
    """Microseconds of CPU for one item."""

    us: float
    low: float = 0.0
    high: float = 0.0

    def __str__(self) -> str:
        return f"{self.us:.2f} ({self.low:.2f} to {self.high:.2f})"


def spread(samples_us: list[float]) -> Cpu:
    """The median and the range of some samples."""
    return Cpu(*(round(value, 3) for value in (statistics.median(samples_us), min(samples_us), max(samples_us))))


def measure(
    act: Callable[[], object], items: int, *, samples: int = 9, before: Callable[[], object] | None = None
) -> Cpu:
    """What `act`, which does `items` things, takes for each.

    Args:
        before: done before each sample, and not measured.
    """
    took = []
    for number in range(samples + 1):
        if before is not None:
            before()
        gc.collect()
        gc.disable()
        begin = thread_time_ns()
        act()
        used = thread_time_ns() - begin
        gc.enable()
        if number:  # the first is for the caches
            took.append(used / items / 1000)
    return spread(took)
