"""Recording: one file, what waits to be written to it, and where it stands.

The loop appends to `waiting`, the thread takes from it; every other field belongs to the one or to the other.
Must never know: which thread, or when.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer.port import RecordDone, RecordReason, RecordStart
from mixer.prompts.sounds import RATE
from mixer.resample import next_past, resample, taps
from mixer.studio.recordfiles import RecordFile

Samples = NDArray[np.int16]
Voice = NDArray[np.float32]
NOTHING: Final = np.zeros(0, np.int16)


@dataclass(slots=True)
class Piece:
    """What comes next in a recording: first so much silence, then samples."""

    silence_ms: int
    rate: int
    samples: Samples


class Converter:
    """Brings a stream of samples from one rate to another; by 48 kHz, where neither divides the other."""

    def __init__(self, source: int, target: int) -> None:
        self.source = source
        straight = max(source, target) % min(source, target) == 0
        way = [source, target] if straight else [source, RATE, target]
        self._steps = [step for step in itertools.pairwise(way) if step[0] != step[1]]
        self._past = [np.zeros((1, taps(*step)), np.float32) for step in self._steps]

    def convert(self, samples: Samples) -> Samples:
        """The next samples, int16[n], at the other rate."""
        if not self._steps:
            return samples
        voice: Voice = samples[None, :].astype(np.float32)
        for number, (source, target) in enumerate(self._steps):
            past = self._past[number]
            self._past[number] = next_past(past, voice)
            voice = resample(past, voice, source, target)
        return np.asarray(np.clip(np.rint(voice[0]), -32767, 32767), np.int16)


@dataclass(eq=False)
class Recording:
    """One file that is being written.

    Attributes:
        conference: its name, for who is told.
        rate: Hz of the file.
        waiting: what is still to be written.
        missing_ms: what was dropped since the last piece that was not; lost_ms: in all. Both are the loop's.
        reason: why it is to end, once it is; nothing is appended to `waiting` after that.
        written: samples in the file.
    """

    wish: RecordStart
    conference: str
    file: RecordFile
    rate: int
    waiting: deque[Piece] = field(default_factory=deque)
    missing_ms: int = 0
    lost_ms: int = 0
    reason: RecordReason | None = None
    written: int = 0

    def __post_init__(self) -> None:
        self._converter = Converter(self.rate, self.rate)

    def put(self, piece: Piece) -> Iterator[None]:
        """Write a piece, with a break after each second or less, in which it may be looked whether more may be written.
        Raises `OSError`."""
        silence = piece.silence_ms * self.rate // 1000
        while silence > 0:  # a machine that slept has hours of it
            self._write(np.zeros(min(silence, self.rate), np.int16))
            silence -= self.rate
            yield
        if len(piece.samples):
            if piece.rate != self._converter.source:  # the conference mixes at another rate than before
                self._converter = Converter(piece.rate, self.rate)
            self._write(self._converter.convert(piece.samples))
            yield

    def _write(self, samples: Samples) -> None:
        self.file.write(samples)
        self.written += len(samples)

    def done(self, reason: RecordReason) -> RecordDone:
        """What is told of it."""
        return RecordDone(
            conference=self.conference,
            record=self.wish.record,
            file=self.wish.file,
            reason=reason,
            seconds=round(self.written / self.rate, 3),
            octets=self.file.octets,
            lost_ms=self.lost_ms,
        )
