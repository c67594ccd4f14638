"""Prototypes: each thing that somebody hears, encoded once.

    cast      who hears the common mix, who something of its own (`casting`)
    sources   who is in it: CSRCs and levels (`sources`)
    tune      to the rate of each format (`tuning`)
    encode    once for each distinct (mix, format): by table, or by an encoder with memory (`encoding`)

In place of sound, legs that are told keys get telephone events, and who understands it gets comfort noise.
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
from mixer.mixing import Mix
from mixer.plans import Plan
from mixer.samples import Samples
from mixer.sheet import Sheet
from mixer.spread import Spread
from mixer.state import State
from mixer.tuning import Tuning

NOISE_DBOV: Final = 75
"""Level of the comfort noise of a silent conference, -dBov: that the line is not dead is just heard."""

Rows = NDArray[np.int64]


class Prototypes:
    """Makes them for all plans."""

    def __init__(self, state: State, spread: Spread, dials: Dials, counters: Counters) -> None:
        self._legs, self._streams = state.legs, state.streams
        self._casting, self._tuning = Casting(state), Tuning(state)
        self._encoding, self._dials = Encoding(state, spread, counters), dials
        self._counters = counters
        self._octets = np.empty((2 * state.legs.rows, STRIDE), np.uint8)
        self._noise = np.frombuffer(comfort.payload(NOISE_DBOV), np.uint8)

    def begin(self) -> None:
        """A new tick."""
        self._encoding.forget()

    def make(self, plan: Plan, mix: Mix, begin: int) -> tuple[Cast, Sheet]:
        """Write all of the packets of one packet time but SSRC, sequence number and time.

        Args:
            begin: time of the first sample, ms on the engine's clock.

        Returns:
            The cast and its prototypes; these are valid until the next call.
        """
        streams, told = self._streams, self._dials.step(plan)
        cast = self._casting.cast(plan, mix, dials.among(plan, told), self._encoding.lingers(plan))
        octets, extension = self._octets[: len(cast.stream)], streams.level_out[cast.stream]
        header = sources.write(octets, mix, cast, self._legs.ssrc, streams.payload_type[cast.stream], extension)
        sheet = Sheet(octets, header, np.zeros(len(cast.stream), np.int32))
        self._write_keys(plan, cast, told, sheet)
        self._write_noise(plan, cast, begin, sheet)
        self._write_sound(plan, cast, begin, sheet)
        heard = np.flatnonzero(sheet.length)
        np.add.at(streams.encoded, cast.stream[heard], 1)
        np.add.at(streams.octets, cast.stream[heard], (sheet.length - header)[heard])
        return cast, sheet

    # -- sound --------------------------------------------------------------------------------

    def _write_sound(self, plan: Plan, cast: Cast, begin: int, sheet: Sheet) -> None:
        streams = self._streams
        form = (streams.codec[cast.stream] * 100_000 + streams.rate[cast.stream]) * 2 + streams.stereo[cast.stream]
        for kind in np.unique(form).tolist():
            some = np.flatnonzero(form == kind)
            audio = self._tuning.tune(cast, some, plan.rate, kind // 2 % 100_000)
            speaks = cast.heard[some] & (sheet.length[some] == 0)
            if not speaks.all():
                audio, some = audio[speaks], some[speaks]
            if kind % 2:
                audio = _two_channels(audio, None if cast.side is None else cast.side[some])
            if len(some):
                self._encode(plan, cast, some, audio, begin, sheet)

    def _encode(self, plan: Plan, cast: Cast, some: Rows, audio: Samples, begin: int, sheet: Sheet) -> None:
        """Write the payloads of prototypes of one codec."""
        codec = CODECS[int(self._streams.codec[cast.stream[some[0]]])]
        if isinstance(codec, Table):
            sheet.put_alike(some, codec.encode(audio))
            self._counters.encodes += len(some)
            self._counters.common_encodes += int(np.count_nonzero(cast.leg[some] < 0))
            return
        payloads = self._encoding.encode(plan, cast.stream[some], cast.leg[some], audio, begin)
        sheet.put_each(some, payloads)

    # -- in place of sound --------------------------------------------------------------------

    def _write_keys(self, plan: Plan, cast: Cast, told: dict[int, Event], sheet: Sheet) -> None:
        """Tell legs of keys (RFC 4733): the timestamp is that of the beginning, which has the marker."""
        for row in np.flatnonzero(np.isin(cast.leg, list(told))).tolist() if told else ():
            leg = int(cast.leg[row])
            event = told[leg]
            sheet.put(row, event.payload)
            sheet.retype(row, self._dials.payload_type(leg))
            cast.marked[row], cast.began_ms[row] = event.first, event.began * plan.ptime

    def _write_noise(self, plan: Plan, cast: Cast, begin: int, sheet: Sheet) -> None:
        """Say to who understands it that the conference is silent (RFC 3389); once an encoder with memory rests."""
        noise_type = self._streams.noise_type[cast.stream]
        able = np.flatnonzero((noise_type >= 0) & cast.heard & (sheet.length == 0))
        if not len(able):
            return
        silent = able[~cast.audio[able].any(axis=1)]
        rests = ~HAS_MEMORY[self._streams.codec[cast.stream[silent]]]
        for k in np.flatnonzero(~rests).tolist():
            row = silent[k]
            rests[k] = self._encoding.rests(plan, int(cast.stream[row]), int(cast.leg[row]), begin)
        silent = silent[rests]
        sheet.put_alike(silent, np.broadcast_to(self._noise, (len(silent), len(self._noise))))
        sheet.retype(silent, noise_type[silent])


def _two_channels(mid: Samples, side: Samples | None) -> Samples:
    """Left and right, int16[n, samples, 2]; the same without a side."""
    if side is None:
        return np.stack([mid, mid], axis=2)
    whole = mid.astype(np.int32)
    channels = np.stack([whole + side, whole - side], axis=2)
    return np.clip(channels, -32767, 32767).astype(np.int16)  # a prompt may lie over a mix that was limited already
