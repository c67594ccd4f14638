"""Which tones are in what was heard, and how loud. Knows Fourier; must never know calls."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from bench.codec import Samples
from bench.content import decibels

NEAR_HZ: Final = 15.0
"""Energy so near to a tone belongs to it."""
FLOOR_DB: Final = -55.0
"""Under it a peak of the spectrum is noise of G.711 as a rule."""
APART_HZ: Final = 40.0


def levels_db(samples: Samples, hertz: Iterable[float], rate: int = 8000) -> dict[float, float]:
    """Level of each tone in dB, 0 being a sine of full scale."""
    power, frequencies = _spectrum(samples, rate)
    return {hz: _level(power, frequencies, hz) for hz in hertz}


def tones_db(samples: Samples, rate: int = 8000) -> dict[int, float]:
    """The tones that stand out, by frequency, with their levels: the loudest first, twenty at most."""
    power, frequencies = _spectrum(samples, rate)
    found: dict[int, float] = {}
    rest = power.copy()
    while len(found) < 20 and rest.any():
        hz = float(frequencies[int(rest.argmax())])
        level = _level(power, frequencies, hz)
        if level < FLOOR_DB:
            break
        found[round(hz)] = round(level, 1)
        rest[np.abs(frequencies - hz) <= APART_HZ] = 0.0
    return found


def _level(power: Samples, frequencies: Samples, hz: float) -> float:
    return decibels(float(np.sqrt(2.0 * power[np.abs(frequencies - hz) <= NEAR_HZ].sum())))


def _spectrum(samples: Samples, rate: int) -> tuple[Samples, Samples]:
    """Mean square by frequency: its sum is that of the samples."""
    window = np.hanning(len(samples))
    scale = float((window**2).sum())
    if scale == 0.0:
        return np.zeros(1, np.float32), np.zeros(1, np.float32)
    power = np.abs(np.fft.rfft(samples * window)) ** 2 / (scale * len(samples))
    power[1:] *= 2.0
    frequencies = np.arange(len(power)) * (rate / len(samples))
    return power.astype(np.float32), frequencies.astype(np.float32)
