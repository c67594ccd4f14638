"""The waiting room: encoded packets of legs whose codec has memory, until they are due.

A codec with memory decodes in the order of timestamps, and can repair a lost packet from the next one. So its
packets are kept as they came and decoded when the playout buffer needs their samples. `DEPTH` packets are kept a
leg, the newest over the oldest: those that nobody needed, because the leg was quiet, warm up its decoder when
it begins to speak.

Timestamps here count samples at the rate of the leg's playout buffer, modulo 2^32. Knows nothing of codecs.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer.wire import windows

DEPTH: Final = 96
"""Packets kept a leg: 240 ms of 2.5 ms packets, more than any delay."""
CELL: Final = 192
"""Octets kept side by side; the few payloads that are longer are kept apart."""

Rows = NDArray[np.int64]


class Waiting:
    """Packets of all legs. Row numbers are those of the leg table; int64[legs, DEPTH] unless said otherwise."""

    def __init__(self, legs: int) -> None:
        self._octets: NDArray[np.uint8] = np.empty((legs, DEPTH, CELL), np.uint8)
        self._long: dict[tuple[int, int], bytes] = {}
        self._next = np.zeros(legs, np.int64)
        self.stamp = np.zeros((legs, DEPTH), np.int64)
        """Timestamp of the first sample."""
        self.width = np.zeros((legs, DEPTH), np.int64)
        """Samples."""
        self.size = np.zeros((legs, DEPTH), np.int64)
        """Octets."""
        self.undecoded = np.zeros((legs, DEPTH), np.bool_)
        """bool: here is a packet, and no decoder has seen it."""

    def forget(self, row: int) -> None:
        """Throw away what waits for a leg."""
        for slot in range(DEPTH if self._long else 0):  # also what a shorter one has taken the place of
            self._long.pop((row, slot), None)
        self.undecoded[row] = False

    def store(self, rows: Rows, octets: NDArray[np.uint8], start: Rows, size: Rows, stamp: Rows, width: Rows) -> None:
        """Keep one packet for each of several legs.

        Args:
            rows: int64[n], each at most once.
            octets: contiguous; payload k is its flat elements from `start[k]`, `size[k]` of them.
            stamp, width: timestamp and length, samples.
        """
        slot = self._next[rows]
        self._next[rows] = (slot + 1) % DEPTH
        self.stamp[rows, slot], self.width[rows, slot], self.size[rows, slot] = stamp, width, size
        self.undecoded[rows, slot] = True
        # Whole cells are copied, with what follows the payload: one copy for packets of all lengths.
        breadth = int(min(CELL, size.max(initial=0)))
        last = octets.size - breadth
        inside = (size <= CELL) & (start <= last)
        windows(self._octets, breadth)[(rows[inside] * DEPTH + slot[inside]) * CELL] = windows(octets, breadth)[
            start[inside]
        ]
        flat = octets.reshape(-1)
        for k in np.flatnonzero(~inside).tolist():
            self._put_apart(int(rows[k]), int(slot[k]), flat[start[k] : start[k] + size[k]].tobytes())

    def _put_apart(self, row: int, slot: int, payload: bytes) -> None:
        if len(payload) > CELL:
            self._long[row, slot] = payload
        else:
            self._octets[row, slot, : len(payload)] = np.frombuffer(payload, np.uint8)

    def payload(self, row: int, slot: int) -> bytes:
        """The payload of a packet that was stored."""
        size = int(self.size[row, slot])
        return self._long[row, slot] if size > CELL else self._octets[row, slot, :size].tobytes()

    def payloads(self, rows: Rows, slots: Rows) -> list[bytes]:
        """The payloads of packets of several legs."""
        cells = self._octets[rows, slots].tobytes()
        sizes = self.size[rows, slots].tolist()
        found = [cells[at : at + size] for at, size in zip(range(0, len(cells), CELL), sizes, strict=True)]
        for k, size in enumerate(sizes):
            if size > CELL:
                found[k] = self._long[int(rows[k]), int(slots[k])]
        return found
