"""Promises: which certificate the other end of each DTLS leg was said to have, and where it may show up.

Signalling names a fingerprint (RFC 8122) and perhaps an address. The address is a hint only: behind a NAT it is
wrong. The certificate decides whose handshake it is; the hint decides between legs of one certificate, and tells
whom a failed handshake was for. Must never know: OpenSSL, keys, datagrams.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from mixer import addresses
from mixer.dtls import Shown
from mixer.legs import Leg
from mixer.port import Fingerprint, LegInsecure
from mixer.state import State

Place: TypeAlias = tuple[bytes, int]
"""Where a handshake is: the peer's sockaddr, and our local port (see `Batch.local`)."""

K = TypeVar("K")


@dataclass(slots=True)
class _Promise:
    leg: Leg
    places: list[Place]
    """Where it was said to be."""
    until: int
    """Frame at which its handshake should have been done."""
    told: bool = False
    """Its controller knows that it has no keys."""


class Promises:
    """What is known of DTLS legs before their handshake, and for every later one."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._of: dict[int, _Promise] = {}
        self._at: defaultdict[Place, set[int]] = defaultdict(set)
        self._by: defaultdict[Fingerprint, set[int]] = defaultdict(set)

    def __len__(self) -> int:
        return len(self._of)

    def expect(self, leg: Leg, remote: NDArray[np.uint8] | None) -> None:
        """A leg has come, or was said to be elsewhere."""
        self.forget(leg)
        until = self._state.frame + self._state.ticks(int(self._state.config.dtls_timeout_s * 1000))
        places = [] if remote is None else self._places(leg, remote)
        self._of[leg.row] = _Promise(leg, places, until)
        for place in places:
            self._at[place].add(leg.row)
        for one in _promised(leg):
            self._by[one].add(leg.row)

    def forget(self, leg: Leg) -> None:
        """A leg is gone."""
        promise = self._of.pop(leg.row, None)
        for place in promise.places if promise else ():
            _discard(self._at, place, leg.row)
        for one in _promised(leg):
            _discard(self._by, one, leg.row)

    def places(self, leg: Leg) -> list[Place]:
        """Where it was said to be: for RTP, and without rtcp-mux for RTCP (RFC 5764 section 4.1)."""
        return self._of[leg.row].places

    def is_hinted(self, place: Place) -> bool:
        """Whether a leg that waits to be called was said to be there."""
        return bool(self._hinted(place))

    def keeper(self, place: Place, shown: Shown) -> tuple[Leg, str] | None:
        """The leg that a certificate at a place belongs to, and the hash that says so: who is there or was said to
        be before others, who waits before who is secured."""
        here = self._hinted(place)
        fitting = [
            (not (row in here or self._is_at(row, place)), self._of[row].leg.secured, row, one.hash)
            for one in shown
            for row in self._by.get(one, ())
            if self._is_reachable(row, place[1])
        ]
        if not fitting:
            return None
        _, _, row, name = min(fitting, key=lambda one: one[:3])
        return self._of[row].leg, name

    def complain(self, place: Place, leg: Leg | None, reason: str) -> None:
        """A handshake at a place failed: tell of the leg that we called, or of those that it may have been for. Of
        legs that have keys it says nothing."""
        for row in [leg.row] if leg else sorted(self._hinted(place)):
            if not self._of[row].leg.secured:
                self._tell(self._of[row], reason)

    def look(self) -> None:
        """Tell of legs whose handshake did not come in time, once each, and not if one failed before."""
        for promise in self._of.values():
            if promise.until <= self._state.frame and not (promise.leg.secured or promise.told):
                seconds = self._state.config.dtls_timeout_s
                self._tell(promise, f"no DTLS handshake within {seconds:g} s")

    def _tell(self, promise: _Promise, reason: str) -> None:
        promise.told = True
        name = self._state.conference_of(promise.leg.row).name
        self._state.events.append(LegInsecure(conference=name, leg=promise.leg.name, reason=reason))

    def _places(self, leg: Leg, remote: NDArray[np.uint8]) -> list[Place]:
        local = int(self._state.legs.local[leg.row])
        if leg.wish.rtcp_mux:
            return [(remote.tobytes(), local)]
        return [(remote.tobytes(), local), (addresses.next_port(remote).tobytes(), local | 1)]

    def _hinted(self, place: Place) -> set[int]:
        """Rows of the legs that wait to be called, and were said to be there. A port of its own says nothing: anybody
        can send to it."""
        return {row for row in self._at.get(place, ()) if self._is_reachable(row, place[1])}

    def _is_at(self, row: int, place: Place) -> bool:
        """Whether a leg has shown itself there."""
        legs = self._state.legs
        address = (legs.rtcp_address if place[1] & 1 else legs.address)[row]
        return bool(legs.located[row]) and address.tobytes() == place[0]

    def _is_reachable(self, row: int, local: int) -> bool:
        """Whether a leg waits to be called at this local port."""
        promise = self._of.get(row)
        if promise is None or is_active(promise.leg) or (local & 1 and promise.leg.wish.rtcp_mux):
            return False
        return bool(self._state.legs.local[row] == local & ~1)


def is_active(leg: Leg) -> bool:
    """Whether the mixer begins the handshake of a DTLS leg."""
    return leg.wish.dtls is not None and leg.wish.dtls.role == "active"


def matches(leg: Leg, shown: Shown) -> str:
    """Name of the hash function by which a certificate is the one that was promised; empty if it is not."""
    promised = _promised(leg)
    return next((one.hash for one in shown if one in promised), "")


def _promised(leg: Leg) -> Shown:
    promised = leg.wish.dtls.fingerprints if leg.wish.dtls else ()
    return [Fingerprint(hash=one.hash, value=one.value.upper()) for one in promised]


def _discard(table: defaultdict[K, set[int]], key: K, row: int) -> None:
    table[key].discard(row)
    if not table[key]:
        del table[key]
