"""Reception statistics: what RFC 3550 asks a receiver to know of each stream, as columns.

Sequence numbers and loss by appendix A.1 and A.3, jitter by A.8. One row a leg; a new SSRC starts a
row afresh.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
MAX_DROPOUT: Final = 3000
MAX_MISORDER: Final = 100


class Reception:
    """Statistics of the streams that legs send us."""

    def __init__(self, legs: int) -> None:
        self._fresh = np.ones(legs, bool)
        self.base = np.zeros(legs, np.int64)
        self.highest = np.zeros(legs, np.int64)
        """Extended highest sequence number received."""
        self.received = np.zeros(legs, np.int64)
        self.jitter = np.zeros(legs, np.float64)
        """Interarrival jitter, samples of the leg's clock."""
        self._transit = np.zeros(legs, np.float64)
        self._expected_before = np.zeros(legs, np.int64)
        self._received_before = np.zeros(legs, np.int64)
        self.total = np.zeros(legs, np.int64)
        """Packets since the leg was added, over all its SSRCs."""
        self._lost_before = np.zeros(legs, np.int64)
        self._recent = np.zeros(legs, np.uint64)
        """Bit k: the packet k before the highest has come."""

    def open(self, row: int) -> None:
        """Prepare a row for a new leg."""
        self.total[row] = self._lost_before[row] = 0
        self._reset(np.array([row]))

    def restart(self, row: int) -> None:
        """A new SSRC begins; what was lost before stays in the leg's total."""
        some = np.array([row])
        self._lost_before[some] = self.lost(some)
        self._reset(some)

    def _reset(self, rows: Rows) -> None:
        self._fresh[rows] = True
        for column in (self.received, self.jitter, self._expected_before, self._received_before):
            column[rows] = 0
        self.base[rows] = self.highest[rows] = 0
        self._recent[rows] = 0

    def note(
        self, rows: Rows, seq: Rows, timestamp: Rows, arrival: NDArray[np.int64], rate: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Account one authentic packet each for several legs.

        Args:
            rows: int64[n], each leg at most once.
            seq, timestamp: as in the header.
            arrival: int64[n], ns.
            rate: int64[n], clock rates, Hz.

        Returns:
            bool[n], True where the packet has not come before, as far as 64 packets tell.
        """
        fresh = self._fresh[rows]
        step = (seq - self.highest[rows] + 0x8000 & 0xFFFF) - 0x8000
        jumped = ~fresh & ((step > MAX_DROPOUT) | (step < -MAX_MISORDER))
        start = fresh | jumped
        if start.any():
            some = rows[start]
            self._lost_before[rows[jumped]] = self.lost(rows[jumped])
            self._reset(some)
            self._fresh[some] = False
            self.base[some] = self.highest[some] = seq[start]
            step[start] = 0
        self.received[rows] += 1
        self.total[rows] += 1
        self.highest[rows] += np.maximum(step, 0)
        new = self._remember(rows, step, start)
        transit = arrival * 1e-9 * rate - timestamp
        difference = np.abs(transit - self._transit[rows])
        # A difference of over half the timestamp space is its wrap, and one of a second a jump.
        usable = ~start & (difference < rate)
        self.jitter[rows] += np.where(usable, (difference - self.jitter[rows]) / 16.0, 0.0)
        self._transit[rows] = transit
        return new

    def _remember(self, rows: Rows, step: Rows, start: NDArray[np.bool_]) -> NDArray[np.bool_]:
        ahead = np.clip(step, 0, 63).astype(np.uint64)
        window = np.where(step > 63, np.uint64(0), self._recent[rows] << ahead)
        bit = np.uint64(1) << np.clip(-step, 0, 63).astype(np.uint64)
        new: NDArray[np.bool_] = start | ((window & bit) == 0) & (step > -64)
        self._recent[rows] = window | bit
        return new

    def lost(self, rows: Rows) -> Rows:
        """Packets lost since each leg was added, int64[n]."""
        expected = self.highest[rows] - self.base[rows] + 1
        now = np.where(self._fresh[rows], 0, np.maximum(expected - self.received[rows], 0))
        total: Rows = self._lost_before[rows] + now
        return total

    def report(self, row: int) -> tuple[int, int, int, int] | None:
        """Fraction lost (of 256), cumulative lost, extended highest seq and jitter for a report block
        (RFC 3550 section 6.4.1), and start the next interval. None before the first packet."""
        if self._fresh[row]:
            return None
        expected = int(self.highest[row] - self.base[row]) + 1
        received = int(self.received[row])
        interval = expected - int(self._expected_before[row])
        missing = interval - (received - int(self._received_before[row]))
        self._expected_before[row], self._received_before[row] = expected, received
        fraction = 0 if interval <= 0 or missing <= 0 else min(255, (missing << 8) // interval)
        lost = max(-(1 << 23), min((1 << 23) - 1, expected - received))
        return fraction, lost, int(self.highest[row]) & 0xFFFF_FFFF, int(self.jitter[row])
