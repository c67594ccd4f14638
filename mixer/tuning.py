"""Tuning: what prototypes say, from the rate of the mix to that of their formats.

A resampler needs the samples before: of a common mix they are kept with its stream, of what a leg hears of its own
with the leg.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixer.casting import Cast
from mixer.resample import next_past, resample, taps
from mixer.samples import Samples
from mixer.state import State
from mixer.streams import PAST

Rows = NDArray[np.int64]


class Tuning:
    """Resamples for all streams and legs."""

    def __init__(self, state: State) -> None:
        self._legs, self._streams = state.legs, state.streams
        self._past = np.zeros((state.legs.rows, PAST), np.float32)
        """What each leg heard of its own before this packet,"""
        self._source = np.zeros(state.legs.rows, np.int64)
        """and at how many Hz: of another rate it is of no use."""

    def tune(self, cast: Cast, some: Rows, source: int, target: int) -> Samples:
        """The audio of some prototypes, one channel, from `source` to `target` Hz: int16[len(some), samples]."""
        audio = cast.audio[some]
        if source == target:
            return audio
        depth = taps(source, target)
        voice = audio.astype(np.float32)
        common = some < cast.commons
        stream, leg = cast.stream[some], cast.leg[some[~common]]
        # A leg that just began to talk has heard, until now, the common mix.
        hopped = self._legs.hopped[leg] & (self._source[leg] == source)
        mine = np.where(hopped[:, None], self._past[leg, :depth], self._streams.past[stream[~common], :depth])
        past = np.concatenate([self._streams.past[stream[common], :depth], mine])
        result = resample(past, voice, source, target)
        after = next_past(past, voice)
        self._streams.past[stream[common], :depth] = after[: len(after) - len(leg)]
        self._past[leg, :depth] = after[len(after) - len(leg) :]
        self._source[leg] = source
        return np.clip(np.rint(result), -32767, 32767).astype(np.int16)
