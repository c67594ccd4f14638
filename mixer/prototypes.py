"""Prototypes: each thing that somebody hears, encoded once.

    cast      who hears the common mix, who its own minus mix
    encode    once for each distinct (mix, format)
    write     CSRC list (RFC 3550 section 7.1) and levels (RFC 6465)

A prototype is a packet without SSRC, sequence number and time; those depend on the stream that it leaves in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer.batch import STRIDE
from mixer.codecs import CODECS, Table
from mixer.encoding import Encoding
from mixer.mixing import Mix
from mixer.plans import Plan
from mixer.resample import next_past, resample, taps
from mixer.spread import Spread
from mixer.state import State
from mixer.streams import PAST
from mixer.wire import HEADER, ONE_BYTE_PROFILE, header_view

Rows = NDArray[np.int64]
MAX_CSRC: Final = 15


@dataclass(slots=True)
class Cast:
    """Who hears what in one packet time.

    Attributes:
        minus: bool[n], the leg hears its own minus mix.
        stream: int64[q], the leading stream of each prototype's format: commons first.
        audio: int16[q, samples], what each prototype says, at the rate of the mix.
        commons: how many of the prototypes are common.
        of: int64[n], the prototype of each leg.
        first, count: int64[q], where its conference's talkers begin in the mix, and how many.
        itself: int64[q], position of the talker left out, or -1: nobody is, as for a leg that only has a prompt.
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


class Prototypes:
    """Casts and encodes."""

    def __init__(self, state: State, spread: Spread) -> None:
        self._state = state
        self._encoding = Encoding(state, spread)
        self._legs, self._streams = state.legs, state.streams
        legs = state.legs.rows
        self._past = np.zeros((legs, PAST), np.float32)
        """What each leg heard of its minus mix before this tick, for resampling."""
        self._position = np.full(legs, -1, np.int64)
        self._slot = np.full(len(state.conferences.rate), -1, np.int64)
        self._octets = np.empty((2 * legs, STRIDE), np.uint8)

    def cast(self, plan: Plan, mix: Mix) -> Cast:
        """Decide who hears what."""
        self._position[mix.talker] = np.arange(len(mix.talker))
        at = self._position[plan.leg]
        self._position[mix.talker] = -1
        minus = at >= 0
        # A resampler must hear every tick, even one in which all its listeners talk.
        needed = plan.sounds if plan.resampled else np.unique(plan.sound[~minus])
        conference = self._streams.conference[needed]
        self._slot[mix.conference] = np.arange(len(mix.conference))
        slot = np.concatenate([self._slot[conference], self._slot[self._legs.conference[plan.leg[minus]]]])
        self._slot[mix.conference] = -1
        common = np.concatenate([mix.common, np.zeros((1, mix.common.shape[1]), np.int16)])
        # Slot -1, a conference in which nobody talks, is the row of silence at the end.
        audio = np.concatenate([common[slot[: len(needed)]], mix.minus[at[minus]]])
        bounds = np.concatenate([mix.start, [len(mix.talker)]])
        first = np.where(slot >= 0, bounds[slot], 0)
        count = np.append(mix.count, 0)[slot]
        itself = np.concatenate([np.full(len(needed), -1), at[minus]])
        return Cast(
            minus=minus,
            stream=np.concatenate([needed, plan.sound[minus]]),
            audio=audio,
            commons=len(needed),
            of=np.where(minus, len(needed) + np.cumsum(minus) - 1, np.searchsorted(needed, plan.sound)),
            first=first,
            count=count,
            itself=np.where(itself < first + count, itself, -1),
            heard=np.concatenate([np.isin(needed, plan.sound[~minus]), np.ones(np.count_nonzero(minus), bool)]),
        )

    def write(self, plan: Plan, mix: Mix, cast: Cast, begin: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Encode what is heard, and write all of a packet but its SSRC, sequence number and time.

        Args:
            begin: time of the first sample, ms on the engine's clock.

        Returns:
            uint8[q, STRIDE] and int32[q]; valid until the next call.
        """
        streams = self._streams
        octets = self._octets[: len(cast.stream)]
        length = np.zeros(len(cast.stream), np.int32)
        header = self._write_sources(octets, mix, cast)
        form = streams.codec[cast.stream] * 100_000 + streams.rate[cast.stream]
        for kind in np.unique(form):
            some = np.flatnonzero(form == kind)
            audio = self._at_rate(plan, cast, some, int(kind) % 100_000)
            if not cast.heard[some].all():
                audio, some = audio[cast.heard[some]], some[cast.heard[some]]
            if not len(some):
                continue
            codec = CODECS[int(kind) // 100_000]
            if isinstance(codec, Table):
                length[some] = header[some] + _write_table(octets, header[some], some, codec.encode(audio))
            else:
                length[some] = header[some] + self._write_coded(plan, cast, some, audio, begin, octets, header)
        heard = np.flatnonzero(length)
        np.add.at(streams.encoded, cast.stream[heard], 1)
        np.add.at(streams.octets, cast.stream[heard], (length - header)[heard])
        return octets, length

    def _write_coded(
        self,
        plan: Plan,
        cast: Cast,
        some: Rows,
        audio: NDArray[np.int16],
        begin: int,
        octets: NDArray[np.uint8],
        header: Rows,
    ) -> Rows:
        """Encode for a codec with memory, whose packets may have any length; int64[len(some)], octets."""
        legs = np.full(len(some), -1, np.int64)
        own = some >= cast.commons
        legs[own] = plan.leg[cast.minus][some[own] - cast.commons]
        payloads = self._encoding.encode(plan, cast.stream[some], legs, audio, begin)
        for row, at, payload in zip(some.tolist(), header[some].tolist(), payloads, strict=True):
            octets[row, at : at + len(payload)] = np.frombuffer(payload, np.uint8)
        return np.array([len(payload) for payload in payloads], np.int64)

    def _at_rate(self, plan: Plan, cast: Cast, some: Rows, rate: int) -> NDArray[np.int16]:
        """The audio of some prototypes at the sampling rate of their format: int16[len(some), samples]."""
        audio = cast.audio[some]
        if rate == plan.rate:
            return audio
        depth = taps(plan.rate, rate)
        voice = audio.astype(np.float32)
        common = some < cast.commons
        stream = cast.stream[some]
        leg = plan.leg[cast.minus][some[~common] - cast.commons]
        # A leg that just began to talk has heard, until now, the common mix.
        hopped = self._legs.hopped[leg]
        mine = np.where(hopped[:, None], self._past[leg, :depth], self._streams.past[stream[~common], :depth])
        past = np.concatenate([self._streams.past[stream[common], :depth], mine])
        result = resample(past, voice, plan.rate, rate)
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


def _write_table(octets: NDArray[np.uint8], header: Rows, rows: Rows, payload: NDArray[np.uint8]) -> int:
    """Put payloads of equal length behind headers of any; octets of each."""
    width: int = payload.shape[1]
    for size in np.unique(header):
        alike = np.flatnonzero(header == size)
        octets[rows[alike], size : size + width] = payload if len(alike) == len(rows) else payload[alike]
    return width


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
