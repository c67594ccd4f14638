"""Rows: which rows of a table are free.

A freed row rests before it is taken again: the mixes of the last ticks still speak of it, and a packet of
60 ms is made of several ticks. The lowest free row goes first, so that tables stay dense.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import Final

REST_MS: Final = 200
"""Longer than anything remembers a row: the longest packet, and a concealment."""


class Rows:
    """The free rows of a table of `count` rows."""

    def __init__(self, count: int, tick_ms: int) -> None:
        self._free = list(range(count))
        self._resting: deque[tuple[int, int]] = deque()
        self._rest = REST_MS // tick_ms

    def take(self, frame: int) -> int:
        """A free row, or -1 if none is."""
        while self._resting and self._resting[0][0] <= frame:
            heapq.heappush(self._free, self._resting.popleft()[1])
        return heapq.heappop(self._free) if self._free else -1

    def give_back(self, row: int, frame: int) -> None:
        """Let a row rest, and then be taken again."""
        self._resting.append((frame + self._rest, row))
