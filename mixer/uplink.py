"""What arrives: from a batch of datagrams to samples in the playout buffers.

    classify    RTP, RTCP, or something else on the port (RFC 7983)
    route       (address, SSRC) to a leg; the slow path admits newcomers
    decrypt     in place, each by its leg's session
    place       decode and write to the playout ring

Every datagram gets exactly one fate. Nothing that a peer sends raises; nothing unauthenticated changes
a leg: addresses and SSRCs are learned only from packets that a key has vouched for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from mixer import wire
from mixer.admission import Admission
from mixer.batch import STRIDE, Batch
from mixer.codecs import CODECS
from mixer.drops import Drop
from mixer.grace import Grace
from mixer.srtp import Pointers
from mixer.state import State

Rows = NDArray[np.int64]
Fates = NDArray[np.uint8]

BURST: Final = 32
"""Packets of one leg in one batch at most: six times what 10 ms packets and a stalled network explain."""
LONGEST_MS: Final = 120
"""Longest packet that is played."""


class Uplink:
    """Receives for all legs."""

    def __init__(self, state: State, admission: Admission, grace: Grace) -> None:
        self._state, self._admission, self._grace = state, admission, grace
        self._legs, self._sessions, self._reception = state.legs, state.sessions, state.reception
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
        lap("route")
        rows = self._decrypt(batch, np.flatnonzero(media & (fate == 0)), leg, fate, opened)
        lap("decrypt")
        if len(rows):
            self._place(batch, rows, leg, header, fate)
        lap("place")
        return fate, rtcp & alive, address

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
        rank = self._rank(leg[alive])
        if rank is None:
            return alive
        # After authentication: a stranger who imitates a leg can't fill its measure.
        fate[alive[rank >= BURST]] = Drop.FLOOD
        return alive[rank < BURST]

    @staticmethod
    def _rank(who: Rows) -> Rows | None:
        """For each packet of legs in order, how many of the same leg stand before it; None if no leg has two."""
        first = np.ones(len(who), bool)
        first[1:] = who[1:] != who[:-1]
        if first.all():
            return None
        position = np.arange(len(who))
        return position - np.maximum.accumulate(np.where(first, position, 0))

    def _rounds(self, who: Rows) -> Iterator[Rows | slice]:
        """Positions of packets, in rounds in which each leg has one at most, in order of arrival."""
        rank = self._rank(who)
        if rank is None:
            yield slice(None)
            return
        for n in range(int(rank.max()) + 1):
            yield np.flatnonzero(rank == n)

    # -- place --------------------------------------------------------------------------------

    def _place(self, batch: Batch, rows: Rows, leg: Rows, header: NDArray[np.int64], fate: Fates) -> None:
        legs = self._legs
        octets = batch.octets[: batch.count]
        end, bad = wire.payload_ends(octets, np.minimum(batch.length[: batch.count], STRIDE), header)
        fate[rows] = bad[rows]
        rows = rows[fate[rows] == 0]
        who = leg[rows]
        fields = wire.header_view(octets)[rows]
        seq, timestamp = fields["seq"].astype(np.int64), fields["timestamp"].astype(np.int64)
        wanted = (fields["marker_pt"] & 0x7F) == legs.payload_type[who]
        self._note(batch, rows, who, seq, timestamp, fate)
        fate[rows[~wanted]] = Drop.UNKNOWN_PAYLOAD_TYPE
        self._note_claims(octets, rows, who, header)
        size = (end - header)[rows]
        usable = wanted & (fate[rows] == 0)
        kind = np.where(usable, (legs.codec[who] << 48) | (legs.clock[who] << 16) | size, -1)
        for k in np.unique(kind).tolist():
            if k < 0:
                continue
            some = np.flatnonzero(kind == k)
            start = rows[some] * STRIDE + header[rows[some]]
            fate[rows[some]] = self._write(
                batch, who[some], start, timestamp[some], k >> 48, k >> 16 & 0xFFFF_FFFF, k & 0xFFFF
            )

    def _note(self, batch: Batch, rows: Rows, who: Rows, seq: Rows, timestamp: Rows, fate: Fates) -> None:
        """Account what is authentic: reception statistics, and that the legs are alive."""
        legs = self._legs
        legs.heard[who] = self._state.frame
        for newcomer in set(who[~legs.latched[who]].tolist()):
            self._admission.latch(newcomer)
        arrival, clock = batch.arrival[rows], legs.clock[who]
        clear = legs.rx_session[who] < 0
        for some in self._rounds(who):
            new = self._reception.note(who[some], seq[some], timestamp[some], arrival[some], clock[some])
            # SRTP has a replay window of its own; this is the one of clear RTP.
            fate[rows[some][clear[some] & ~new]] = Drop.DUPLICATE

    def _note_claims(self, octets: NDArray[np.uint8], rows: Rows, who: Rows, header: NDArray[np.int64]) -> None:
        """RFC 6464: who claims to be silent is believed; a claim to be loud is not even read."""
        wanted = self._legs.level_in[who]
        if wanted.any():
            level = np.full(len(octets), 0, np.uint8)
            level[rows] = wanted
            claim = wire.claimed_levels(octets, header, level)[rows]
            self._legs.claimed_silent[who] = claim == 127

    def _write(
        self, batch: Batch, who: Rows, start: Rows, timestamp: Rows, codec: int, clock: int, size: int
    ) -> Fates | Drop:
        """Decode packets of equal codec and size and put them into the playout buffers; their fates."""
        form = CODECS[codec]
        if size == 0 or size % form.width or size // form.width * 1000 > LONGEST_MS * clock:
            return Drop.BAD_PAYLOAD
        payload = wire.windows(batch.octets, size)[start]
        pcm = form.decode(payload)
        fates = np.zeros(len(who), np.uint8)
        for some in self._rounds(who):
            heard = self._state.playouts[clock].place(who[some], pcm[some], timestamp[some])
            if not heard.all():
                late = np.zeros(len(heard), np.uint8)
                late[~heard] = Drop.LATE
                fates[some] = late
        return fates
