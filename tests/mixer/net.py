"""A network on the virtual clock: loses, delays, reorders and repeats, the same way for the same seed."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field

MS = 1_000_000
"""Nanoseconds."""


@dataclass(frozen=True, order=True)
class Datagram:
    """One on its way to the mixer. `local` is the mixer's port, as in `Batch.local`."""

    at_ns: int
    number: int
    octets: bytes = field(compare=False)
    source: str = field(compare=False)
    local: int = field(compare=False, default=0)


@dataclass
class Net:
    """From phones to the mixer. Delays are uniform in [delay_ms, delay_ms + jitter_ms]; by default nothing
    happens to a packet."""

    seed: int = 0
    loss: float = 0.0
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    duplicates: float = 0.0
    lost: int = 0
    carried: int = 0
    _queue: list[Datagram] = field(default_factory=list)
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def send(self, now_ns: int, octets: bytes, source: str, local: int = 0) -> None:
        """Take a datagram: it comes never, once or twice."""
        if self._random.random() < self.loss:
            self.lost += 1
            return
        copies = 2 if self._random.random() < self.duplicates else 1
        for _ in range(copies):
            delay = self.delay_ms + self._random.random() * self.jitter_ms
            self.carried += 1
            heapq.heappush(self._queue, Datagram(now_ns + int(delay * MS), self.carried, octets, source, local))

    def due(self, until_ns: int) -> list[Datagram]:
        """What has come by now, in the order of its coming."""
        come = []
        while self._queue and self._queue[0].at_ns <= until_ns:
            come.append(heapq.heappop(self._queue))
        return come
