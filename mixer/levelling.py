"""Automatic gain control, for legs that ask for it: all are heard about equally loud.

A leg's gain goes slowly to where its speech would be at the target, and only while it speaks: louder than a whisper,
and well above its own noise floor (see `talkers`), which has to be known first, for a second or two. In pauses the
gain stays, so noise is never pumped up. Each gain is bounded, and goes in a straight line through each tick. Without
`agc` it goes back to 1.

The target is the power of speech while it is spoken, pauses left out.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer.mixing import FULL_SCALE
from mixer.state import State

TARGET: Final = np.float32(FULL_SCALE * 10 ** (-20 / 20))
"""RMS of speech: -20 dBov."""
MOST: Final = np.float32(10 ** (24 / 20))
"""Speech of -44 dBov still comes to the target,"""
LEAST: Final = np.float32(10 ** (-18 / 20))
"""and of -2 dBov."""
RISE_DB: Final = 6.0
FALL_DB: Final = 12.0
"""How fast a gain goes, dB in a second of speech: too loud is worse."""
SPEECH: Final = np.float32(FULL_SCALE * 10 ** (-60 / 20))
"""RMS below which nothing is taken for speech."""
ABOVE_FLOOR: Final = np.float32(4.0)
FOLLOW_MS: Final = 1000
"""Of how much speech the power is a mean."""

Rows = NDArray[np.int64]
Levels = NDArray[np.float32]
Voice = NDArray[np.float32]


class Levelling:
    """Keeps the gains of all legs."""

    def __init__(self, state: State) -> None:
        self._state = state
        tick_s = state.config.tick_ms / 1000
        self._up = np.float32(10 ** (RISE_DB * tick_s / 20))
        self._down = np.float32(10 ** (-FALL_DB * tick_s / 20))
        self._follow = np.float32(1 - np.exp(-1000 * tick_s / FOLLOW_MS))

    def level(self, rows: Rows, voice: Voice, rms: Levels) -> None:
        """Bring one tick of many legs to where it should be, in place.

        Args:
            rows: int64[n], legs.
            voice: float32[n, samples]; rms: float32[n], its loudness, before and after.
        """
        legs = self._state.legs
        some = np.flatnonzero(legs.agc[rows] | (legs.agc_gain[rows] != 1))
        if not len(some):
            return
        leg, before = rows[some], legs.agc_gain[rows[some]]
        speaks = self._speaks(leg, rms[some])
        self._follow_speech(leg[speaks], rms[some][speaks])
        after = self._next(leg, before, speaks)
        legs.agc_gain[leg] = after
        way = np.arange(1, voice.shape[1] + 1, dtype=np.float32) / voice.shape[1]
        voice[some] *= before[:, None] + (after - before)[:, None] * way
        rms[some] *= (before + after) / 2

    def _speaks(self, leg: Rows, rms: Levels) -> NDArray[np.bool_]:
        legs = self._state.legs
        # The floor is that of what is heard, with the gain.
        floor = np.minimum(legs.floor_before[leg], legs.floor_since[leg])
        above = rms * legs.agc_gain[leg] > ABOVE_FLOOR * floor
        speaks: NDArray[np.bool_] = legs.agc[leg] & (rms > SPEECH) & (floor >= 0) & above & ~legs.claimed_silent[leg]
        return speaks

    def _follow_speech(self, leg: Rows, rms: Levels) -> None:
        power, now = self._state.legs.speech_power, rms**2
        before = np.where(power[leg] > 0, power[leg], now)
        power[leg] = before + self._follow * (now - before)

    def _next(self, leg: Rows, gain: Levels, speaks: NDArray[np.bool_]) -> Levels:
        """The gains at the end of the tick."""
        legs = self._state.legs
        power = np.sqrt(np.maximum(legs.speech_power[leg], 1))
        goal = np.where(legs.agc[leg], np.clip(TARGET / power, LEAST, MOST), np.float32(1))
        step = np.clip(goal / gain, self._down, self._up)
        return np.where(speaks | ~legs.agc[leg], gain * step, gain)
