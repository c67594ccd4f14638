"""Sampled callers: a few whole phones in a room of their own, to judge what the load does to what people hear.

Knows: tones. Must never know: the load.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from bench.callers.cast import Cast, Casting, cast
from bench.callers.judging import everybody_hears_everybody

ROOM: Final = "sample"
CALLERS: Final = 3


@dataclass
class Sample:
    """A conversation that lasts as long as the run."""

    players: Cast
    since_ns: int = 0

    def begin(self) -> None:
        """What is heard from now on counts."""
        self.since_ns = time.monotonic_ns()

    def problems(self) -> list[str]:
        """What is wrong with it."""
        # Counted before anything is computed: nobody takes packets in meanwhile.
        ears = [(caller.name, caller.call.media.ear) for caller in self.players.good]
        counts = [(name, ear.continuity().lost, ear.refused) for name, ear in ears]
        wrong = [
            f"{name} lost {lost} packets, and could not open {refused}"
            for name, lost, refused in counts
            if lost or refused
        ]
        return wrong + everybody_hears_everybody(self.players.good, self.since_ns)


@contextlib.asynccontextmanager
async def sample(focus: tuple[str, int]) -> AsyncIterator[Sample]:
    """They dial in, talk while the block lasts, and hang up."""
    players = await cast(Casting(callers=CALLERS, talkers=CALLERS))
    try:
        for caller in players.good:
            await caller.dial(f"sip:{ROOM}@{focus[0]}:{focus[1]}")
        yield Sample(players)
    finally:
        await players.close()
