"""The timing of arrivals: where on the ring does a packet belong, and must time give way to it?

Every leg has a *cursor*, the RTP timestamp that the next tick plays. A packet whose lead fits is left
alone. Where it does not fit, time moves: the cursor goes back for what comes late into an empty buffer,
forward for what comes too early, anywhere where nothing sounds, and all starts afresh where timestamps
make no sense any more. Sound is not looked at: a packet may be let in before it is decoded.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer.playout.delay import Delays
from mixer.playout.ring import Ring

ASTRAY_TO_RESTART: Final = 2
LATE_TO_RESTART: Final = 10

Rows = NDArray[np.int64]
Counts = NDArray[np.int64]


class Timing:
    """Cursors of all legs with one clock rate.

    Args:
        legs: rows.
        rings: what cursors point into.
        delays: the leads that packets have.
        tick: samples.
        linger: samples without sound until nothing of a leg is left on its ring.
        slack: samples that a cursor may be moved by for the sound's sake.
    """

    def __init__(self, legs: int, rings: Ring, delays: Delays, tick: int, linger: int, slack: int) -> None:
        self._ring = rings
        self._delays = delays
        self._tick = tick
        self._linger = linger
        self._slack = slack
        self.started = np.zeros(legs, bool)
        self.cursor: Counts = np.zeros(legs, np.int64)
        """Extended RTP timestamp that the next tick plays; of stopped legs, samples since then."""
        self.arrived: Counts = np.zeros(legs, np.int64)
        """Extended timestamp behind the last sample let in, written or not."""
        self.written: Counts = np.zeros(legs, np.int64)
        """Extended timestamp behind the last sample written."""
        self.torn = np.zeros(legs, bool)
        """Time jumped: what comes next does not go on where what was played ended."""
        self.late: Counts = np.zeros(legs, np.int64)
        self._late_run: Counts = np.zeros(legs, np.int64)

    def open(self, row: int) -> None:
        """Prepare a row for a new leg, on whose ring is nothing."""
        self.stop(row)
        self.written[row] = -self._linger

    def stop(self, row: int) -> None:
        """The next packet starts afresh."""
        self.started[row] = self.torn[row] = False
        self.written[row] = -max(self.cursor[row] - self.written[row], 0)
        self.cursor[row] = self.arrived[row] = 0

    def lead(self, rows: Rows, timestamp: Counts) -> Counts:
        """Samples between what the next tick plays and a packet's first sample, signed, int64[n]."""
        return _signed(timestamp - self.cursor[rows])

    def step(self, live: Rows, top: int) -> None:
        """A tick was played: all cursors below `top` move on; `live` rows had something to play."""
        self._ring.step(live, self.started[:top])
        self._delays.step()
        self.cursor[:top] += self._tick

    def sounds(self, rows: Rows | slice) -> NDArray[np.bool_]:
        """Legs of which something waits, fades, or is still on the ring."""
        behind = self.cursor[rows] - self.written[rows]
        return np.asarray(self.started[rows] & (behind < self._linger))

    def comes(self, rows: Rows) -> NDArray[np.bool_]:
        """Legs of which packets came lately, whether anybody wanted their sound or not."""
        behind = self.cursor[rows] - self.arrived[rows]
        return np.asarray(self.started[rows] & (behind < self._linger))

    def write(self, rows: Rows, sound: NDArray[np.int16], lead: Counts) -> None:
        """Sound that was let in goes where it belongs; what is behind the cursor or out of reach is dropped."""
        end = np.minimum(lead + sound.shape[1], self._ring.reach)
        self.written[rows] = np.maximum(self.written[rows], self.cursor[rows] + end)
        self._ring.write(rows, sound, lead)

    def move(self, rows: Rows, by: Counts) -> None:
        """Leave out so many samples, or insert them where negative."""
        sounds = self.sounds(rows)  # of the others there is nothing on the ring that could be moved
        self._ring.shift(rows[sounds], by[sounds])
        self.cursor[rows] += by
        self._delays.moved(rows, by)

    def skip(self, rows: Rows) -> None:
        """Leave out the next tick."""
        self._ring.skip(rows[self.sounds(rows)])
        self.cursor[rows] += self._tick
        self._delays.moved(rows, np.full(len(rows), self._tick))

    def admit(
        self, rows: Rows, width: int | Counts, timestamp: Counts, early: Counts | int = 0
    ) -> tuple[NDArray[np.bool_], Counts]:
        """Let packets in: see `Playout.admit`."""
        if not self.started[rows].all():
            fresh = ~self.started[rows]
            self._begin(rows[fresh], timestamp[fresh], early if isinstance(early, int) else early[fresh])
        cursor = self.cursor[rows]
        lead = _signed(timestamp - cursor)
        ahead = self.arrived[rows] - cursor
        odd = (lead < 0) | (lead > self._farthest(rows, width, early)) | (ahead <= -self._linger)
        if not odd.any():
            self._delays.learn(rows, lead - early, width)
            if self._late_run.any():
                self._late_run[rows] = 0
            self.arrived[rows] = cursor + np.maximum(ahead, lead + width)
            return np.ones(len(rows), bool), lead
        width, early = np.broadcast_to(width, len(rows)), np.broadcast_to(early, len(rows))
        self._settle(rows[odd], timestamp[odd], lead[odd], width[odd], ahead[odd], early[odd])
        lead = self.lead(rows, timestamp)
        self._late_run[rows[lead >= 0]] = 0
        near = lead > -self._ring.reach
        self._delays.learn(rows[near], (lead - early)[near], width[near])
        heard = np.asarray(lead + width > 0)
        some = rows[heard]
        self.arrived[some] = np.maximum(self.arrived[some], self.cursor[some] + (lead + width)[heard])
        return heard, lead

    def _begin(self, rows: Rows, timestamp: Counts, early: Counts | int) -> None:
        """The first packets of legs that were not started."""
        old = rows[self.cursor[rows] > self._tick]  # too long ago to go on from
        self._ring.wipe(old)
        self.written[old] = self.cursor[old] - self._linger
        self._restart(rows, timestamp, early)

    def _farthest(self, rows: Rows, width: int | Counts, early: Counts | int) -> Counts:
        """The largest lead that fits: the most, and what the ticks that are late will take of it at once."""
        most: Counts = self._delays.most[rows] + width
        if isinstance(early, int):
            return most
        return np.asarray(np.minimum(most + np.maximum(early, 0), np.maximum(self._ring.reach - width, most)))

    def _settle(self, rows: Rows, timestamp: Counts, lead: Counts, width: Counts, ahead: Counts, early: Counts) -> None:
        """Deal with packets that do not fit: move time, start afresh, or leave them late."""
        reach = self._ring.reach
        straggler = (lead < ahead) & (lead > ahead - reach) & (ahead > -reach)
        idle = (ahead <= -self._linger) & ~straggler
        beyond = ~idle & (lead > self._farthest(rows, width, early))
        late = ~idle & (lead < 0)
        self.late[rows[late]] += 1
        self._late_run[rows[late]] += 1
        run = self._late_run[rows]
        # Nothing waits and nothing later was heard: a buffer that ran dry goes on where it ended.
        grow = late & (lead >= ahead) & (-lead <= self._delays.room(rows))
        # So far behind, the sender's clock must have stopped or jumped: no delay will help.
        enough = np.where(lead < -reach, ASTRAY_TO_RESTART, LATE_TO_RESTART)
        restart = beyond & (lead + width > reach) | late & ~grow & (run >= enough)
        leap = beyond & ~restart
        by = np.where(grow, lead, 0) + np.where(leap, lead - self._leapt(rows) - np.maximum(early, 0), 0)
        if (moved := by != 0).any():
            self.move(rows[moved], by[moved])
            self.torn[rows[moved]] = True
        if restart.any():
            self._restart(rows[restart], timestamp[restart], early[restart])
        if idle.any():
            self._delays.paused(rows[idle], -ahead[idle])
            self._resume(rows[idle], timestamp[idle], lead[idle], early[idle])

    def _leapt(self, rows: Rows) -> Counts:
        """The lead of a packet that came too early, from now on: the most, and room to join the sound."""
        return np.maximum(self._delays.most[rows] - self._slack, self._delays.least[rows])

    def _restart(self, rows: Rows, timestamp: Counts, early: Counts | int) -> None:
        # Also of legs that were stopped: what waited then is still on the ring.
        self._ring.forget(rows[self.cursor[rows] - self.written[rows] < self._linger])
        self.started[rows] = self.torn[rows] = True
        lead = self._delays.least[rows] + np.maximum(early, 0)
        self._delays.restart(rows, lead - early)
        self._place(rows, timestamp - lead)
        self._late_run[rows] = 0

    def _place(self, rows: Rows, cursor: Counts) -> None:
        """Put cursors elsewhere. Nothing waits there; what was played last stays as long ago as it was."""
        silent_for = np.maximum(self.cursor[rows] - self.written[rows], 0)
        self.cursor[rows] = self.arrived[rows] = cursor
        self.written[rows] = cursor - silent_for

    def _resume(self, rows: Rows, timestamp: Counts, lead: Counts, early: Counts) -> None:
        """The first packet after a pause: nothing sounds, so the delay may be whatever it should be.

        If timestamps went on with time the packet keeps its place among the others, else it is taken for
        one of the fastest, and its timestamp for a new beginning.
        """
        lead = lead - early
        low, high = self._delays.low[rows], self._delays.high[rows]
        goes_on = (lead >= low - self._tick) & (lead <= high + self._tick)
        spread = np.minimum(high - low, self._delays.most[rows] - self._delays.least[rows])
        within = lead - self._delays.spare(rows)
        anew = np.maximum(self._delays.least[rows], self._delays.margin[rows] + spread.astype(np.int64))
        wanted = np.clip(np.where(goes_on, within, anew), np.maximum(-early, 0), self._delays.most[rows])
        self._place(rows, timestamp - wanted - early)
        self._delays.moved(rows[goes_on], (lead - wanted)[goes_on])
        self._delays.restart(rows[~goes_on], wanted[~goes_on], spread[~goes_on])


def _signed(difference: Counts) -> Counts:
    """Of two timestamps, which are modulo 2^32: -2^31 to 2^31 - 1."""
    return (difference + (1 << 31) & 0xFFFF_FFFF) - (1 << 31)
