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
        self._stale = False
        self._routes: dict[int, int] = {}
        self._route_of: dict[int, int] = {}
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
        if self._stale:
            self._sort()
        if not len(self._key):
            return np.full(len(address), -1, np.int64)
        wanted: Hash = address + ssrc.astype(np.uint64) * self._factor[5]
        at = np.minimum(np.searchsorted(self._key, wanted), len(self._key) - 1)
        return np.where(self._key[at] == wanted, self._leg[at], -1)

    def find_one(self, address: int, ssrc: int) -> int:
        """The leg of one packet, -1 if no route is known."""
        return self._routes.get(self._join(address, ssrc), -1)

    def add(self, address: int, ssrc: int, leg: int) -> None:
        """Enter the route to a leg, in place of the one it had."""
        self.forget(leg)
        key = self._join(address, ssrc)
        self._routes[key] = leg
        self._route_of[leg] = key
        self._stale = True

    def forget(self, leg: int) -> None:
        """Remove the route to a leg."""
        key = self._route_of.pop(leg, None)
        if key is not None and self._routes.get(key) == leg:
            del self._routes[key]
            self._stale = True

    def _sort(self) -> None:
        """Lay the routes out for binary search. Done when a batch asks, not at each change: thousands of growing
        arrays would scatter the SRTP sessions that are opened in between all over the heap."""
        key = np.fromiter(self._routes.keys(), np.uint64, len(self._routes))
        order = np.argsort(key)
        self._key = key[order]
        self._leg = np.fromiter(self._routes.values(), np.int64, len(self._routes))[order]
        self._stale = False

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

    def _join(self, address: int, ssrc: int) -> int:
        return (address + ssrc * int(self._factor[5])) & 0xFFFF_FFFF_FFFF_FFFF

    @staticmethod
    def _discard(table: defaultdict[int, set[int]], key: int, leg: int) -> None:
        if key in table:
            table[key].discard(leg)
            if not table[key]:
                del table[key]
