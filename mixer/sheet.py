"""A sheet: the prototypes of one packet time, row by row, as they are written."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixer.wire import header_view

Rows = NDArray[np.int64]
Octets = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Sheet:
    """q packets without SSRC, sequence number and time.

    Attributes:
        octets: uint8[q, STRIDE].
        header: int64[q], octets of each header.
        length: int32[q], octets of each packet, 0 while it has no payload.
    """

    octets: Octets
    header: Rows
    length: NDArray[np.int32]

    def put(self, row: int, payload: bytes) -> None:
        """Write the payload of one packet."""
        at = int(self.header[row])
        end = at + len(payload)
        self.octets[row, at:end] = np.frombuffer(payload, np.uint8)
        self.length[row] = end

    def put_each(self, rows: Rows, payloads: list[bytes]) -> None:
        """Write a payload behind each header. Those that are equal, of all who wait in silence, are written at once."""
        equal: dict[bytes, list[int]] = defaultdict(list)
        for row, payload in zip(rows.tolist(), payloads, strict=True):
            equal[payload].append(row)
        for payload, some in equal.items():
            if len(some) == 1:
                self.put(some[0], payload)
            else:
                octets = np.frombuffer(payload, np.uint8)
                self.put_alike(np.array(some), np.broadcast_to(octets, (len(some), len(octets))))

    def put_alike(self, rows: Rows, payload: Octets) -> None:
        """Write payloads of equal length, uint8[n, octets], behind headers of any."""
        width = payload.shape[1]
        for size in np.unique(self.header[rows]):
            alike = np.flatnonzero(self.header[rows] == size)
            self.octets[rows[alike], size : size + width] = payload if len(alike) == len(rows) else payload[alike]
        self.length[rows] = self.header[rows] + width

    def retype(self, rows: Rows | int, payload_type: Rows | int) -> None:
        """Give packets another payload type than that of their stream."""
        header_view(self.octets)["marker_pt"][rows] = payload_type
