"""The crew: threads that call codec libraries while the engine waits. Floor 3.

A call of a codec takes 20 to 300 us and lets go of the interpreter's lock, so as many run at once as there are cores.
Work is dealt in as many hands as there are threads, the engine's own among them; little of it is not dealt at all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

FEW: Final = 4
"""To deal so many things out costs more than it saves."""


class Crew:
    """A `mixer.spread.Spread` of several threads."""

    def __init__(self, threads: int) -> None:
        """`threads`: the caller's among them; 0 for as many as there are cores to run on."""
        self.threads = threads or len(os.sched_getaffinity(0))
        self._pool = ThreadPoolExecutor(self.threads - 1, "codec") if self.threads > 1 else None

    def __call__(self, work: Callable[[Item], Result], items: Sequence[Item], /) -> list[Result]:
        if self._pool is None or len(items) <= FEW:
            return [work(item) for item in items]
        hands = [items[first :: self.threads] for first in range(self.threads)]
        others = [self._pool.submit(_all, work, hand) for hand in hands[1:]]
        done = [_all(work, hands[0]), *(other.result() for other in others)]
        return [done[k % self.threads][k // self.threads] for k in range(len(items))]

    def close(self) -> None:
        """Let the threads go."""
        if self._pool is not None:
            self._pool.shutdown()


def _all(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    return [work(item) for item in items]
