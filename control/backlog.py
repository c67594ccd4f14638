"""Events wait here for a reader who may be slow: bounded, oldest dropped, and the loss is told.

Used on both ends of a connection. A reader that stops costs a fixed number of events, never memory,
and learns at the very place of the gap how many it missed.
"""

from __future__ import annotations

import asyncio
from collections import deque

from control.messages import Missed
from mixer.port import Event


class Backlog:
    """At most `limit` events in order; `push` never blocks and never fails."""

    def __init__(self, limit: int) -> None:
        self._events: deque[Event] = deque()
        self._limit = limit
        self._missed = 0
        self._closed = False
        self._ready = asyncio.Event()

    def __len__(self) -> int:
        return len(self._events)

    def push(self, event: Event) -> None:
        """Add the newest event, dropping the oldest if there is no room."""
        if len(self._events) >= self._limit:
            self._events.popleft()
            self._missed += 1
        self._events.append(event)
        self._ready.set()

    def skip(self, count: int) -> None:
        """Record `count` events as missed by somebody further up the way."""
        self._missed += count
        self._ready.set()

    def close(self) -> None:
        """Nothing more will come: readers get what is left, then None."""
        self._closed = True
        self._ready.set()

    def clear(self) -> None:
        """Forget what waits."""
        self._events.clear()
        self._missed = 0

    async def next(self) -> Event | Missed | None:
        """Wait for the next event, or for `Missed` where events were dropped, or None at the end."""
        while True:
            if self._missed:
                missed, self._missed = self._missed, 0
                return Missed(count=missed)
            if self._events:
                return self._events.popleft()
            if self._closed:
                return None
            self._ready.clear()
            await self._ready.wait()
