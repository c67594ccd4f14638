"""Voices: what each leg says in a tick, at the rate at which its conference mixes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixer.resample import next_past, resample, taps
from mixer.state import State
from mixer.streams import PAST

Rows = NDArray[np.int64]
Voice = NDArray[np.float32]


class Voices:
    """Takes sound from the playout buffers to the mix."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._past: dict[int, Voice] = {}
        self._past_frame = np.full(state.legs.rows, -1, np.int64)
        """Frame in which a leg's resampler was last fed."""

    def take(self) -> dict[int, tuple[Rows, Voice]]:
        """One tick of everybody who is heard.

        Returns:
            By rate of mix, for every rate that a conference has: legs int64[n] and float32[n, samples].
        """
        state = self._state
        parts: dict[int, list[tuple[Rows, Voice]]] = {rate: [] for rate in state.conferences.rates()}
        for playout in state.playouts.values():
            rows, frames = playout.take()
            # Who was just muted is heard once more, to be faded out.
            heard = (state.legs.speaks[rows] & ~state.legs.muted[rows]) | state.legs.seated[rows]
            if not heard.all():
                rows, frames = rows[heard], frames[heard]
            rates = state.conferences.rate[state.legs.conference[rows]]
            for rate in np.unique(rates).tolist():
                leg, voice = rows[rates == rate], frames[rates == rate].astype(np.float32)
                parts[rate].append((leg, self._at_rate(leg, voice, playout.rate, rate)))
        return {rate: self._join(some, rate) for rate, some in parts.items()}

    def _at_rate(self, leg: Rows, voice: Voice, clock: int, rate: int) -> Voice:
        """Apply the gain, and bring voices from the legs' clock to the rate of the mix."""
        gain = self._state.legs.gain[leg]
        if (gain != 1.0).any():
            voice *= gain[:, None]
        if clock == rate:
            return voice
        if clock not in self._past:
            self._past[clock] = np.zeros((self._state.legs.rows, PAST), np.float32)
        depth = taps(clock, rate)
        past = self._past[clock][leg, :depth]
        past[self._past_frame[leg] != self._state.frame - 1] = 0  # it was silent: what is kept is old
        self._past[clock][leg, :depth] = next_past(past, voice)
        self._past_frame[leg] = self._state.frame
        return resample(past, voice, clock, rate)

    def _join(self, parts: list[tuple[Rows, Voice]], rate: int) -> tuple[Rows, Voice]:
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return np.empty(0, np.int64), np.empty((0, rate * self._state.config.tick_ms // 1000), np.float32)
        return np.concatenate([rows for rows, _ in parts]), np.concatenate([voice for _, voice in parts])
