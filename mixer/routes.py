"""Routes: from (source address, SSRC, local port) to the leg that the packet belongs to.

A route is entered only after a packet authenticated, so the common case is one binary search over the
batch. The hash is keyed and only a hint: a collision sends a packet to a leg whose key refuses it.
Everything else a datagram may be known by (address alone, SSRC alone) serves the slow path, which
decides what to try.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from typing import Final

import numpy as np
from numpy.typing import NDArray

Hash = NDArray[np.uint64]
Rows = NDArray[np.int64]

FIRST_LEG_PORT: Final = 2
"""Local ports from here on belong to legs, two to a leg (see `Batch.local`)."""


class Routes:
    """Where packets belong."""

    def __init__(self) -> None:
        self._factor = np.array([secrets.randbits(64) | 1 for _ in range(6)], np.uint64)
        self._key: Hash = np.empty(0, np.uint64)
        self._leg: Rows = np.empty(0, np.int64)
        self.by_address: defaultdict[int, set[int]] = defaultdict(set)
        """Address hash to the legs that are, or are said to be, there."""
        self.by_ssrc: defaultdict[int, set[int]] = defaultdict(set)
        """SSRC to the legs, of any conference, that claim it."""
        self._addresses: Hash | None = None
        self._ssrcs: NDArray[np.int64] | None = None

    def hash_addresses(self, source: NDArray[np.uint8], local: NDArray[np.int32]) -> Hash:
        """uint64[n] from uint8[n, 32] sockaddrs and int32[n] local ports."""
        words = source.view(np.uint64)
        mixed: Hash = (words * self._factor[:4]).sum(axis=1, dtype=np.uint64)
        mixed += local.astype(np.uint64) * self._factor[4]
        return mixed

    def find(self, address: Hash, ssrc: NDArray[np.int64]) -> Rows:
        """Legs of packets, -1 where no route is known."""
        if not len(self._key):
            return np.full(len(address), -1, np.int64)
        wanted = self._join(address, ssrc)
        at = np.minimum(np.searchsorted(self._key, wanted), len(self._key) - 1)
        return np.where(self._key[at] == wanted, self._leg[at], -1)

    def add(self, address: int, ssrc: int, leg: int) -> None:
        """Enter a route after an authentic packet."""
        key = self._join(np.array([address], np.uint64), np.array([ssrc]))
        at = int(np.searchsorted(self._key, key[0]))
        if at < len(self._key) and self._key[at] == key[0]:
            self._leg[at] = leg
            return
        self._key = np.insert(self._key, at, key[0])
        self._leg = np.insert(self._leg, at, leg)

    def forget(self, leg: int) -> None:
        """Remove every route to a leg."""
        keep = self._leg != leg
        self._key, self._leg = self._key[keep], self._leg[keep]

    def know_address(self, address: int, leg: int) -> None:
        """Expect a leg at an address."""
        self.by_address[address].add(leg)
        self._addresses = None

    def forget_address(self, address: int, leg: int) -> None:
        self._discard(self.by_address, address, leg)
        self._addresses = None

    def know_ssrc(self, ssrc: int, leg: int) -> None:
        """Expect an SSRC from a leg."""
        self.by_ssrc[ssrc].add(leg)
        self._ssrcs = None

    def forget_ssrc(self, ssrc: int, leg: int) -> None:
        self._discard(self.by_ssrc, ssrc, leg)
        self._ssrcs = None

    def worth_a_look(self, address: Hash, ssrc: NDArray[np.int64], local: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Of packets without a route: True where address, SSRC or port is one that we expect."""
        if self._addresses is None:
            self._addresses = np.array(sorted(self.by_address), np.uint64)
        if self._ssrcs is None:
            self._ssrcs = np.array(sorted(self.by_ssrc), np.int64)
        return np.isin(address, self._addresses) | np.isin(ssrc, self._ssrcs) | (local >= FIRST_LEG_PORT)

    def _join(self, address: Hash, ssrc: NDArray[np.int64]) -> Hash:
        joined: Hash = address + ssrc.astype(np.uint64) * self._factor[5]
        return joined

    @staticmethod
    def _discard(table: defaultdict[int, set[int]], key: int, leg: int) -> None:
        if key in table:
            table[key].discard(leg)
            if not table[key]:
                del table[key]
