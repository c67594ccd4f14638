"""Pacing: change the delay of legs so that nobody hears it.

Once in a while a leg with too much or too little delay is given a period less or more to play, where its
sound resembles itself; where nothing sounds, any number of samples. And where time had to jump, what comes
is joined in phase to what was played. Knows what waits, nothing of how it came.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer import conceal, matching
from mixer.playout import timescale
from mixer.playout.delay import Delays
from mixer.playout.ring import Ring
from mixer.playout.timing import Timing
from mixer.samples import EMPTY

REVIEW_TICKS: Final = 5
"""Delays are changed once in so many ticks, those of all legs together, for a change costs much and a further one
little; in every tick where packets come too late now."""
CHANGES: Final = 64
"""Legs whose delay is changed in a tick at most."""
QUIET: Final = 33
"""Peak below which anything may be left out (-60 dBov)."""
ALIKE: Final = 0.8
"""Correlation that two periods should have if one of them is to go."""
URGENT_MS: Final = 60
"""With so much delay to spare they need not."""

Rows = NDArray[np.int64]
Counts = NDArray[np.int64]
Samples = NDArray[np.int16]


def longest(rate: int, tick: int) -> int:
    """Most samples that are left out or inserted at a time: what is inserted must be played at once."""
    return min(matching.LONGEST_MS * rate // 1000, tick)


class Pacing:
    """All legs with one clock rate; `lost` is what concealment says of each, int64[legs]."""

    def __init__(self, rate: int, tick: int, rings: Ring, delays: Delays, timing: Timing, lost: Counts) -> None:
        self._rate = rate
        self._tick = tick
        self._ring = rings
        self._delays = delays
        self._timing = timing
        self._lost = lost
        self._history = conceal.HISTORY_MS * rate // 1000
        self._fade = conceal.FADE_MS * rate // 1000
        self._match = matching.MATCH_MS * rate // 1000
        self._longest = longest(rate, tick)
        self._ticks = 0
        self._odd: Rows = np.empty(0, np.int64)
        """Legs whose delay is to change in these ticks."""

    def join(self, rows: Rows) -> None:
        """Where time jumped: go on inventing for less than a period, until it fits what came."""
        came = self._ring.read(rows, 0, self._tick + self._match)
        some = (came[:, : self._tick] != EMPTY).any(axis=1)
        self._timing.torn[rows[some]] = False
        history = self._ring.read(rows, -self._history, self._history)
        some = np.flatnonzero(some & conceal.audible(history))[: conceal.SEARCHES]
        if not len(some):
            return
        rows, came, history = rows[some], came[some], history[some]
        first = np.argmax(came != EMPTY, axis=1)[:, None]
        came = np.take_along_axis(came, first + np.arange(self._match), axis=1)
        reach = self._longest + self._match
        onward = conceal.continuation(history, self._lost[rows], self._tick + reach, self._rate)
        field = np.take_along_axis(onward, first + np.arange(reach), axis=1)
        target = np.where(came == EMPTY, 0, came).astype(np.float32)
        offset, _ = matching.best(target, field, self._rate)
        self._timing.move(rows, -offset)
        self._lost[rows] = np.maximum(self._lost[rows], 1)

    def adjust(self, top: int) -> None:
        """A tick will be played: change the delay of those below `top` whose turn it is."""
        self._ticks += 1
        review = self._ticks % REVIEW_TICKS == 0
        if review:
            self._odd = self._delays.odd(top)
        rows = self._odd if review else self._odd[self._delays.low[self._odd] < 0]
        if not len(rows):
            return
        rows = rows[self._timing.comes(rows)]
        spare = self._delays.spare(rows)
        some = np.flatnonzero(spare)
        some = np.roll(some, -CHANGES * self._ticks)[:CHANGES]  # more of them have their turn another time
        if len(some):
            self._change(rows[some], spare[some])

    def _change(self, rows: Rows, spare: Counts) -> None:
        sound = self._ring.read(rows, 0, self._tick + self._longest)
        empty = sound == EMPTY
        there = np.where(empty.any(axis=1), np.argmax(empty, axis=1), sound.shape[1])
        over = empty.all(axis=1) & (self._lost[rows] >= self._fade)
        self._timing.move(rows[over], np.clip(spare[over], -self._tick, self._tick))
        whole = (self._lost[rows] == 0) & ~self._timing.torn[rows]  # what is blended in does not resemble itself
        most = np.minimum(np.minimum(spare, self._longest), there - self._tick)
        shorter = whole & (most >= timescale.shortest(self._rate))
        if shorter.any():
            self._shorten(rows[shorter], sound[shorter], most[shorter], spare[shorter])
        longer = whole & (spare < 0) & (there >= max(self._match, self._longest))
        if longer.any():
            self._stretch(rows[longer], sound[longer], -spare[longer])

    def _shorten(self, rows: Rows, sound: Samples, most: Counts, spare: Counts) -> None:
        patch = timescale.shorten(sound, most, self._rate)
        urgent = spare >= URGENT_MS * self._rate // 1000
        self._apply(rows, patch, 1, urgent | _quiet(sound))

    def _stretch(self, rows: Rows, sound: Samples, lack: Counts) -> None:
        history = self._ring.read(rows, -self._longest, self._longest)
        patch = timescale.stretch(np.where(history == EMPTY, 0, history), sound, self._rate)
        urgent = 2 * lack > self._delays.margin[rows]  # packets are about to come too late
        self._apply(rows, patch, -1, urgent | _quiet(sound))

    def _apply(self, rows: Rows, patch: timescale.Patch, sign: int, anyway: NDArray[np.bool_]) -> None:
        good = np.flatnonzero(anyway | (patch.likeness >= ALIKE))
        if len(good):
            self._timing.move(rows[good], sign * patch.lag[good])
            self._ring.put(rows[good], 0, patch.sound[good])


def _quiet(sound: Samples) -> NDArray[np.bool_]:
    return np.asarray(np.abs(sound.astype(np.int32)).max(axis=1) <= QUIET)
