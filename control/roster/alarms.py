"""Alarms on a virtual clock, one for each name: the last one set counts.

Knows who wants to be woken when. Must never know why, or what time it is.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator


class Alarms:
    """A heap, in which what was set again or unset is left to lie; when that becomes too much, it is swept."""

    def __init__(self) -> None:
        self._when: dict[Hashable, float] = {}
        self._heap: list[tuple[float, int, Hashable]] = []
        self._count = 0

    def __len__(self) -> int:
        """Alarms that are kept, also those that no longer count."""
        return len(self._heap)

    def set(self, name: Hashable, when: float) -> None:
        """Wake it at `when`, and at no other time."""
        if self._when.get(name) == when:
            return
        self._when[name] = when
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, name))
        if len(self._heap) > 4 * len(self._when) + 64:
            self._heap = [each for each in self._heap if self._counts(each)]
            heapq.heapify(self._heap)

    def unset(self, name: Hashable) -> None:
        """Do not wake it."""
        self._when.pop(name, None)

    def due(self) -> float | None:
        """The time of the earliest; None if there is none."""
        while self._heap and not self._counts(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def ringing(self, now: float) -> Iterator[Hashable]:
        """Those whose time has come, earliest first; each is unset. What is set meanwhile is seen."""
        while (when := self.due()) is not None and when <= now:
            _, _, name = heapq.heappop(self._heap)
            del self._when[name]
            yield name

    def _counts(self, alarm: tuple[float, int, Hashable]) -> bool:
        when, _, name = alarm
        return self._when.get(name) == when
