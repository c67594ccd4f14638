"""The target delay: how much of a head start packets need, learnt from the leads that they have.

The *lead* of a packet is the time between its arrival and its first sample being due. Of each leg two
edges are followed: `low`, the lead of its slowest packets, and `high`, of its fastest. An edge moves
outwards with each packet beyond it, and creeps back by what is forgotten in three seconds; one straggler
moves the low edge by 20 ms at most, so that a delay is for those who often need it.

    lead   0       margin         low ----------- jitter ------------ high      most
                      |<- spare -->|                                   |<-room->|

Where `low` lies above the margin, time can be left out, as far as `high` does not fall below `least`, the
delay that a leg has at least; where below, time must be put in, as far as `high` may go. The margin is a
tick: a clock that drifts against ours moves all leads by a tick at once, when a tick has two packets or
none. Knows nothing of samples; who moves a cursor says so (`moved`).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

FORGET_MS: Final = 3000
STRAGGLER_MS: Final = 20
SPARE_MS: Final = 10
"""So much spare is left alone."""

Rows = NDArray[np.int64]
Counts = NDArray[np.int64]
Edges = NDArray[np.float64]


class Delays:
    """The edges of all legs, in samples of one clock rate."""

    def __init__(self, legs: int, rate: int, tick: int) -> None:
        self._tick = tick
        self.margin: Counts = np.zeros(legs, np.int64)
        self.least: Counts = np.zeros(legs, np.int64)
        self.most: Counts = np.zeros(legs, np.int64)
        self.low: Edges = np.zeros(legs)
        self.high: Edges = np.zeros(legs)
        self._memory = FORGET_MS * rate / 1000
        self._straggler = STRAGGLER_MS * rate / 1000
        self._enough = SPARE_MS * rate / 1000

    def open(self, row: int, least: int, most: int) -> None:
        """A new leg with its bounds, samples."""
        self.least[row], self.most[row], self.margin[row] = least, most, min(least, self._tick)
        self.low[row] = self.high[row] = least

    def restart(self, rows: Rows, high: Counts, spread: Edges | float = 0.0) -> None:
        """The fastest packets have this lead from now on, the slowest `spread` samples less."""
        self.high[rows] = high
        self.low[rows] = high - spread

    def learn(self, rows: Rows, lead: Counts, width: int | Counts) -> None:
        """Packets of `width` samples came with a lead."""
        low, high = self.low[rows], self.high[rows]
        below, above = lead - low, lead - high
        some = (below != 0) | (above != 0)
        if not some.any():
            return
        rows, low, high, below, above = rows[some], low[some], high[some], below[some], above[some]
        forget = np.minimum((width if isinstance(width, int) else width[some]) / self._memory, 1.0)
        self.low[rows] = low + np.maximum(np.minimum(below, below * forget), -self._straggler)
        self.high[rows] = high + np.maximum(above, above * forget)

    def moved(self, rows: Rows, by: Counts) -> None:
        """The cursors leapt forward (backward if negative) by so many samples."""
        self.low[rows] -= by
        self.high[rows] -= by

    def spare(self, rows: Rows) -> Counts:
        """Samples to leave out, or to insert if negative, so that the slowest packets have just the margin."""
        spare = np.minimum(self.low[rows] - self.margin[rows], np.maximum(self.high[rows] - self.least[rows], 0.0))
        return np.maximum(np.floor(spare).astype(np.int64), -self.room(rows))

    def room(self, rows: Rows) -> Counts:
        """Samples by which the fastest packets may still be delayed, at least 0."""
        return np.maximum(self.most[rows] - np.ceil(self.high[rows]), 0).astype(np.int64)

    def excessive(self, rows: Rows) -> NDArray[np.bool_]:
        """Legs with more spare than is left alone."""
        return self.spare(rows) >= self._enough

    def odd(self, top: int) -> Rows:
        """Rows below `top` with too much or too little spare, int64[n]."""
        spare = self.low[:top] - self.margin[:top]
        enough = (spare >= self._enough) & (self.high[:top] - self.least[:top] >= self._enough)
        return np.flatnonzero(enough | (spare <= -1))
