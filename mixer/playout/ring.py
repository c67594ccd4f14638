"""Rings of samples, one a leg, read a tick at a time and written anywhere ahead.

         history     cursor: what is played next
            |          |
      ......HHHHHHHHHHH|nnnnnnnnnffffffffff..........      . EMPTY  H played  n next  f waiting
                       |<---------- reach ---------->| and round to the history

Offsets are samples from the cursor on, negative ones are the history. What nobody wrote is EMPTY. Time can
be left out or inserted at the cursor; what was played stays the past of what comes.
Knows nothing of timestamps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixer.samples import EMPTY
from mixer.wire import windows

Rows = NDArray[np.int64]
Counts = NDArray[np.int64]
Samples = NDArray[np.int16]


class Ring:
    """Sound of all legs.

    Args:
        legs: rows.
        length: samples of a row.
        history: samples kept behind the cursor.
        tick: samples of a tick; `length` is a multiple of it.
    """

    def __init__(self, legs: int, length: int, history: int, tick: int) -> None:
        self._sound: Samples = np.empty((legs, length), np.int16)
        self._at: Counts = np.zeros(legs, np.int64)
        self._length = length
        self._history = history
        self._tick = tick
        self.reach = length - history
        """Samples ahead that can be written."""

    def wipe(self, rows: Rows) -> None:
        """Nothing was played and nothing waits."""
        self._sound[rows] = EMPTY

    def forget(self, rows: Rows) -> None:
        """Nothing waits any more; what was played stays, so that it can fade and does not stop."""
        history = self.read(rows, -self._history, self._history)
        self._sound[rows] = EMPTY
        self.put(rows, -self._history, history)

    def read(self, rows: Rows, offset: int, count: int) -> Samples:
        """So much of each leg's sound, int16[n, count], a copy."""
        start = self._start(rows, offset)
        over = start > self._length - count
        if not over.any():
            whole: Samples = windows(self._sound, count)[rows * self._length + start]
            return whole
        sound: Samples = windows(self._sound, count)[rows * self._length + np.where(over, 0, start)]
        index = (start[over, None] + np.arange(count)) % self._length
        sound[over] = self._sound[rows[over, None], index]
        return sound

    def _start(self, rows: Rows, offset: int) -> Counts:
        """Where an offset lies in the rows. Division is dear, and one turn of the ring at most is to be undone."""
        start = self._at[rows]
        if offset < 0:
            start += offset
            start += (start < 0) * self._length
        elif offset > 0:
            start += offset
            start -= (start >= self._length) * self._length
        return start

    def put(self, rows: Rows, offset: int, sound: Samples | int) -> None:
        """Write int16[n, count] at the same offset of several legs; one number for a whole tick."""
        count = self._tick if isinstance(sound, int) else sound.shape[1]
        start = self._start(rows, offset)
        over = start > self._length - count
        if not over.any():
            windows(self._sound, count)[rows * self._length + start] = sound
            return
        whole = rows[~over]
        windows(self._sound, count)[whole * self._length + start[~over]] = (
            sound if isinstance(sound, int) else sound[~over]
        )
        index = (start[over, None] + np.arange(count)) % self._length
        self._sound[rows[over, None], index] = sound if isinstance(sound, int) else sound[over]

    def write(self, rows: Rows, sound: Samples, offset: Counts) -> None:
        """Write int16[n, width] at int64[n] offsets; what is behind the cursor or out of reach is dropped."""
        width = sound.shape[1]
        start = (self._at[rows] + offset) % self._length
        whole = (offset >= 0) & (offset + width <= self.reach) & (start + width <= self._length)
        if whole.all():
            windows(self._sound, width)[rows * self._length + start] = sound
            return
        if whole.any():
            windows(self._sound, width)[rows[whole] * self._length + start[whole]] = sound[whole]
        rest = np.flatnonzero(~whole)
        place = offset[rest, None] + np.arange(width)
        leg, sample = np.nonzero((place >= 0) & (place < self.reach))
        at = (self._at[rows[rest]][leg] + place[leg, sample]) % self._length
        self._sound[rows[rest][leg], at] = sound[rest][leg, sample]

    def shift(self, rows: Rows, by: Counts) -> None:
        """Leave out so many samples at the cursor, or insert EMPTY where negative. At most the reach."""
        history = self.read(rows, -self._history, self._history)
        self._empty(rows, np.where(by > 0, -self._history, 0), np.maximum(by, 0))
        self._at[rows] = (self._at[rows] + by) % self._length
        self._empty(rows, np.zeros(len(rows), np.int64), np.maximum(-by, 0))
        self.put(rows, -self._history, history)

    def skip(self, rows: Rows) -> None:
        """Take the next tick for played; cheaper than `shift`. For what nobody would hear."""
        self.put(rows, -self._history, EMPTY)
        self._at[rows] = (self._at[rows] + self._tick) % self._length

    def _empty(self, rows: Rows, offset: Counts, count: Counts) -> None:
        some = np.flatnonzero(count)
        start = (self._at[rows[some]] + offset[some]) % self._length
        # Each has another length: slices, one leg after another, are a hundred times faster than one index of samples.
        for row, begin, width in zip(rows[some].tolist(), start.tolist(), count[some].tolist(), strict=True):
            sound = self._sound[row]
            sound[begin : begin + width] = EMPTY
            sound[: max(begin + width - self._length, 0)] = EMPTY

    def step(self, live: Rows, started: NDArray[np.bool_]) -> None:
        """A tick was played. Of `live` rows the oldest history goes; cursors of `started` ones, bool[top], move on."""
        if len(live):
            self.put(live, -self._history, EMPTY)
        at = self._at[: len(started)]
        at += started * self._tick
        at -= (at >= self._length) * self._length
