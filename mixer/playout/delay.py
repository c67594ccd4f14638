"""The target delay: how much of a head start packets need, learnt from the leads that they have.

The *lead* of a packet is the time between its arrival and its first sample being due. Of each leg two
edges are followed: `low`, the lead of its slowest packets, and `high`, of its fastest. An edge moves
outwards with each packet beyond it, and creeps back by what is forgotten in three seconds; one straggler
moves the low edge by 20 ms at most, so that a delay is for those who often need it.

What happens once is not what the network is like: the longer ago a packet moved the low edge outwards, the
faster it creeps back, so that a stall is over within a second. If it happens again within some seconds that
was too fast, and the edge is in hardly any haste from then on.

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
CALM_MS: Final = 100
"""So long after a packet moved it the low edge creeps twice as fast, after twice as long three times, and so on."""
CALMEST_MS: Final = 1500
"""From then on no faster."""
AGAIN_MS: Final = 5000
"""What comes again so soon may come once more: the edge is kept."""
APART_MS: Final = 200
"""Packets that are late within so long are of one disturbance."""
KEPT_MS: Final = 60_000
"""Calm after which an edge that is kept creeps twice as fast."""
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
        self._now = 0
        """Samples played."""
        self._moved: Counts = np.zeros(legs, np.int64)
        """When a packet moved the low edge outwards last."""
        self._calming: Edges = np.zeros(legs)
        """Calm that doubles the speed of the low edge, samples."""
        self._memory = FORGET_MS * rate / 1000
        self._calm = CALM_MS * rate / 1000
        self._calmest = CALMEST_MS * rate / 1000
        self._again = AGAIN_MS * rate // 1000
        self._apart = APART_MS * rate // 1000
        self._kept = KEPT_MS * rate / 1000
        self._straggler = STRAGGLER_MS * rate / 1000
        self._enough = SPARE_MS * rate / 1000

    def open(self, row: int, least: int, most: int) -> None:
        """A new leg with its bounds, samples."""
        self.least[row], self.most[row], self.margin[row] = least, most, min(least, self._tick)
        self.low[row] = self.high[row] = least
        self._calming[row] = self._calm

    def restart(self, rows: Rows, high: Counts, spread: Edges | float = 0.0) -> None:
        """The fastest packets have this lead from now on, the slowest `spread` samples less."""
        self.high[rows] = high
        self.low[rows] = high - spread
        self._moved[rows] = self._now - self._again

    def paused(self, rows: Rows, by: Counts) -> None:
        """For so many samples no packets came, which says nothing of the network."""
        self._moved[rows] += by

    def step(self) -> None:
        """A tick is over."""
        self._now += self._tick

    def learn(self, rows: Rows, lead: Counts, width: int | Counts) -> None:
        """Packets of `width` samples came with a lead."""
        low, high = self.low[rows], self.high[rows]
        below, above = lead - low, lead - high
        some = (below != 0) | (above != 0)
        if not some.any():
            return
        rows, low, high, below, above = rows[some], low[some], high[some], below[some], above[some]
        width = width if isinstance(width, int) else width[some]
        forget = width / self._memory
        calm = self._now - self._moved[rows]
        soon = np.minimum(forget * (1 + np.minimum(calm, self._calmest) / self._calming[rows]), 1.0)
        self.low[rows] = low + np.maximum(np.minimum(below, below * soon), -self._straggler)
        self.high[rows] = high + np.maximum(above, above * np.minimum(forget, 1.0))
        if (late := below < 0).any():
            self._disturb(rows[late], calm[late], -below[late])

    def _disturb(self, rows: Rows, calm: Counts, by: Edges) -> None:
        """Packets moved the low edge outwards by so much after some calm, samples."""
        calming = np.maximum(self._calming[rows] * np.exp(-calm / (2 * self._again)), self._calm)
        again = (calm >= self._apart) & (calm < self._again) & (by >= self._enough)
        self._calming[rows] = np.where(again, self._kept, calming)
        self._moved[rows] = self._now

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
