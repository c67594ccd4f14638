"""What leaves: from a mix to encrypted packets and the addresses they go to.

    cast      who hears the common mix, who its own minus mix
    encode    once for each distinct (mix, format)
    write     headers: CSRC list (RFC 3550 section 7.1), levels (RFC 6465)
    encrypt   once for each distinct (packet, key)

"Group or unique" is not two paths: a packet has one receiver or many. Under a group key the common
stream's packet goes to all its listeners; under keys of their own each gets a copy of the same payload.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer.batch import SOCKADDR, STRIDE, Fanout
from mixer.codecs import CODECS
from mixer.legs import Mode
from mixer.mixing import Mix
from mixer.port import KeySwitched, StreamPosition
from mixer.resample import next_past, resample, taps
from mixer.srtp import Pointers, SrtpError
from mixer.state import State
from mixer.streams import PAST, SEQUENCE_SPAN, first_index
from mixer.suites import SUITES
from mixer.wire import HEADER, ONE_BYTE_PROFILE, header_view

Rows = NDArray[np.int64]
MAX_CSRC: Final = 15


@dataclass(slots=True)
class Plan:
    """The legs that are served together: one rate of mix, one ptime. Kept until membership changes.

    Attributes:
        rate: Hz of the mix.
        leg, stream: int64[n], who listens, and to which common stream.
        group: bool[n], hears the common stream under the group key.
        mki: bool[n], its minus mix continues the common stream.
        streams: int64[s], the distinct streams.
        resampled: one of them has another clock than the mix.
        address: uint8[n, SOCKADDR]; local: int32[n].
    """

    rate: int
    ptime: int
    leg: Rows
    stream: Rows
    group: NDArray[np.bool_]
    mki: NDArray[np.bool_]
    streams: Rows
    resampled: bool
    address: NDArray[np.uint8]
    local: NDArray[np.int32]


@dataclass(slots=True)
class Cast:
    """Who hears what in one packet time.

    Attributes:
        minus: bool[n], the leg hears its own minus mix.
        stream: int64[q], the stream whose format each prototype has: commons first.
        audio: int16[q, samples], what each prototype says, at the rate of the mix.
        commons: how many of the prototypes are common.
        of: int64[n], the prototype of each leg.
        first, count: int64[q], where its conference's talkers begin in the mix, and how many.
        itself: int64[q], position of the talker left out, or -1.
        heard: bool[q], somebody hears it; a common mix that nobody does is only resampled.
    """

    minus: NDArray[np.bool_]
    stream: Rows
    audio: NDArray[np.int16]
    commons: int
    of: Rows
    first: Rows
    count: Rows
    itself: Rows
    heard: NDArray[np.bool_]


@dataclass(slots=True)
class Written:
    """Packets with headers, not yet encrypted: those of common streams under a group key, then one a leg.

    Attributes:
        begin: row of the first in the packet matrix.
        group: int64[g], the streams of the shared packets.
        leg: int64[l], whose the others are; mki: bool[l], sent on the common stream's SSRC.
        session, index: int64[g + l], session -1 for clear RTP.
    """

    fanout: Fanout
    begin: int
    group: Rows
    leg: Rows
    mki: NDArray[np.bool_]
    session: Rows
    index: Rows


@dataclass(slots=True)
class Counters:
    """What was done, cumulative."""

    encodes: int = 0
    encrypts: int = 0
    common_encodes: int = 0
    """Encodes done once for all listeners of a stream."""
    common_encrypts: int = 0
    """Encrypts done once for all listeners of a stream."""
    packets_sent: int = 0


class Downlink:
    """Builds and encrypts everything that legs hear."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._legs, self._streams, self._sessions = state.legs, state.streams, state.sessions
        self.counters = Counters()
        legs = state.legs.rows
        self._past = np.zeros((legs, PAST), np.float32)
        self._position = np.full(legs, -1, np.int64)
        self._slot = np.full(len(state.conferences.rate), -1, np.int64)
        rows = 4 * legs
        self._octets = np.empty((rows, STRIDE), np.uint8)
        self._length = np.zeros(rows, np.int32)
        self._pointers = Pointers(self._octets, self._length)
        self._header = header_view(self._octets)
        self._prototype = np.empty((2 * legs, STRIDE), np.uint8)
        self._filled = self._reserved = 0

    def begin(self) -> None:
        """A new tick: packets of the last one have been sent."""
        self._filled = 0

    def reserve(self, legs: int) -> None:
        """Have room for the packets of so many legs, so that the first tick after a burst of joins need not make it:
        a page of fresh memory costs more than the packet that is written to it."""
        self._pointers.reserve(legs)
        self._octets[self._reserved : legs, 0] = 0
        self._reserved = max(self._reserved, legs)

    def plans(self) -> list[Plan]:
        """Group all legs that are to be sent to by rate of mix and ptime."""
        legs = self._legs
        top = legs.top
        ready = np.flatnonzero(legs.used[:top] & legs.listens[:top] & legs.located[:top])
        rate = self._state.conferences.rate[legs.conference[ready]]
        kind = rate * 1000 + self._streams.ptime[legs.stream[ready]]
        return [self._plan(ready[kind == k], int(k) // 1000, int(k) % 1000) for k in np.unique(kind)]

    def _plan(self, leg: Rows, rate: int, ptime: int) -> Plan:
        mode, stream = self._legs.mode[leg], self._legs.stream[leg]
        return Plan(
            rate=rate,
            ptime=ptime,
            leg=leg,
            stream=stream,
            group=mode >= Mode.GROUP_SSRC,
            mki=mode == Mode.GROUP_MKI,
            streams=np.unique(stream),
            resampled=bool((self._streams.clock[stream] != rate).any()),
            address=self._legs.address[leg],
            local=self._legs.local[leg],
        )

    def emit(self, plan: Plan, mix: Mix, elapsed_ms: int, lap: Callable[[str], None]) -> Fanout:
        """The packets of one packet time.

        Args:
            elapsed_ms: time of the packets' first sample on the engine's clock.
        """
        cast = self._cast(plan, mix)
        octets, length = self._prototypes(plan, mix, cast)
        lap("encode")
        written = self._packets(plan, cast, octets, length, elapsed_ms)
        lap("write")
        self._encrypt(plan, written)
        self._renew(plan)
        lap("encrypt")
        return written.fanout

    # -- cast ---------------------------------------------------------------------------------

    def _cast(self, plan: Plan, mix: Mix) -> Cast:
        self._position[mix.talker] = np.arange(len(mix.talker))
        at = self._position[plan.leg]
        self._position[mix.talker] = -1
        minus = at >= 0
        # A resampler must hear every tick, even one in which all its listeners talk.
        needed = plan.streams if plan.resampled else np.unique(plan.stream[~minus])
        conference = self._streams.conference[needed]
        self._slot[mix.conference] = np.arange(len(mix.conference))
        slot = np.concatenate([self._slot[conference], self._slot[self._legs.conference[plan.leg[minus]]]])
        self._slot[mix.conference] = -1
        common = np.concatenate([mix.common, np.zeros((1, mix.common.shape[1]), np.int16)])
        # Slot -1, a conference in which nobody talks, is the row of silence at the end.
        audio = np.concatenate([common[slot[: len(needed)]], mix.minus[at[minus]]])
        bounds = np.concatenate([mix.start, [len(mix.talker)]])
        first = np.where(slot >= 0, bounds[slot], 0)
        count = np.where(slot >= 0, bounds[slot + 1] - first, 0)
        return Cast(
            minus=minus,
            stream=np.concatenate([needed, plan.stream[minus]]),
            audio=audio,
            commons=len(needed),
            of=np.where(minus, len(needed) + np.cumsum(minus) - 1, np.searchsorted(needed, plan.stream)),
            first=first,
            count=count,
            itself=np.concatenate([np.full(len(needed), -1), at[minus]]),
            heard=np.concatenate([np.isin(needed, plan.stream[~minus]), np.ones(np.count_nonzero(minus), bool)]),
        )

    # -- encode and write ---------------------------------------------------------------------

    def _prototypes(self, plan: Plan, mix: Mix, cast: Cast) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """One packet for each distinct (mix, format), its SSRC, sequence number and time still open."""
        streams = self._streams
        octets = self._prototype[: len(cast.stream)]
        length = np.zeros(len(cast.stream), np.int32)
        header = self._write_sources(octets, mix, cast)
        form = streams.codec[cast.stream] * 100_000 + streams.clock[cast.stream]
        for kind in np.unique(form):
            some = np.flatnonzero(form == kind)
            audio = self._at_clock(plan, cast, some, int(kind) % 100_000)
            if not cast.heard[some].all():
                audio, some = audio[cast.heard[some]], some[cast.heard[some]]
            payload = CODECS[int(kind) // 100_000].encode(audio)
            width = payload.shape[1]
            length[some] = header[some] + width
            for size in np.unique(header[some]):
                alike = np.flatnonzero(header[some] == size)
                octets[some[alike], size : size + width] = payload if len(alike) == len(some) else payload[alike]
        self.counters.encodes += int(np.count_nonzero(cast.heard))
        self.counters.common_encodes += int(np.count_nonzero(cast.heard[: cast.commons]))
        return octets, length

    def _at_clock(self, plan: Plan, cast: Cast, some: Rows, clock: int) -> NDArray[np.int16]:
        """The audio of some prototypes at the clock rate of their format: int16[len(some), samples]."""
        audio = cast.audio[some]
        if clock == plan.rate:
            return audio
        depth = taps(plan.rate, clock)
        voice = audio.astype(np.float32)
        common = some < cast.commons
        stream = cast.stream[some]
        leg = plan.leg[cast.minus][some[~common] - cast.commons]
        # A leg that just began to talk has heard, until now, the common mix.
        hopped = self._legs.hopped[leg]
        mine = np.where(hopped[:, None], self._past[leg, :depth], self._streams.past[stream[~common], :depth])
        past = np.concatenate([self._streams.past[stream[common], :depth], mine])
        result = resample(past, voice, plan.rate, clock)
        after = next_past(past, voice)
        self._streams.past[stream[common], :depth] = after[: len(after) - len(leg)]
        self._past[leg, :depth] = after[len(after) - len(leg) :]
        return np.clip(np.rint(result), -32767, 32767).astype(np.int16)

    def _write_sources(self, octets: NDArray[np.uint8], mix: Mix, cast: Cast) -> Rows:
        """Write fixed header, CSRC list and levels; return the header lengths, int64[q]."""
        count = np.minimum(cast.count - (cast.itself >= 0), MAX_CSRC)
        position = cast.first[:, None] + np.arange(MAX_CSRC)
        position += (position >= cast.itself[:, None]) & (cast.itself[:, None] >= 0)
        size = HEADER + 4 * count
        view = header_view(octets)
        view["flags"] = 0x80 | count
        view["marker_pt"] = self._streams.payload_type[cast.stream]
        if not len(mix.talker):
            return size
        position = np.minimum(position, len(mix.talker) - 1)
        csrc = self._legs.ssrc[mix.talker][position].astype(">u4")
        octets[:, HEADER : HEADER + 4 * MAX_CSRC] = csrc.view(np.uint8)
        extension = self._streams.level_out[cast.stream]
        extended = np.flatnonzero((extension > 0) & (count > 0))
        for n in np.unique(count[extended]):
            some = extended[count[extended] == n]
            size[some] += _write_levels(octets, some, int(n), extension[some], mix.level[position[some, :n]])
        view["flags"][extended] |= 0x10
        return size

    def _packets(
        self, plan: Plan, cast: Cast, prototype: NDArray[np.uint8], length: NDArray[np.int32], elapsed_ms: int
    ) -> Written:
        """Copy prototypes to the packets that leave; group packets first, then one for each other leg."""
        legs, streams = self._legs, self._streams
        shared = plan.group & ~cast.minus
        group = np.unique(plan.stream[shared])
        own = np.flatnonzero(~shared)
        leg, stream = plan.leg[own], plan.stream[own]
        joined = plan.mki[own]  # on the common stream's SSRC and sequence
        under_group = (plan.group & ~plan.mki)[own]
        for late in leg[under_group & (legs.minus_session[leg] < 0)].tolist():
            self._open_minus(late)
        begin, total = self._filled, len(group) + len(own)
        self._filled = end = begin + total
        source = np.concatenate([np.searchsorted(cast.stream[: cast.commons], group), cast.of[own]])
        width = int(length.max(initial=HEADER))
        self._octets[begin:end, :width] = prototype[source, :width]
        self._length[begin:end] = length[source]
        header = self._header[begin:end]
        index = np.concatenate([streams.index[group], np.where(joined, streams.index[stream], legs.out_index[leg])])
        header["seq"] = index & 0xFFFF
        header["ssrc"] = np.concatenate(
            [streams.ssrc[group], np.where(joined, streams.ssrc[stream], legs.out_ssrc[leg])]
        )
        clock = np.concatenate([group, stream])
        header["timestamp"] = (streams.timestamp[clock] + elapsed_ms * streams.clock[clock] // 1000) & 0xFFFF_FFFF
        self._mark(plan, cast, own, header[len(group) :])
        packet = np.empty(len(plan.leg), np.int32)
        packet[shared] = np.searchsorted(group, plan.stream[shared])
        packet[own] = len(group) + np.arange(len(own))
        tx = np.where(under_group, legs.minus_session[leg], legs.tx_session[leg])
        return Written(
            fanout=Fanout(self._octets[begin:end], self._length[begin:end], packet, plan.address, plan.local),
            begin=begin,
            group=group,
            leg=leg,
            mki=joined,
            session=np.concatenate([streams.session[group], tx]),
            index=index,
        )

    def _mark(self, plan: Plan, cast: Cast, own: Rows, header: NDArray[np.void]) -> None:
        """Set the marker bit where a receiver meets a new SSRC (RFC 3551 section 4.1), and note who hopped."""
        leg = plan.leg[own]
        hop = (plan.group & ~plan.mki)[own] & ~self._legs.hopped[leg]
        first = self._legs.own_sent[leg] == 0
        header["marker_pt"][hop | (first & ~plan.mki[own])] |= 0x80
        self._legs.hopped[plan.leg] = cast.minus

    # -- encrypt ------------------------------------------------------------------------------

    def _encrypt(self, plan: Plan, written: Written) -> None:
        legs, streams = self._legs, self._streams
        rows = np.flatnonzero(written.session >= 0)
        if len(rows) < len(written.group) + np.count_nonzero(legs.mode[written.leg] != Mode.CLEAR):
            raise SrtpError("a packet of an encrypted leg had no session; nothing of this tick leaves in clear")
        self._sessions.protect(self._pointers, written.begin + rows, written.session[rows], written.index[rows])
        streams.index[plan.streams] += 1
        streams.sent[written.group] += 1
        streams.under_key[written.group] += 1
        mine = written.leg[~written.mki]
        legs.out_index[mine] += 1
        legs.own_sent[mine] += 1
        legs.sent[plan.leg] += 1
        self.counters.encrypts += len(rows)
        self.counters.common_encrypts += len(written.group)
        self.counters.packets_sent += len(plan.leg)

    def _open_minus(self, leg: int) -> None:
        """A leg talks for the first time in this epoch: its minus stream gets a session of its own."""
        key = self._state.conferences.at(int(self._legs.conference[leg])).keys.active
        assert key is not None, "a leg is in a group mode only while its conference has a key"
        ssrc = self._state.registry.allocate(int(self._legs.conference[leg]))
        self._legs.out_ssrc[leg], self._legs.out_index[leg], self._legs.own_sent[leg] = ssrc, first_index(), 0
        self._legs.minus_session[leg] = self._sessions.open(
            SUITES[key.suite], key.secret, bytes.fromhex(key.mki), ssrc=ssrc
        )

    def _renew(self, plan: Plan) -> None:
        """Style `ssrc`: late joiners start at ROC 0, so a stream that would wrap goes on under a fresh SSRC."""
        streams, legs = self._streams, self._legs
        for row in plan.streams[streams.index[plan.streams] >= SEQUENCE_SPAN]:
            conference = self._state.conferences.at(int(streams.conference[row]))
            if conference.style == "ssrc" and conference.keys.active is not None:
                streams.restart(int(row), self._state.registry.allocate(conference.row))
                self.key_stream(int(row))
                self._state.events.append(
                    KeySwitched(
                        conference=conference.name,
                        epoch=conference.keys.active.epoch,
                        streams=[self.position(int(row))],
                    )
                )
        worn = plan.leg[plan.group & ~plan.mki & (legs.out_index[plan.leg] >= SEQUENCE_SPAN)]
        self.forget_minus(worn)

    # -- keys ---------------------------------------------------------------------------------

    def key_stream(self, row: int) -> None:
        """Put a common stream under its conference's active key, as it stands; without one, under none."""
        former = int(self._streams.session[row])
        same = self._state.conferences.at(int(self._streams.conference[row])).style == "mki"
        reported = self._sessions.rtcp_index(former) if same and former >= 0 else 0
        self._sessions.close(former)
        self._streams.session[row] = -1
        key = self._state.conferences.at(int(self._streams.conference[row])).keys.active
        if key is not None:
            self._streams.session[row] = self._sessions.open(
                SUITES[key.suite], key.secret, bytes.fromhex(key.mki), ssrc=int(self._streams.ssrc[row])
            )
            self._sessions.continue_rtcp(int(self._streams.session[row]), reported)

    def forget_minus(self, legs: Rows) -> None:
        """Close minus streams under a group key; each is opened anew, with a fresh SSRC, when needed."""
        for leg in legs.tolist():
            self._sessions.close(int(self._legs.minus_session[leg]))
            self._legs.minus_session[leg] = -1
            self._legs.hopped[leg] = False

    def position(self, row: int) -> StreamPosition:
        """Where a common stream stands."""
        streams = self._streams
        key = self._state.conferences.at(int(streams.conference[row])).keys.active
        return StreamPosition(
            ssrc=int(streams.ssrc[row]),
            roc=int(streams.index[row]) >> 16,
            seq=int(streams.index[row]) & 0xFFFF,
            payload_type=int(streams.payload_type[row]),
            epoch=key.epoch if key else 0,
        )


def _write_levels(octets: NDArray[np.uint8], rows: Rows, count: int, identifier: Rows, level: Rows) -> int:
    """One RFC 6465 element for `count` CSRCs in a one-byte extension (RFC 8285); its length in octets."""
    at = HEADER + 4 * count
    words = (1 + count + 3) // 4
    octets[rows, at : at + 4 + 4 * words] = 0
    octets[rows, at] = ONE_BYTE_PROFILE >> 8
    octets[rows, at + 1] = ONE_BYTE_PROFILE & 0xFF
    octets[rows, at + 3] = words
    octets[rows, at + 4] = identifier << 4 | (count - 1)
    octets[rows, at + 5 : at + 5 + count] = level
    return 4 + 4 * words


def fanout_of(packets: list[tuple[bytes, NDArray[np.uint8], int]]) -> Fanout:
    """A fanout of single packets: (octets, address, local port) each."""
    octets = np.zeros((len(packets), STRIDE), np.uint8)
    length = np.array([len(packet) for packet, _, _ in packets], np.int32)
    for row, (packet, _, _) in enumerate(packets):
        octets[row, : len(packet)] = np.frombuffer(packet, np.uint8)
    address = np.array([to for _, to, _ in packets], np.uint8).reshape(-1, SOCKADDR)
    local = np.array([port for _, _, port in packets], np.int32)
    return Fanout(octets, length, np.arange(len(packets), dtype=np.int32), address, local)
