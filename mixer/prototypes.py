"""Prototypes: each thing that somebody hears, encoded once.

    cast      who hears the common mix, who something of its own (`casting`)
    sources   who is in it: CSRCs and levels (`sources`)
    encode    once for each distinct (mix, format): by table, or by an encoder with memory (`encoding`)

A prototype is a packet without SSRC, sequence number and time; those depend on the stream that it leaves in.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer import dials, sources
from mixer.batch import STRIDE
from mixer.casting import Cast, Casting
from mixer.codecs import CODECS, HAS_MEMORY, Table, comfort
from mixer.codecs.dialling import Event
from mixer.counters import Counters
from mixer.dials import Dials
from mixer.encoding import Encoding
from mixer.mixing import Mix, Samples
from mixer.plans import Plan
from mixer.resample import next_past, resample, taps
from mixer.spread import Spread
from mixer.state import State
from mixer.streams import PAST
from mixer.wire import header_view

NOISE_DBOV: Final = 75
"""Level of the comfort noise of a silent conference, -dBov: that the line is not dead is just heard."""

Rows = NDArray[np.int64]
Octets = NDArray[np.uint8]


class Prototypes:
    """Casts and encodes."""

    def __init__(self, state: State, spread: Spread, dials: Dials, counters: Counters) -> None:
        self._legs, self._streams = state.legs, state.streams
        self._casting, self._encoding, self._dials = Casting(state), Encoding(state, spread, counters), dials
        legs = state.legs.rows
        self._past = np.zeros((legs, PAST), np.float32)
        """What each leg heard of its minus mix before this tick, for resampling."""
        self._octets = np.empty((2 * legs, STRIDE), np.uint8)
        self._noise = np.frombuffer(comfort.payload(NOISE_DBOV), np.uint8)

    def make(self, plan: Plan, mix: Mix, begin: int) -> tuple[Cast, Octets, NDArray[np.int32]]:
        """Write all of the packets of one packet time but SSRC, sequence number and time.

        Args:
            begin: time of the first sample, ms on the engine's clock.

        Returns:
            The cast, and its q prototypes: uint8[q, STRIDE] and int32[q], octets; valid until the next call.
        """
        streams = self._streams
        told = self._dials.step(plan)
        cast = self._casting.cast(plan, mix, dials.among(plan, told) | self._encoding.lingers(plan))
        octets, length = self._octets[: len(cast.stream)], np.zeros(len(cast.stream), np.int32)
        extension = streams.level_out[cast.stream]
        header = sources.write(octets, mix, cast, self._legs.ssrc, streams.payload_type[cast.stream], extension)
        self._write_keys(plan, cast, told, octets, header, length)
        self._write_noise(plan, cast, begin, octets, header, length)
        form = (streams.codec[cast.stream] * 100_000 + streams.rate[cast.stream]) * 2 + streams.stereo[cast.stream]
        for kind in np.unique(form).tolist():
            some = np.flatnonzero(form == kind)
            audio = self._at_rate(plan, cast, some, kind // 2 % 100_000)
            speaks = cast.heard[some] & (length[some] == 0)
            if not speaks.all():
                audio, some = audio[speaks], some[speaks]
            if kind % 2 and cast.side is not None:
                audio = _spread_out(audio, cast.side[some])
            elif kind % 2:
                audio = np.stack([audio, audio], axis=2)
            if len(some):
                self._encode(plan, cast, some, audio, begin, octets, header, length)
        heard = np.flatnonzero(length)
        np.add.at(streams.encoded, cast.stream[heard], 1)
        np.add.at(streams.octets, cast.stream[heard], (length - header)[heard])
        return cast, octets, length

    def _encode(
        self,
        plan: Plan,
        cast: Cast,
        some: Rows,
        audio: Samples,
        begin: int,
        octets: Octets,
        header: Rows,
        length: NDArray[np.int32],
    ) -> None:
        """Write the payloads of prototypes of one codec."""
        codec = CODECS[int(self._streams.codec[cast.stream[some[0]]])]
        if isinstance(codec, Table):
            length[some] = header[some] + _write_table(octets, header[some], some, codec.encode(audio))
            return
        payloads = self._encoding.encode(plan, cast.stream[some], cast.leg[some], audio, begin)
        for row, at, payload in zip(some.tolist(), header[some].tolist(), payloads, strict=True):
            octets[row, at : at + len(payload)] = np.frombuffer(payload, np.uint8)
        length[some] = header[some] + [len(payload) for payload in payloads]

    # -- in place of sound --------------------------------------------------------------------

    def _write_keys(
        self, plan: Plan, cast: Cast, told: dict[int, Event], octets: Octets, header: Rows, length: NDArray[np.int32]
    ) -> None:
        """Tell legs of keys (RFC 4733): the timestamp is that of the beginning, which has the marker."""
        for row in np.flatnonzero(np.isin(cast.leg, list(told))).tolist() if told else ():
            leg, at = int(cast.leg[row]), int(header[row])
            event = told[leg]
            octets[row, at : at + len(event.payload)] = np.frombuffer(event.payload, np.uint8)
            header_view(octets)["marker_pt"][row] = self._dials.payload_type(leg)
            length[row] = at + len(event.payload)
            cast.marked[row], cast.began_ms[row] = event.first, event.began * plan.ptime

    def _write_noise(
        self, plan: Plan, cast: Cast, begin: int, octets: Octets, header: Rows, length: NDArray[np.int32]
    ) -> None:
        """Say to who understands it that the conference is silent (RFC 3389); once an encoder with memory rests."""
        noise_type = self._streams.noise_type[cast.stream]
        able = np.flatnonzero((noise_type >= 0) & cast.heard & (length == 0))
        silent = able[~cast.audio[able].any(axis=1)] if len(able) else able
        memory = HAS_MEMORY[self._streams.codec[cast.stream[silent]]]
        keep = np.ones(len(silent), bool)
        for k in np.flatnonzero(memory).tolist():
            row = silent[k]
            keep[k] = self._encoding.rests(plan, int(cast.stream[row]), int(cast.leg[row]), begin)
        silent = silent[keep]
        for row in silent.tolist():
            octets[row, header[row] : header[row] + len(self._noise)] = self._noise
        header_view(octets)["marker_pt"][silent] = noise_type[silent]
        length[silent] = header[silent] + len(self._noise)

    # -- rates --------------------------------------------------------------------------------

    def _at_rate(self, plan: Plan, cast: Cast, some: Rows, rate: int) -> Samples:
        """The audio of some prototypes at the sampling rate of their format: int16[len(some), samples]."""
        audio = cast.audio[some]
        if rate == plan.rate:
            return audio
        depth = taps(plan.rate, rate)
        voice = audio.astype(np.float32)
        common = some < cast.commons
        stream, leg = cast.stream[some], cast.leg[some[~common]]
        # A leg that just began to talk has heard, until now, the common mix.
        hopped = self._legs.hopped[leg]
        mine = np.where(hopped[:, None], self._past[leg, :depth], self._streams.past[stream[~common], :depth])
        past = np.concatenate([self._streams.past[stream[common], :depth], mine])
        result = resample(past, voice, plan.rate, rate)
        after = next_past(past, voice)
        self._streams.past[stream[common], :depth] = after[: len(after) - len(leg)]
        self._past[leg, :depth] = after[len(after) - len(leg) :]
        return np.clip(np.rint(result), -32767, 32767).astype(np.int16)


def _spread_out(mid: Samples, side: Samples) -> Samples:
    """Left and right, int16[n, samples, 2]."""
    whole = mid.astype(np.int32)
    channels = np.stack([whole + side, whole - side], axis=2)
    return np.clip(channels, -32767, 32767).astype(np.int16)  # a prompt may lie over a mix that was limited already


def _write_table(octets: Octets, header: Rows, rows: Rows, payload: Octets) -> int:
    """Put payloads of equal length behind headers of any; octets of each."""
    width: int = payload.shape[1]
    for size in np.unique(header):
        alike = np.flatnonzero(header == size)
        octets[rows[alike], size : size + width] = payload if len(alike) == len(rows) else payload[alike]
    return width
