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
        self._after_stray = np.full(legs, -1, np.int64)
        """The sequence number that would confirm a jump."""
        self._passed = np.zeros(legs, np.uint64)
        """Bit k, never 0: the packet k ahead of the highest came, and was not opened."""
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
        for column in (self.received, self.jitter, self._expected_before, self._received_before, self._passed):
            column[rows] = 0
        self.base[rows] = self.highest[rows] = 0
        self._recent[rows] = 0
        self._after_stray[rows] = -1

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
        step = self._step(rows, seq)
        astray = ~fresh & ((step > MAX_DROPOUT) | (step < -MAX_MISORDER))
        if not (astray.any() or fresh.any()):
            return self._count(rows, step, timestamp, arrival, rate)
        # One stray packet is a stray; two in sequence are a sender that began anew (appendix A.1).
        anew = astray & (seq == self._after_stray[rows])
        self._after_stray[rows] = np.where(astray, seq + 1 & 0xFFFF, -1)
        self._begin(rows[fresh | anew], seq[fresh | anew])
        step[fresh | anew] = 0
        known = ~astray | anew
        new = np.zeros(len(rows), bool)
        new[known] = self._count(rows[known], step[known], timestamp[known], arrival[known], rate[known])
        return new

    def ahead(self, rows: Rows, seq: Rows) -> Rows:
        """How far ahead of the highest packets are, int64[n]; 0 or less if they are not, 0 if one of that number was
        passed over before."""
        step = self._step(rows, seq)
        bit = self._passed[rows] >> np.clip(step, 0, 63).astype(np.uint64) & np.uint64(1)
        ahead: Rows = np.where(self._fresh[rows] | bit.astype(bool), 0, step)
        return ahead

    def pass_over(self, rows: Rows, ahead: Rows) -> None:
        """Take note of packets that are not opened, int64[n], so far ahead of the highest, 1 to 63. They count when one
        behind them is opened: what nobody vouched for hides no loss but that of its own number."""
        np.bitwise_or.at(self._passed, rows, np.uint64(1) << ahead.astype(np.uint64))

    def _step(self, rows: Rows, seq: Rows) -> Rows:
        step: Rows = (seq - self.highest[rows] + 0x8000 & 0xFFFF) - 0x8000
        return step

    def _begin(self, rows: Rows, seq: Rows) -> None:
        """The first packet of a sequence."""
        self._lost_before[rows] = self.lost(rows)
        self._reset(rows)
        self._fresh[rows] = False
        self.base[rows] = self.highest[rows] = seq

    def _count(
        self, rows: Rows, step: Rows, timestamp: Rows, arrival: NDArray[np.int64], rate: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Account packets whose place in the sequence is known: so far ahead of the highest, or behind it."""
        first = self.received[rows] == 0
        count = 1 + self._settle(rows, step)
        self.received[rows] += count
        self.total[rows] += count
        self.highest[rows] += np.maximum(step, 0)
        transit = arrival * 1e-9 * rate - timestamp
        difference = np.abs(transit - self._transit[rows])
        # A difference of a second or more is a wrapped or new timestamp, not jitter.
        usable = ~first & (difference < rate)
        self.jitter[rows] += np.where(usable, (difference - self.jitter[rows]) / 16.0, 0.0)
        self._transit[rows] = transit
        return self._remember(rows, step)

    def _settle(self, rows: Rows, step: Rows) -> Rows:
        """How many packets were passed over that the highest now leaves behind."""
        passed, ahead = self._passed[rows], np.clip(step, 0, 63).astype(np.uint64)
        one = np.uint64(1)
        self._passed[rows] = passed >> ahead & ~one
        return np.bitwise_count(passed & ((one << ahead) - one)).astype(np.int64)

    def _remember(self, rows: Rows, step: Rows) -> NDArray[np.bool_]:
        ahead = np.clip(step, 0, 63).astype(np.uint64)
        window = np.where(step > 63, np.uint64(0), self._recent[rows] << ahead)
        bit = np.uint64(1) << np.clip(-step, 0, 63).astype(np.uint64)
        new: NDArray[np.bool_] = ((window & bit) == 0) & (step > -64)
        self._recent[rows] = window | bit
        return new

    def is_behind(self, row: int, seq: int) -> bool:
        """True if a sequence number is not ahead of all that came before."""
        step = (seq - int(self.highest[row]) + 0x8000 & 0xFFFF) - 0x8000
        return not self._fresh[row] and step <= 0

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
