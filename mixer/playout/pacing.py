"""Pacing: change the delay of legs so that nobody hears it.

Once in a while a leg with too much or too little delay is given a period less or more to play, where its
sound resembles itself; where nothing sounds, any number of samples. Too much by a tick or more (the network
is well again, the machine stood still) is a matter of haste: what nobody would hear is left out at once, a
tick in each tick; of what sounds a period in every few ticks, of those first who are mixed. And where time
had to jump, what comes is joined in phase to what was played. Knows what waits, nothing of how it came.
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
"""Legs whose delay is changed in a tick at most; between reviews those of lower rates only, or fewer."""
PACE: Final = 0.15
"""Of what a leg says, so much is left out in haste at most."""
QUIET: Final = 33
"""Peak below which anything may be left out (-60 dBov)."""
ALIKE: Final = 0.8
"""Correlation that two periods should have if one of them is to go."""
YIELDS: Final = 0.1
"""In haste, less by so much after each attempt: noise never resembles itself, speech does sooner or later."""
AGAIN_TICKS: Final = 2
"""Until the next attempt."""
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
        self._rests: Counts = np.zeros(len(lost), np.int64)
        """Until this tick a leg is not given less to play."""
        self._failed: Counts = np.zeros(len(lost), np.int64)
        """Attempts that found nothing to leave out, more than did, since sound last resembled itself."""
        self._hasty = CHANGES * matching.SEARCH_RATE // rate

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

    def adjust(self, top: int, first: NDArray[np.bool_] | None = None) -> None:
        """A tick will be played: change the delay of those below `top` whose turn it is, `first` ones before others."""
        self._ticks += 1
        review = self._ticks % REVIEW_TICKS == 0
        if review:
            self._review(top)
        if not len(self._odd):
            return
        rows = self._odd[self._timing.comes(self._odd)]
        spare = self._delays.spare(rows)
        ample = spare >= self._tick
        if ample.any():
            rows, spare, ample = self._leave_out(rows, spare, ample)
        lacking = self._delays.low[rows] < 0
        due = lacking | ((review | ample) & (spare != 0) & (self._rests[rows] <= self._ticks))
        some = np.flatnonzero(due)
        if not len(some):
            return
        limit = CHANGES if review or lacking.any() else self._hasty
        some = np.roll(some, -limit * self._ticks)  # more of them have their turn another time
        if first is not None and len(some) > limit:
            some = some[np.argsort(~first[rows[some]], kind="stable")]
        self._change(rows[some[:limit]], spare[some[:limit]])

    def _review(self, top: int) -> None:
        odd = self._delays.odd(top)
        failed = self._failed[odd]
        self._failed[self._odd] = 0  # of those who are not odd any more
        self._failed[odd] = failed
        self._odd = odd

    def _leave_out(self, rows: Rows, spare: Counts, ample: NDArray[np.bool_]) -> tuple[Rows, Counts, NDArray[np.bool_]]:
        """Of those with ample spare, leave out the next tick of whom it has nothing to hear; returns the others."""
        some = np.flatnonzero(ample)
        sound, lost = self._ring.read(rows[some], 0, self._tick), self._lost[rows[some]]
        over = lost >= self._fade
        if over.any():
            sound[over] = np.where(sound[over] == EMPTY, 0, sound[over])
        silent = (sound.max(axis=1) <= QUIET) & (sound.min(axis=1) >= -QUIET) & (over | (lost == 0))
        if not silent.any():
            return rows, spare, ample
        self._timing.skip(rows[some[silent]])
        rest = np.ones(len(rows), bool)
        rest[some[silent]] = False
        return rows[rest], spare[rest], ample[rest]

    def _change(self, rows: Rows, spare: Counts) -> None:
        sound = self._ring.read(rows, 0, self._tick + self._longest)
        empty = sound == EMPTY
        there = np.where(empty.any(axis=1), np.argmax(empty, axis=1), sound.shape[1])
        over = empty.all(axis=1) & (self._lost[rows] >= self._fade)
        self._timing.move(rows[over], np.clip(spare[over], -self._tick, self._tick))
        whole = (self._lost[rows] == 0) & ~self._timing.torn[rows]  # what is blended in does not resemble itself
        most = np.minimum(np.minimum(spare, self._longest), there - self._tick)
        shorter = whole & (most >= timescale.shortest(self._rate))
        silent = shorter & _quiet(sound)
        self._timing.move(rows[silent], most[silent])
        shorter &= ~silent
        if shorter.any():
            self._shorten(rows[shorter], sound[shorter], most[shorter], spare[shorter])
        longer = whole & (spare < 0) & (there >= max(self._match, self._longest))
        if longer.any():
            self._stretch(rows[longer], sound[longer], -spare[longer])

    def _shorten(self, rows: Rows, sound: Samples, most: Counts, spare: Counts) -> None:
        patch = timescale.shorten(sound, most, self._rate)
        alike = np.where(spare >= self._tick, ALIKE - YIELDS * self._failed[rows], ALIKE)
        good = (patch.likeness >= alike) | (spare >= URGENT_MS * self._rate // 1000)
        self._apply(rows, patch, 1, good)
        likely = patch.likeness >= ALIKE
        self._failed[rows] = np.where(likely, 0, np.maximum(self._failed[rows] + np.where(good, -1, 1), 0))
        pause = np.where(good, np.ceil(patch.lag / (PACE * self._tick)).astype(np.int64), AGAIN_TICKS)
        self._rests[rows] = self._ticks + pause

    def _stretch(self, rows: Rows, sound: Samples, lack: Counts) -> None:
        history = self._ring.read(rows, -self._longest, self._longest)
        patch = timescale.stretch(np.where(history == EMPTY, 0, history), sound, self._rate)
        urgent = 2 * lack > self._delays.margin[rows]  # packets are about to come too late
        self._apply(rows, patch, -1, urgent | _quiet(sound) | (patch.likeness >= ALIKE))

    def _apply(self, rows: Rows, patch: timescale.Patch, sign: int, good: NDArray[np.bool_]) -> None:
        if good.any():
            self._timing.move(rows[good], sign * patch.lag[good])
            self._ring.put(rows[good], 0, patch.sound[good])


def _quiet(sound: Samples) -> NDArray[np.bool_]:
    return np.asarray(np.abs(sound.astype(np.int32)).max(axis=1) <= QUIET)
