"""What arrives: from a batch of datagrams to packets that are decrypted.

    classify    RTP, RTCP, or something else on the port (RFC 7983)
    route       (address, SSRC) to a leg; the slow path admits newcomers
    pass over   who goes on saying that it is silent (`hush`)
    decrypt     in place, each by its leg's session
    place       to the playout buffers, or the waiting room (`placing`)

Every datagram gets exactly one fate. Nothing that a peer sends raises; nothing unauthenticated changes
a leg: addresses and SSRCs are learned only from packets that a key has vouched for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from mixer import placing, wire
from mixer.admission import Admission
from mixer.batch import Batch
from mixer.drops import Drop
from mixer.grace import Grace
from mixer.keypads import Keypads
from mixer.pointers import Pointers
from mixer.state import State

Rows = NDArray[np.int64]
Fates = NDArray[np.uint8]

BURST: Final = 32
"""Packets of one leg in one batch at most: six times what 10 ms packets and a stalled network explain."""


class Uplink:
    """Receives for all legs."""

    def __init__(self, state: State, admission: Admission, grace: Grace, keypads: Keypads) -> None:
        self._state, self._admission, self._grace = state, admission, grace
        self._placing = placing.Placing(state, admission, keypads)
        self._legs, self._sessions = state.legs, state.sessions
        self._pointers: WeakKeyDictionary[Batch, Pointers] = WeakKeyDictionary()

    def receive(self, batch: Batch, lap: Callable[[str], None]) -> tuple[Fates, NDArray[np.bool_], NDArray[np.uint64]]:
        """Take one batch.

        Returns:
            The fate of each datagram so far; bool[n], which are RTCP and still to be read; and the
            address hashes.
        """
        n = batch.count
        octets, length, local = batch.octets[:n], batch.length[:n], batch.local[:n]
        fate, rtcp = wire.classify(octets, length, (local & 1).astype(bool))
        header, bad = wire.header_lengths(octets, length)
        alive = fate == 0
        fate = np.where(alive & ~rtcp, bad, fate)
        lap("parse")
        ssrc = wire.header_view(octets)["ssrc"].astype(np.int64)
        fate[(fate == 0) & ~rtcp & (ssrc == 0)] = Drop.BAD_SSRC
        address = self._state.routes.hash_addresses(batch.source[:n], local)
        leg = self._state.routes.find(address, ssrc)
        media = (fate == 0) & ~rtcp
        opened = np.zeros(n, bool)
        strangers = np.flatnonzero(media & (leg < 0))
        if len(strangers):
            self._admission.admit(batch, strangers, address, ssrc, leg, fate, opened)
        claim = self._state.hush.claims(octets, header, leg)
        known = np.flatnonzero(media & (fate == 0) & ~opened)
        fate[self._state.hush.pass_over(batch, known, leg, claim, self._state.frame)] = Drop.PASSED
        rows = np.flatnonzero(media & (fate == 0))
        self._wake(rows, leg, claim)
        lap("route")
        rows = self._decrypt(batch, rows, leg, fate, opened)
        lap("decrypt")
        if len(rows):
            self._placing.place(batch, rows, leg, header, claim, fate)
        lap("place")
        return fate, rtcp & alive, address

    def _wake(self, rows: Rows, leg: Rows, claim: NDArray[np.int16]) -> None:
        """Open what was passed over of legs that begin to speak."""
        found = self._state.hush.wake(rows, leg, claim)
        if found is None:
            return
        batch, owner = found
        header, fate = wire.header_lengths(batch.octets[: batch.count], batch.length[: batch.count])
        opened = self._decrypt(batch, np.flatnonzero(fate == 0), owner, fate, np.zeros(batch.count, bool))
        self._placing.remember(batch, opened, owner, header)

    # -- decrypt ------------------------------------------------------------------------------

    def _decrypt(self, batch: Batch, rows: Rows, leg: Rows, fate: Fates, opened: NDArray[np.bool_]) -> Rows:
        """Authenticate and decrypt; returns the rows that are still alive, those of one leg side by side."""
        rows = rows[np.argsort(leg[rows].astype(np.uint16), kind="stable")]
        rows = rows[self._sessions.in_memory_order(self._legs.rx_session[leg[rows]])]
        pointers = self._pointers.get(batch)
        if pointers is None:
            pointers = self._pointers[batch] = Pointers(batch.octets, batch.length)
        who = leg[rows]
        fate[rows[~self._legs.speaks[who]]] = Drop.NOT_SENDING
        rows = rows[fate[rows] == 0]
        session = self._legs.rx_session[leg[rows]]
        locked = (session >= 0) & ~opened[rows]
        changing = np.flatnonzero(self._legs.changing_key[leg[rows[locked]]])
        # What fails is destroyed: of legs that are changing keys a copy is kept.
        saved = [batch.octets[row, : batch.length[row]].tobytes() for row in rows[locked][changing].tolist()]
        verdict = self._sessions.unprotect(pointers, rows[locked], session[locked])
        if saved:
            self._grace.heard(leg[rows[locked][changing[verdict[changing] == 0]]])
        if verdict.any():
            if saved:
                again, some = verdict[changing], rows[locked][changing]
                self._grace.retry(batch, some, leg[some], session[locked][changing], saved, again)
                verdict[changing] = again
            fate[rows[locked]] = verdict
            failed = rows[locked][verdict == Drop.AUTH_FAILED]
            np.add.at(self._legs.auth_failures, leg[failed], 1)
        alive: Rows = rows[fate[rows] == 0]
        ranks = placing.rank(leg[alive])
        if ranks is None:
            return alive
        # After authentication: a stranger who imitates a leg can't fill its measure.
        fate[alive[ranks >= BURST]] = Drop.FLOOD
        return alive[ranks < BURST]
