"""Timers on a virtual clock: a heap, in which what was moved or unset is left to lie until its time.

Knows: who wants to be woken when. Must never know: why, or what time it is.
"""

from __future__ import annotations

import heapq
from math import inf

from control.rekey.records import Alarm


class Alarms:
    """All timers of a conference, earliest first; of equals, the one set first."""

    __slots__ = ("_count", "_heap")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Alarm]] = []
        self._count = 0

    def set(self, alarm: Alarm, when: float) -> None:
        """Ring at `when`, and at no other time."""
        alarm.when = when
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, alarm))

    def set_earlier(self, alarm: Alarm, when: float) -> None:
        """Ring at `when` unless it rings sooner anyway: an earlier alarm is never pushed back."""
        if when < alarm.when:
            self.set(alarm, when)

    def due(self) -> float | None:
        """When the next one rings."""
        heap = self._heap
        while heap and heap[0][2].when != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def pop(self, now: float) -> Alarm | None:
        """The next one that rings by `now`, unset."""
        due = self.due()
        if due is None or due > now:
            return None
        alarm = heapq.heappop(self._heap)[2]
        alarm.when = inf
        return alarm

    def clear(self) -> None:
        """Forget all."""
        self._heap.clear()
