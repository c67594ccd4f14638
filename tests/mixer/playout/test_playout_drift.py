"""Clocks that drift, for an hour: a steady tone in, the same steady tone out, and nothing invented."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mixer.playout import Playout
from tests.mixer import steady

AMPLITUDE = 8000.0
TICK_MS = 20
PPM = (200.0, -200.0, 200.0, -200.0)
HERTZ = (440.0, 440.0, 1000.0, 1000.0)
ROWS = np.arange(len(PPM))


class Crowd:
    """Senders of steady tones, each with its own clock, and what was played of each."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.width = rate * TICK_MS // 1000
        self.playout = Playout(len(ROWS), rate, TICK_MS)
        for row in ROWS.tolist():
            self.playout.open(row, 20, 200)
        self._period_ms = TICK_MS / (1 + np.array(PPM) * 1e-6)
        turn = 2 * np.pi * np.array(HERTZ)[:, None] * np.arange(rate) / rate
        sines = np.rint(AMPLITUDE * np.sin(turn)).astype(np.int16)
        self._said = sines.reshape(len(ROWS), -1, self.width)
        """A second of each tone in packets, over and over: a whole number of periods."""
        self._sent = np.zeros(len(ROWS), np.int64)
        self._ticks = 0
        self.refused = 0

    def run(self, ticks: int) -> NDArray[np.int16]:
        """int16[legs, samples of so many ticks]."""
        played = np.zeros((len(ROWS), ticks, self.width), np.int16)
        for tick in range(ticks):
            self._ticks += 1
            while (come := np.flatnonzero((self._sent + 1) * self._period_ms <= self._ticks * TICK_MS)).size:
                self._place(come)
            rows, frames = self.playout.take()
            played[rows, tick] = frames
        return played.reshape(len(ROWS), -1)

    def _place(self, come: NDArray[np.int64]) -> None:
        sound = self._said[come, self._sent[come] % self._said.shape[1]]
        heard = self.playout.place(come, sound, self._sent[come] * self.width & 0xFFFF_FFFF)
        self.refused += int(np.count_nonzero(~heard))
        self._sent[come] += 1


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_an_hour_of_drift_is_not_heard(rate: int) -> None:
    crowd = Crowd(rate)
    crowd.run(10)
    invented = crowd.playout.concealed.copy()
    for _ in range(60):
        played = crowd.run(3000)
        for sound, hertz in zip(played, HERTZ, strict=True):
            assert steady.level(sound, rate, AMPLITUDE).min() > -1.0
            assert steady.residue(sound, rate, hertz, AMPLITUDE).max() < -40.0
        assert crowd.playout.waiting(ROWS).max() <= 60
    assert (crowd.playout.concealed == invented).all()
    assert crowd.refused == 0
