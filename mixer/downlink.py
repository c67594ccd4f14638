"""What leaves: from prototypes to encrypted packets and the addresses they go to.

    write     a copy of its prototype for each distinct (packet, key), with SSRC, sequence number and time
    encrypt   each of them once

"Group or unique" is not two paths: a packet has one receiver or many. Under a group key the common
stream's packet goes to all its listeners; under keys of their own each gets a copy of the same payload.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixer.batch import SOCKADDR, STRIDE, Fanout
from mixer.casting import Cast
from mixer.counters import Counters
from mixer.dials import Dials
from mixer.keying import Keying
from mixer.legs import Mode
from mixer.libsrtp import SrtpError
from mixer.mixing import Mix
from mixer.plans import Plan
from mixer.pointers import Pointers
from mixer.prototypes import Prototypes
from mixer.sheet import Sheet
from mixer.spread import Spread
from mixer.state import State
from mixer.wire import HEADER, header_view

Rows = NDArray[np.int64]


@dataclass(slots=True)
class Written:
    """Packets with headers, not yet encrypted: those of common streams under a group key, then one a leg.

    Attributes:
        begin: row of the first in the packet matrix.
        group: int64[g], the streams of the shared packets.
        leg: int64[l], whose the others are.
        joined, minus: bool[l], sent on the common stream's SSRC; sent under the group key on `minus_ssrc`.
        session, index: int64[g + l], session -1 for clear RTP.
    """

    fanout: Fanout
    begin: int
    group: Rows
    leg: Rows
    joined: NDArray[np.bool_]
    minus: NDArray[np.bool_]
    session: Rows
    index: Rows


class Downlink:
    """Builds and encrypts everything that legs hear."""

    def __init__(self, state: State, keying: Keying, spread: Spread, counters: Counters, dials: Dials) -> None:
        self._state, self._keying = state, keying
        self._legs, self._streams, self._sessions = state.legs, state.streams, state.sessions
        self.counters = counters
        self._prototypes = Prototypes(state, spread, dials, counters)
        rows = 4 * state.legs.rows
        self._octets = np.empty((rows, STRIDE), np.uint8)
        self._length = np.zeros(rows, np.int32)
        self._pointers = Pointers(self._octets, self._length)
        self._header = header_view(self._octets)
        self._filled = self._reserved = 0

    def begin(self) -> None:
        """A new tick: packets of the last one have been sent."""
        self._filled = 0
        self._prototypes.begin()

    def reserve(self, legs: int) -> None:
        """Have room for the packets of so many legs, so that the first tick after a burst of joins need not make it:
        a page of fresh memory costs more than the packet that is written to it."""
        self._pointers.reserve(legs)
        self._octets[self._reserved : legs, 0] = 0
        self._reserved = max(self._reserved, legs)

    def emit(self, plan: Plan, mix: Mix, elapsed_ms: int, lap: Callable[[str], None]) -> Fanout:
        """The packets of one packet time.

        Args:
            elapsed_ms: time of the packets' first sample on the engine's clock.
        """
        cast, sheet = self._prototypes.make(plan, mix, elapsed_ms)
        lap("encode")
        written = self._packets(plan, cast, sheet, elapsed_ms)
        lap("write")
        self._encrypt(plan, written)
        self._keying.renew(plan)
        lap("encrypt")
        return written.fanout

    # -- write --------------------------------------------------------------------------------

    def _packets(self, plan: Plan, cast: Cast, sheet: Sheet, elapsed_ms: int) -> Written:
        """Copy prototypes to the packets that leave; group packets first, then one for each other leg."""
        legs, streams = self._legs, self._streams
        shared = plan.group & ~cast.own
        group = np.unique(plan.stream[shared])
        own = np.flatnonzero(~shared)
        leg, stream = plan.leg[own], plan.stream[own]
        joined, minus = plan.joined[own], plan.minus[own]
        for late in leg[minus & (legs.minus_session[leg] < 0)].tolist():
            self._keying.open_minus(late)
        begin, total = self._filled, len(group) + len(own)
        self._filled = end = begin + total
        of_group = np.searchsorted(cast.stream[: cast.commons], streams.lead[group])
        source = np.concatenate([of_group, cast.of[own]])
        width = int(sheet.length.max(initial=HEADER))
        self._octets[begin:end, :width] = sheet.octets[source, :width]
        self._length[begin:end] = sheet.length[source]
        header = self._header[begin:end]
        lone = np.where(minus, legs.minus_index[leg], legs.own_index[leg])
        index = np.concatenate([streams.index[group], np.where(joined, streams.index[stream], lone)])
        header["seq"] = index & 0xFFFF
        lone = np.where(minus, legs.minus_ssrc[leg], legs.own_ssrc[leg])
        header["ssrc"] = np.concatenate([streams.ssrc[group], np.where(joined, streams.ssrc[stream], lone)])
        clock = np.concatenate([group, stream])
        began_ms = elapsed_ms - cast.began_ms[source]
        header["timestamp"] = (streams.timestamp[clock] + began_ms * streams.clock[clock] // 1000) & 0xFFFF_FFFF
        self._mark(plan, cast, own, header[len(group) :])
        packet = np.empty(len(plan.leg), np.int32)
        packet[shared] = np.searchsorted(group, plan.stream[shared])
        packet[own] = len(group) + np.arange(len(own))
        tx = np.where(minus, legs.minus_session[leg], legs.tx_session[leg])
        return Written(
            fanout=Fanout(self._octets[begin:end], self._length[begin:end], packet, plan.address, plan.local),
            begin=begin,
            group=group,
            leg=leg,
            joined=joined,
            minus=minus,
            session=np.concatenate([streams.session[group], tx]),
            index=index,
        )

    def _mark(self, plan: Plan, cast: Cast, own: Rows, header: NDArray[np.void]) -> None:
        """Set the marker bit where a receiver meets a new SSRC (RFC 3551 section 4.1), and note who hopped."""
        leg, minus = plan.leg[own], plan.minus[own]
        lone = ~minus & ~plan.joined[own]
        new = (minus & ~self._legs.hopped[leg]) | (lone & self._legs.fresh[leg]) | cast.marked[cast.of[own]]
        header["marker_pt"][new] |= 0x80
        self._legs.fresh[leg] = False
        self._legs.hopped[plan.leg] = cast.own

    # -- encrypt ------------------------------------------------------------------------------

    def _encrypt(self, plan: Plan, written: Written) -> None:
        legs, streams = self._legs, self._streams
        rows = np.flatnonzero(written.session >= 0)
        if len(rows) < len(written.group) + np.count_nonzero(legs.mode[written.leg] != Mode.CLEAR):
            raise SrtpError("a packet of an encrypted leg had no session; nothing of this tick leaves in clear")
        self._sessions.protect(self._pointers, written.begin + rows, written.session[rows], written.index[rows])
        streams.index[plan.streams] += 1
        streams.sent[written.group] += 1
        mine = written.leg[~written.joined & ~written.minus]
        legs.own_index[mine] += 1
        legs.own_sent[mine] += 1
        minus = written.leg[written.minus]
        # A stream that all its listeners hear without themselves is under the key, too. Indexing adds one to a
        # stream however often it is named.
        streams.under_key[np.concatenate([written.group, legs.stream[minus]])] += 1
        legs.minus_index[minus] += 1
        legs.minus_sent[minus] += 1
        legs.sent[plan.leg] += 1
        self.counters.encrypts += len(rows)
        self.counters.common_encrypts += len(written.group)
        self.counters.packets_sent += len(plan.leg)


def fanout_of(packets: list[tuple[bytes, NDArray[np.uint8], int]]) -> Fanout:
    """A fanout of single packets: (octets, address, local port) each."""
    octets = np.zeros((len(packets), STRIDE), np.uint8)
    length = np.array([len(packet) for packet, _, _ in packets], np.int32)
    for row, (packet, _, _) in enumerate(packets):
        octets[row, : len(packet)] = np.frombuffer(packet, np.uint8)
    address = np.array([to for _, to, _ in packets], np.uint8).reshape(-1, SOCKADDR)
    local = np.array([port for _, _, port in packets], np.int32)
    return Fanout(octets, length, np.arange(len(packets), dtype=np.int32), address, local)
