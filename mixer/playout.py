"""The playout buffer: samples of every leg wait here, at their RTP timestamp, until their tick.

One ring of samples a leg, for all legs of one sampling rate:

    int16[legs, slots, samples of a tick]

         history    cursor: the next tick plays this slot
            |         |
      ......HHHHHHHHHHnnnnnnnnnnffffffffff..........      . EMPTY  H played  n next  f waiting

* A packet is written where its timestamp says (`lead` = timestamp - cursor timestamp), so any ptime,
  reordering and duplicates need no bookkeeping; a sample that nobody wrote is EMPTY.
* DTX pauses the sequence number, not the time: the cursor walks on and nothing is played.
* The delay between arrival and playout is the lead a packet has. It grows, by whole ticks, when two
  packets in a row come late; it shrinks, cross-faded, when for two seconds no packet came with less than a
  tick to spare. So it adapts to jitter and follows clock drift, within bounds in ms.
* What waits is bounded: when a packet comes earlier than the largest delay the cursor leaps forward.
* A timestamp that fits nowhere near the cursor (jump, new SSRC, ten late packets) starts afresh.

Knows nothing of codecs, keys or conferences. Time is the tick.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer import conceal
from mixer.codecs import EMPTY
from mixer.wire import windows

RING_MS: Final = 480
HISTORY_MS: Final = conceal.HISTORY_MS
REVIEW_MS: Final = 2000
STALL_TICKS: Final = 3
LATE_TO_GROW: Final = 2
LATE_TO_RESTART: Final = 10
_CALM: Final = np.int64(1 << 40)

Rows = NDArray[np.int64]
Samples = NDArray[np.int16]


class Playout:
    """Playout buffers of all legs with one sampling rate; row numbers are those of the leg table."""

    def __init__(self, legs: int, rate: int, tick_ms: int) -> None:
        self.rate = rate
        self.samples = rate * tick_ms // 1000
        self.slots = RING_MS // tick_ms
        self.history = HISTORY_MS // tick_ms
        self._ring: NDArray[np.int16] = np.empty((legs, self.slots, self.samples), np.int16)
        self._flat_rows = self.slots * self.samples
        self.started = np.zeros(legs, bool)
        self.top = 0
        """Rows in use are below this."""
        self.cursor = np.zeros(legs, np.int64)
        """Extended RTP timestamp that the next tick plays."""
        self._slot = np.zeros(legs, np.int64)
        self._arrived = np.zeros(legs, np.int64)
        """Extended timestamp behind the last sample let in, written or not."""
        self._horizon = np.zeros(legs, np.int64)
        """Extended timestamp behind the last sample written."""
        self.delay = np.zeros(legs, np.int64)
        """The most lead a packet may be taken to have, samples: what bounds growing."""
        self._delay_min = np.zeros(legs, np.int64)
        self._delay_max = np.zeros(legs, np.int64)
        self._low_water = np.full(legs, _CALM)
        self._high_water = np.zeros(legs, np.int64)
        """Least and most lead of a packet since the last review, samples."""
        self._late_run = np.zeros(legs, np.int64)
        self._lost = np.zeros(legs, np.int64)
        """Samples missing in a row up to the cursor."""
        self.late = np.zeros(legs, np.int64)
        self.concealed = np.zeros(legs, np.int64)
        """Samples invented, cumulative."""
        self._review = REVIEW_MS // tick_ms
        self._fade = conceal.FADE_MS * rate // 1000
        self._linger = self._ticks_of(conceal.FADE_MS + HISTORY_MS) + self.samples
        self._ticks = 0

    # -- life ---------------------------------------------------------------------------------

    def open(self, row: int, delay_min_ms: int, delay_max_ms: int) -> None:
        """Prepare a row for a new leg. Delays are rounded up to whole ticks."""
        self._delay_min[row] = self._ticks_of(delay_min_ms)
        self._delay_max[row] = max(self._ticks_of(delay_max_ms), self._delay_min[row])
        self.top = max(self.top, row + 1)
        self.late[row] = self.concealed[row] = 0
        self._ring[row] = EMPTY
        self._slot[row] = 0
        self._lost[row] = self._fade
        self.stop(row)

    def stop(self, row: int) -> None:
        """Forget what waits; the next packet starts afresh. For a removed leg, or a new SSRC."""
        self.started[row] = False
        self._arrived[row] = self._horizon[row] = self.cursor[row] = 0

    def waiting(self, rows: Rows) -> NDArray[np.int64]:
        """Milliseconds of sound that wait, int64[n]."""
        waiting = np.where(self.started[rows], self._arrived[rows] - self.cursor[rows], 0)
        return np.maximum(waiting, 0) * 1000 // self.rate

    def concealed_ms(self, rows: Rows) -> NDArray[np.int64]:
        """Milliseconds of sound invented since each leg was added, int64[n]."""
        return np.asarray(self.concealed[rows] * 1000 // self.rate)

    def _ticks_of(self, ms: int) -> int:
        samples = ms * self.rate // 1000
        return -(-samples // self.samples) * self.samples

    # -- writing ------------------------------------------------------------------------------

    def admit(
        self, rows: Rows, width: int | NDArray[np.int64], timestamp: NDArray[np.int64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Let packets in without their sound: all that a packet does to delay and cursor.

        For codecs with memory, whose packets wait undecoded until they are due; `write` follows then.

        Args:
            rows: int64[n], legs, each at most once.
            width: samples of the packet, one number for all or int64[n].
            timestamp: int64[n], RTP timestamps in samples of `rate`, modulo 2^32.

        Returns:
            bool[n], False where the packet came too late to be heard, and its lead int64[n].
        """
        if not self.started[rows].all():
            fresh = ~self.started[rows]
            self._restart(rows[fresh], timestamp[fresh])
        lead = self.lead(rows, timestamp)
        early = lead > self._delay_max[rows] + width
        late = lead < 0
        if late.any() or early.any():
            lead = self._settle(rows, timestamp, lead, width, late, early)
            heard = np.asarray(lead + width > 0)
            self._note(rows[heard], lead[heard], (lead + width)[heard])
        else:
            heard = np.ones(len(rows), bool)
            self._note(rows, lead, lead + width)
        return heard, lead

    def write(self, rows: Rows, pcm: Samples, timestamp: NDArray[np.int64]) -> None:
        """Write sound where its timestamp stands now; what is played already or out of reach is dropped.

        Args:
            rows: int64[n], legs, each at most once.
            pcm: int16[n, samples].
            timestamp: int64[n], as in `admit`, of the first sample.
        """
        self._write(rows, pcm, self.lead(rows, timestamp))

    def place(self, rows: Rows, pcm: Samples, timestamp: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Admit and write one packet for each of several legs.

        Args:
            rows: int64[n], legs, each at most once.
            pcm: int16[n, samples of the packet].
            timestamp: int64[n], 32-bit RTP timestamps.

        Returns:
            bool[n], False where the packet came too late to be heard.
        """
        heard, lead = self.admit(rows, pcm.shape[1], timestamp)
        if heard.all():
            self._write(rows, pcm, lead)
        else:
            self._write(rows[heard], pcm[heard], lead[heard])
        return heard

    def lead(self, rows: Rows, timestamp: NDArray[np.int64]) -> NDArray[np.int64]:
        """Samples between what the next tick plays and a packet's first sample, signed, int64[n]."""
        return (timestamp - self.cursor[rows] + (1 << 31) & 0xFFFF_FFFF) - (1 << 31)

    def missing(self, rows: Rows) -> NDArray[np.int64]:
        """Samples of the next tick that are not written yet, int64[n]; 0 where the whole tick is there."""
        return np.asarray(np.count_nonzero(self._ring[rows, self._slot[rows]] == EMPTY, axis=1), np.int64)

    def _note(self, rows: Rows, lead: NDArray[np.int64], end: NDArray[np.int64]) -> None:
        """Packets will be heard, from `lead` to `end`."""
        self._late_run[rows[lead >= 0]] = 0
        self._low_water[rows] = np.minimum(self._low_water[rows], lead)
        self._high_water[rows] = np.maximum(self._high_water[rows], lead)
        self._arrived[rows] = np.maximum(self._arrived[rows], self.cursor[rows] + end)

    def _restart(self, rows: Rows, timestamp: NDArray[np.int64]) -> None:
        played = (self._slot[rows, None] - np.arange(self.history, 0, -1)) % self.slots
        history = self._ring[rows[:, None], played]
        self._ring[rows] = EMPTY
        self._ring[rows, -self.history :] = history  # so that what was playing fades and does not stop
        self.started[rows] = True
        self.delay[rows] = self._delay_min[rows]
        self.cursor[rows] = timestamp - self.delay[rows]
        self._arrived[rows] = self._horizon[rows] = self.cursor[rows]
        self._slot[rows] = 0
        self._low_water[rows] = _CALM
        self._high_water[rows] = 0
        self._late_run[rows] = 0

    def _settle(
        self,
        rows: Rows,
        timestamp: NDArray[np.int64],
        lead: NDArray[np.int64],
        width: int | NDArray[np.int64],
        late: NDArray[np.bool_],
        early: NDArray[np.bool_],
    ) -> NDArray[np.int64]:
        """Deal with packets outside the window: grow the delay, start afresh, or leave them late."""
        self.late[rows[late]] += 1
        self._late_run[rows[late]] += 1
        run = self._late_run[rows]
        need = np.where(late, -(lead // self.samples) * self.samples, 0)
        fits = self.delay[rows] + need <= self._delay_max[rows]
        grow = late & (run >= LATE_TO_GROW) & fits
        if grow.any():
            self._grow(rows[grow], need[grow])
        # So far behind, the sender's clock must have stopped or jumped: no delay will help.
        astray = lead < -self._flat_rows
        window = (self.slots - self.history) * self.samples
        jumped = early & (lead + width > window)
        restart = jumped | (late & ~grow & (run >= np.where(astray, LATE_TO_GROW, LATE_TO_RESTART)))
        leap = early & ~jumped
        if leap.any():
            self._leap(rows[leap], -(-(lead[leap] - self._delay_max[rows[leap]]) // self.samples))
        if restart.any():
            self._restart(rows[restart], timestamp[restart])
        return self.lead(rows, timestamp)

    def _grow(self, rows: Rows, samples: NDArray[np.int64]) -> None:
        """Move cursors back: what was concealed there will be overwritten by what came late."""
        ticks = samples // self.samples
        for count in np.unique(ticks).tolist():
            some = rows[ticks == count]
            before = self._slot[some]
            self._slot[some] = now = (before - count) % self.slots
            # What was played last stays the past of what comes next; in between, nothing has come yet.
            for back in range(self.history, 0, -1):
                self._ring[some, (now - back) % self.slots] = self._ring[some, (before - back) % self.slots]
            for ahead in range(count):
                self._ring[some, (now + ahead) % self.slots] = EMPTY
        self.cursor[rows] -= samples
        self.delay[rows] += samples
        self._lost[rows] = np.maximum(self._lost[rows], 1)  # time jumps: blend over

    def _write(self, rows: Rows, pcm: Samples, lead: NDArray[np.int64]) -> None:
        width = pcm.shape[1]
        start = (self._slot[rows] * self.samples + lead) % self._flat_rows
        reach = self._flat_rows - self.history * self.samples
        self._horizon[rows] = np.maximum(self._horizon[rows], self.cursor[rows] + np.minimum(lead + width, reach))
        whole = (lead >= 0) & (lead + width <= reach) & (start + width <= self._flat_rows)
        if whole.all():
            windows(self._ring, width)[rows * self._flat_rows + start] = pcm
            return
        if whole.any():
            windows(self._ring, width)[rows[whole] * self._flat_rows + start[whole]] = pcm[whole]
        rest = np.flatnonzero(~whole)
        offset = lead[rest, None] + np.arange(width)
        leg, sample = np.nonzero((offset >= 0) & (offset < reach))  # the part that can still be heard
        at = (self._slot[rows[rest]][leg] * self.samples + offset[leg, sample]) % self._flat_rows
        self._ring.reshape(-1)[rows[rest][leg] * self._flat_rows + at] = pcm[rest][leg, sample]

    # -- playing ------------------------------------------------------------------------------

    def take(self) -> tuple[Rows, Samples]:
        """One tick of sound from every leg that has any, and step all cursors.

        Returns:
            rows int64[n], ascending, and int16[n, samples of a tick]. Missing sound is concealed,
            legs that are silent are left out.
        """
        top = self.top
        # A row is done when nothing waits, its concealment has faded and its history is wiped.
        behind = self.cursor[:top] - self._horizon[:top]
        live = np.flatnonzero(self.started[:top] & (behind < self._linger))
        self._ticks += 1
        if self._ticks % self._review == 0:
            self._adapt(live)
        frames = self._ring[live, self._slot[live]]
        missing = frames == EMPTY
        touched = np.flatnonzero(missing.any(axis=1) | (self._lost[live] > 0))
        if len(touched):
            self._mend(live, frames, missing, touched)
        self._ring[live, (self._slot[live] - self.history) % self.slots] = EMPTY
        self._slot[live] = (self._slot[live] + 1) % self.slots
        self.cursor[:top] += self.samples
        idle = self.started[:top].copy()
        idle[live] = False
        self._slot[:top][idle] = (self._slot[:top][idle] + 1) % self.slots
        return live, frames

    def _mend(self, live: Rows, frames: Samples, missing: NDArray[np.bool_], touched: Rows) -> None:
        """Conceal what is missing, in `frames` and in the ring, which is the history of the next."""
        rows = live[touched]
        slots = (self._slot[rows, None] - np.arange(self.history, 0, -1)) % self.slots
        history = self._ring[rows[:, None], slots].reshape(len(rows), -1)
        gaps = missing[touched]
        lost = self._lost[rows]
        mended = conceal.mend(history, frames[touched], gaps, lost, self.rate)
        self.concealed[rows] += np.where(lost < self._fade, gaps.sum(axis=1), 0)
        self._lost[rows] = conceal.run_at_end(gaps, lost)
        frames[touched] = mended
        # Where all has faded the ring stays EMPTY, or stale silence would pass for sound next time round.
        keep = self._lost[rows] <= self._fade + self.samples
        self._ring[rows[keep], self._slot[rows[keep]]] = mended[keep]

    def _adapt(self, live: Rows) -> None:
        """Review the delay: give back what nobody needed since the last review."""
        calm = self._low_water[live]
        heard = live[calm < _CALM]
        self.delay[heard] = np.maximum(self._high_water[heard], self._delay_min[heard])
        spare = np.where(calm < _CALM, (calm - self._delay_min[live]) // self.samples, 0)
        # A tick at a time follows drift unheard; much more is the rest of a stall, and goes at once.
        ticks = np.where(spare >= STALL_TICKS, spare, np.minimum(spare, 1))
        self._low_water[live] = _CALM
        self._high_water[live] = 0
        self._leap(live[ticks > 0], ticks[ticks > 0])

    def _leap(self, rows: Rows, ticks: NDArray[np.int64]) -> None:
        """Leave out so many ticks, cross-fading from the next one to the one behind the leap."""
        for count in np.unique(ticks).tolist():
            some = rows[ticks == count]
            this = self._slot[some]
            after = (this + count) % self.slots
            self._ring[some, after] = conceal.cross_fade(self._ring[some, this], self._ring[some, after])
            for back in range(1, self.history + 1):  # what was played stays the past of what comes
                self._ring[some, (after - back) % self.slots] = self._ring[some, (this - back) % self.slots]
            for gone in range(-self.history, count - self.history):
                self._ring[some, (this + gone) % self.slots] = EMPTY
            self.cursor[some] += count * self.samples
            self._slot[some] = after
            self.delay[some] -= count * self.samples
