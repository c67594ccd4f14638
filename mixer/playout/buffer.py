"""The playout buffer: samples of every leg wait here, at their RTP timestamp, until their tick.

* A packet is written where its timestamp says (`lead` = timestamp - cursor timestamp), so any ptime,
  reordering and duplicates need no bookkeeping.
* DTX pauses the sequence number, not the time: the cursor walks on and nothing is played. The first packet
  behind a pause is heard whole, whatever its timestamp: where nothing sounds the cursor may go anywhere.
* The delay follows the leads that packets have (`delay`). It is changed by a pitch period at a time
  (`pacing`), which nobody hears; so it adapts to jitter and follows clock drift, within bounds in ms.
* Where time must jump (a stall, a burst, another timestamp) what comes is joined in phase to what would
  have come.
* What waits is bounded: when a packet comes earlier than the largest delay the cursor leaps forward.
* A timestamp that fits nowhere near the cursor (jump, new SSRC, ten late packets) starts afresh.

Knows nothing of codecs, keys or conferences. Time is the tick.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer import conceal
from mixer.playout.delay import Delays
from mixer.playout.pacing import Pacing, longest
from mixer.playout.ring import Ring
from mixer.playout.timing import Timing
from mixer.samples import EMPTY

RING_MS: Final = 480
HISTORY_MS: Final = conceal.HISTORY_MS

Rows = NDArray[np.int64]
Counts = NDArray[np.int64]
Samples = NDArray[np.int16]


class Playout:
    """Playout buffers of all legs with one sampling rate; row numbers are those of the leg table."""

    def __init__(self, legs: int, rate: int, tick_ms: int) -> None:
        self.rate = rate
        self.samples = rate * tick_ms // 1000
        self._history = HISTORY_MS * rate // 1000
        self._fade = conceal.FADE_MS * rate // 1000
        self._linger = self._ticks_of(conceal.FADE_MS + HISTORY_MS) + self.samples
        self._longest = longest(rate, self.samples)
        self._ring = Ring(legs, RING_MS * rate // 1000, self._history, self.samples)
        self._delays = Delays(legs, rate, self.samples)
        self._timing = Timing(legs, self._ring, self._delays, self.samples, self._linger, self._longest)
        self.started = self._timing.started
        self.cursor = self._timing.cursor
        self.late = self._timing.late
        self.top = 0
        """Rows in use are below this."""
        self._lost = np.zeros(legs, np.int64)
        """Samples missing in a row up to the cursor, or as `conceal.run_at_end` says."""
        self.concealed = np.zeros(legs, np.int64)
        """Samples invented, cumulative."""
        self._pacing = Pacing(rate, self.samples, self._ring, self._delays, self._timing, self._lost)

    # -- life ---------------------------------------------------------------------------------

    def open(self, row: int, delay_min_ms: int, delay_max_ms: int) -> None:
        """Prepare a row for a new leg. Delays are rounded up to whole ticks."""
        least = self._ticks_of(delay_min_ms)
        self._delays.open(row, least, max(self._ticks_of(delay_max_ms), least))
        self.top = max(self.top, row + 1)
        self.late[row] = self.concealed[row] = 0
        self._ring.wipe(np.array([row]))
        self._lost[row] = self._fade
        self._timing.open(row)

    def stop(self, row: int) -> None:
        """Forget what waits; the next packet starts afresh. For a removed leg, or a new SSRC."""
        self._timing.stop(row)

    @property
    def delay(self) -> NDArray[np.float64]:
        """The lead that the fastest packets of each row have, samples."""
        return self._delays.high

    def waiting(self, rows: Rows) -> NDArray[np.int64]:
        """Milliseconds of sound that wait, int64[n]."""
        waiting = np.where(self.started[rows], self._timing.arrived[rows] - self.cursor[rows], 0)
        return np.maximum(waiting, 0) * 1000 // self.rate

    def concealed_ms(self, rows: Rows) -> NDArray[np.int64]:
        """Milliseconds of sound invented since each leg was added, int64[n]."""
        return np.asarray(self.concealed[rows] * 1000 // self.rate)

    def _ticks_of(self, ms: int) -> int:
        samples = ms * self.rate // 1000
        return -(-samples // self.samples) * self.samples

    # -- writing ------------------------------------------------------------------------------

    def admit(
        self, rows: Rows, width: int | NDArray[np.int64], timestamp: NDArray[np.int64], early: Counts | int = 0
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Let packets in without their sound: all that a packet does to delay and cursor.

        For codecs with memory, whose packets wait undecoded until they are due; `write` follows then.

        Args:
            rows: int64[n], legs, each at most once.
            width: samples of the packet, one number for all or int64[n].
            timestamp: int64[n], RTP timestamps in samples of `rate`, modulo 2^32.
            early: ticks by which each is here sooner than it would be if the next tick had been on time, int64[n]
                or 0; negative where it was kept back. Lateness of our own is no jitter.

        Returns:
            bool[n], False where the packet came too late to be heard, and its lead int64[n].
        """
        return self._timing.admit(rows, width, timestamp, early * self.samples)

    def write(self, rows: Rows, pcm: Samples, timestamp: NDArray[np.int64]) -> None:
        """Write sound where its timestamp stands now; what is played already or out of reach is dropped.

        Args:
            rows: int64[n], legs, each at most once.
            pcm: int16[n, samples].
            timestamp: int64[n], as in `admit`, of the first sample.
        """
        self._timing.write(rows, pcm, self.lead(rows, timestamp))

    def place(
        self, rows: Rows, pcm: Samples, timestamp: NDArray[np.int64], early: Counts | int = 0
    ) -> NDArray[np.bool_]:
        """Admit and write one packet for each of several legs.

        Args:
            rows: int64[n], legs, each at most once.
            pcm: int16[n, samples of the packet].
            timestamp, early: as in `admit`.

        Returns:
            bool[n], False where the packet came too late to be heard.
        """
        heard, lead = self.admit(rows, pcm.shape[1], timestamp, early)
        if heard.all():
            self._timing.write(rows, pcm, lead)
        else:
            self._timing.write(rows[heard], pcm[heard], lead[heard])
        return heard

    def lead(self, rows: Rows, timestamp: NDArray[np.int64]) -> NDArray[np.int64]:
        """Samples between what the next tick plays and a packet's first sample, signed, int64[n]."""
        return self._timing.lead(rows, timestamp)

    def missing(self, rows: Rows) -> NDArray[np.int64]:
        """Samples of the next tick that are not written yet, int64[n]; 0 where the whole tick is there."""
        return np.asarray(np.count_nonzero(self._ring.read(rows, 0, self.samples) == EMPTY, axis=1), np.int64)

    def wanted(self, rows: Rows) -> Counts:
        """Samples from the cursor on that the next tick looks at, int64[n].

        A packet with a lead below this is due: to be decoded and written before `take`. That is a tick, and more
        where a tick or a period of it may be left out, or sound is to be joined.
        """
        joins = self._timing.torn[rows] & self._timing.sounds(rows)
        more = np.where(self._delays.excessive(rows), self.samples, np.where(joins, self._longest, 0))
        return np.asarray(self.samples + more, np.int64)

    # -- playing ------------------------------------------------------------------------------

    def skipped(self, ticks: int) -> None:
        """So many ticks will never be: of every leg that much waits more than has to."""
        rows = np.flatnonzero(self.started[: self.top])
        self._delays.moved(rows, np.full(len(rows), -ticks * self.samples))

    def take(self, first: NDArray[np.bool_] | None = None) -> tuple[Rows, Samples]:
        """One tick of sound from every leg that has any, and step all cursors.

        Args:
            first: bool[legs], whose delay is to be brought down first, if those of many are too long.

        Returns:
            rows int64[n], ascending, and int16[n, samples of a tick]. Missing sound is concealed,
            legs that are silent are left out.
        """
        top, timing = self.top, self._timing
        self._pacing.adjust(top, first)
        # A row is done when nothing waits, its concealment has faded and its history is wiped.
        live = np.flatnonzero(timing.sounds(slice(0, top)))
        if not len(live):
            timing.step(live, top)
            return live, np.empty((0, self.samples), np.int16)
        if timing.torn[:top].any():
            self._pacing.join(live[timing.torn[live]])
        frames = self._ring.read(live, 0, self.samples)
        missing = frames == EMPTY
        touched = np.flatnonzero(missing.any(axis=1) | (self._lost[live] != 0))
        if len(touched):
            self._mend(live, frames, missing, touched)
        timing.step(live, top)
        return live, frames

    def _mend(self, live: Rows, frames: Samples, missing: NDArray[np.bool_], touched: Rows) -> None:
        """Conceal what is missing, in `frames` and in the ring, which is the history of the next."""
        rows = live[touched]
        history = self._ring.read(rows, -self._history, self._history)
        gaps = missing[touched]
        lost = self._lost[rows]
        mended = conceal.mend(history, frames[touched], gaps, lost, self.rate)
        self.concealed[rows] += np.where(lost < self._fade, gaps.sum(axis=1), 0)
        self._lost[rows] = conceal.run_at_end(gaps, lost, self.rate)
        frames[touched] = mended
        # Where all has faded the ring stays EMPTY, or stale silence would pass for sound next time round.
        keep = self._lost[rows] <= self._fade + self.samples
        self._ring.put(rows[keep], 0, mended[keep])
