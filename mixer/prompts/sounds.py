"""Sounds: what a prompt is made of, mono at 48 kHz, a piece at a time.

Knows: samples and sines. Must never know: files, conferences, or who hears it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from mixer.mixing import FULL_SCALE
from mixer.port import Tone

RATE: Final = 48000
"""Hz of every sound: each rate of a mix divides it."""
EDGE_MS: Final = 5
"""A tone grows and dies so long: without that it would click."""
SHORTEST_MS: Final = 20
SHORTEST: Final = RATE * SHORTEST_MS // 1000
"""Samples of the shortest sound: a loop of less would be a loop of Python in a tick."""

Voice = NDArray[np.float32]


class Sound(Protocol):
    """Something that can be played."""

    length: int
    """In samples, at least `SHORTEST`."""

    def piece(self, at: int, count: int) -> Voice:
        """Samples [at, at + count), all of them within the sound: float32[count], 16-bit scale."""
        ...


class Recorded:
    """Samples that somebody has read from a file.

    Args:
        samples: int16[n], at `RATE`. What is too short is filled up with silence.
    """

    def __init__(self, samples: NDArray[np.int16]) -> None:
        missing = SHORTEST - len(samples)
        self._samples = np.pad(samples, (0, missing)) if missing > 0 else samples
        self.length = len(self._samples)

    def piece(self, at: int, count: int) -> Voice:
        """See `Sound`."""
        return self._samples[at : at + count].astype(np.float32)


def tones(wish: Sequence[Tone]) -> Sound:
    """Sines one after another: made here and now if they are short, and when they are due if they are long.

    Args:
        wish: at least one, and together at least as long as `SHORTEST`.
    """
    made = Tones(wish)
    return made if made.length > RATE else Recorded(np.rint(made.piece(0, made.length)).astype(np.int16))


class Tones:
    """Sines one after another, made when they are due: an hour of tone costs nothing to start."""

    def __init__(self, tones: Sequence[Tone]) -> None:
        """`tones`: at least one, and together at least as long as `SHORTEST`."""
        length = np.array([tone.ms for tone in tones], np.int64) * (RATE // 1000)
        rms = FULL_SCALE * 10.0 ** (np.array([tone.level_dbov for tone in tones]) / 20.0)
        self._hertz = np.array([tone.hz for tone in tones], np.float64)
        self._amplitude = np.where(self._hertz > 0, np.sqrt(2.0) * rms, 0.0)
        self._end = np.cumsum(length)
        self._begin = self._end - length
        self.length = int(self._end[-1])

    def piece(self, at: int, count: int) -> Voice:
        """See `Sound`."""
        moment = np.arange(at, at + count)
        which = np.searchsorted(self._end, moment, side="right")
        since = moment - self._begin[which]
        edge = np.minimum(since, self._end[which] - moment) / (EDGE_MS * RATE // 1000)
        sine = np.sin(2.0 * np.pi / RATE * self._hertz[which] * since)
        return np.asarray(self._amplitude[which] * np.minimum(edge, 1.0) * sine, np.float32)
