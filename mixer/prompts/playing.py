"""Playing: one sound, who hears it, and where it stands.

Must never know: mixes, and what else plays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixer.conferences import Conference
from mixer.legs import Leg
from mixer.prompts.sounds import RATE, Sound
from mixer.resample import taps

PAST: Final = taps(RATE, 8000)
"""Samples that any resampler looks back on."""

Voice = NDArray[np.float32]


class Ear(NamedTuple):
    """Who hears something: a conference's row, and a leg's, or -1 for all of it."""

    conference: int
    leg: int


@dataclass(eq=False)
class Playing:
    """A sound that somebody hears.

    Attributes:
        name: what its controller calls it; empty for a tone of our own.
        legs: who hears it alone; None for all of the conference.
        gain: of the sound; factor: of the mix meanwhile.
        left: how often it is still to begin anew, endless if negative.
        at: the next sample.
        past: float32[PAST], what came before it.
        fading: it was stopped, and the next piece is the last.
        over: no piece follows the last one.
    """

    name: str
    sound: Sound
    conference: Conference
    legs: list[Leg] | None = None
    gain: float = 1.0
    factor: float = 1.0
    left: int = 0
    at: int = 0
    past: Voice = field(default_factory=lambda: np.zeros(PAST, np.float32))
    fading: bool = False
    over: bool = False

    def take(self, count: int) -> Voice:
        """The next samples: float32[PAST + count], those before them in front. Behind its end a sound has one piece
        of silence, in which resamplers fade out."""
        taken = np.zeros(PAST + count, np.float32)
        taken[:PAST] = self.past
        self.over = self.fading or self.at >= self.sound.length
        filled = PAST
        while filled < len(taken) and self.at < self.sound.length:
            piece = self.sound.piece(self.at, min(len(taken) - filled, self.sound.length - self.at))
            taken[filled : filled + len(piece)] = piece
            filled += len(piece)
            self._advance(len(piece))
        self.past = taken[-PAST:].copy()
        if self.fading:
            taken[PAST:] *= np.linspace(1.0, 0.0, count, dtype=np.float32)
        return taken * np.float32(self.gain)

    def _advance(self, count: int) -> None:
        self.at += count
        if self.at == self.sound.length and self.left:
            self.at = 0
            self.left -= 1

    def ears(self) -> list[Ear]:
        """Who hears it."""
        row = self.conference.row
        return [Ear(row, -1)] if self.legs is None else [Ear(row, leg.row) for leg in self.legs]

    def wanted(self) -> float:
        """What the mix is to be multiplied by from the end of this piece on."""
        return 1.0 if self.over else self.factor
