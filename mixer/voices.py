"""Voices: what each leg says in a tick, at the rate at which its conference mixes."""

from __future__ import annotations

from enum import Enum

import numpy as np
from numpy.typing import NDArray

from mixer import denoise, mixing
from mixer.resample import LOWEST, next_past, resample, taps
from mixer.state import State
from mixer.talkers import GATE

Rows = NDArray[np.int64]
Voice = NDArray[np.float32]


class Voices:
    """Takes sound from the playout buffers to the mix."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._tapes: dict[tuple[_Way, int], _Tape] = {}

    def take(self) -> dict[int, tuple[Rows, Voice]]:
        """One tick of everybody who is heard.

        Returns:
            By rate of mix, for every rate that a conference has: legs int64[n] and float32[n, samples].
        """
        state = self._state
        parts: dict[int, list[tuple[Rows, Voice]]] = {rate: [] for rate in state.conferences.rates()}
        for playout in state.playouts.values():
            rows, frames = playout.take(state.legs.seated)
            # Who was just muted is heard once more, to be faded out.
            heard = (state.legs.speaks[rows] & ~state.legs.muted[rows]) | state.legs.seated[rows]
            if not heard.all():
                rows, frames = rows[heard], frames[heard]
            rates = state.conferences.rate[state.legs.conference[rows]]
            for rate in np.unique(rates).tolist():
                leg, voice = rows[rates == rate], frames[rates == rate].astype(np.float32)
                parts[rate] += self._prepared(leg, voice, playout.rate, rate)
        return {rate: self._join(some, rate) for rate, some in parts.items()}

    def _prepared(self, leg: Rows, voice: Voice, clock: int, rate: int) -> list[tuple[Rows, Voice]]:
        """Apply gain and noise suppression, and bring voices from the legs' rate to that of the mix."""
        gain, noisy = self._state.legs.gain[leg], self._state.legs.denoised[leg]
        if (gain != 1.0).any():
            voice *= gain[:, None]
        if not noisy.any():
            return [(leg, self._at_rate(_Way.STRAIGHT, leg, voice, clock, rate))]
        wide = self._at_rate(_Way.TO_DENOISER, leg[noisy], voice[noisy], clock, denoise.RATE)
        self._clean(leg[noisy], wide)
        cleaned = self._at_rate(_Way.FROM_DENOISER, leg[noisy], wide, denoise.RATE, rate)
        plain = self._at_rate(_Way.STRAIGHT, leg[~noisy], voice[~noisy], clock, rate)
        return [(leg[noisy], cleaned), (leg[~noisy], plain)]

    def _clean(self, leg: Rows, voice: Voice) -> None:
        """Suppress the noise of those who may be mixed, in place."""
        legs = self._state.legs
        for place in np.flatnonzero((mixing.loudness(voice) > GATE) | legs.seated[leg]).tolist():
            denoiser = legs.at(int(leg[place])).denoiser
            if denoiser is not None:
                voice[place] = denoiser.clean(voice[place])

    def _at_rate(self, way: _Way, leg: Rows, voice: Voice, source: int, target: int) -> Voice:
        if source == target:
            return voice
        if (way, source) not in self._tapes:
            self._tapes[way, source] = _Tape(self._state.legs.rows, source)
        return self._tapes[way, source].resample(leg, voice, source, target, self._state.frame)

    def _join(self, parts: list[tuple[Rows, Voice]], rate: int) -> tuple[Rows, Voice]:
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return np.empty(0, np.int64), np.empty((0, rate * self._state.config.tick_ms // 1000), np.float32)
        return np.concatenate([rows for rows, _ in parts]), np.concatenate([voice for _, voice in parts])


class _Way(Enum):
    """Where a resampler is: each has a past of its own."""

    STRAIGHT = 0
    TO_DENOISER = 1
    FROM_DENOISER = 2


class _Tape:
    """The past of every leg at one clock rate: enough for any rate of mix, for that may change."""

    def __init__(self, legs: int, clock: int) -> None:
        self._past = np.zeros((legs, taps(clock, LOWEST)), np.float32)
        self._frame = np.full(legs, -1, np.int64)
        """In which a leg's resampler was last fed."""

    def resample(self, leg: Rows, voice: Voice, source: int, target: int, frame: int) -> Voice:
        past = self._past[leg]
        past[self._frame[leg] != frame - 1] = 0  # it was silent: what is kept is old
        self._past[leg] = next_past(past, voice)
        self._frame[leg] = frame
        return resample(past[:, -taps(source, target) :], voice, source, target)
