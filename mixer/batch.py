"""Batch: the datagrams of one receive. Fanout: the datagrams of one send.

Both are plain containers shared by the shell (which fills or sends them) and the engine. A row of a
batch is one datagram; the columns beside it are filled step by step on the packet's way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

ROWS: Final = 2048
"""Datagrams in one batch at most."""

STRIDE: Final = 2112
"""Octets of a row: 20 ms of L16 at 48 kHz with all headers, MKI and tag fit. An odd number of cache
lines, so that the headers of all rows do not fall into the same cache sets (as they do at 2048)."""

SOCKADDR: Final = 32
"""Octets of an address slot: a sockaddr_in or sockaddr_in6, the rest zero."""


class Batch:
    """Up to `rows` datagrams and their columns. Allocated once; the arrays never move.

    The shell fills `octets`, `length`, `source`, `local`, `arrival` and `count`; the engine may
    overwrite everything else, and decrypts `octets` in place.
    """

    def __init__(self, rows: int = ROWS) -> None:
        self.rows = rows
        self.count = 0
        self.octets: NDArray[np.uint8] = np.zeros((rows, STRIDE), np.uint8)
        self.length: NDArray[np.int32] = np.zeros(rows, np.int32)
        """Octets received; larger than STRIDE if the kernel had to cut the datagram."""
        self.source: NDArray[np.uint8] = np.zeros((rows, SOCKADDR), np.uint8)
        """Source address of each datagram, as a sockaddr."""
        self.local: NDArray[np.int32] = np.zeros(rows, np.int32)
        """The local port it came in on: 0 the shared RTP port, 1 the shared RTCP port, and from 2
        the ports of legs that asked for one (`port_of_leg` pairs: even RTP, odd RTCP)."""
        self.arrival: NDArray[np.int64] = np.zeros(rows, np.int64)
        """Nanoseconds since frame 0 of the engine."""


@dataclass(slots=True)
class Fanout:
    """Packets to send, and where each goes: many destinations may share one packet.

    Attributes:
        octets: uint8[packets, stride].
        length: int32[packets], octets to send of each.
        packet: int32[destinations], which packet goes there.
        address: uint8[destinations, SOCKADDR].
        local: int32[destinations], the local port to send from (see `Batch.local`).
    """

    octets: NDArray[np.uint8]
    length: NDArray[np.int32]
    packet: NDArray[np.int32]
    address: NDArray[np.uint8]
    local: NDArray[np.int32]
