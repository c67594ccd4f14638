"""How steady a steady tone is: judged in windows of 20 ms, by least squares against the tone itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]
Decibels = NDArray[np.float64]


def windows(sound: Samples, rate: int) -> NDArray[np.float32]:
    """The sound in windows of 20 ms: float32[windows, samples]."""
    width = rate // 50
    return sound[: len(sound) // width * width].reshape(-1, width).astype(np.float32)


def level(sound: Samples, rate: int, amplitude: float) -> Decibels:
    """Of each window, dB relative to the tone."""
    power = (windows(sound, rate) ** 2).mean(axis=1)
    return np.asarray(10 * np.log10(power / (amplitude**2 / 2) + 1e-12))


def residue(sound: Samples, rate: int, hertz: float, amplitude: float) -> Decibels:
    """What of each window is not the tone, dB relative to it.

    The tone may be of any phase and may drift in level and phase as slowly as what lies within 50 Hz of it:
    sine and cosine, each times 1, t and t squared.
    """
    framed = windows(sound, rate)
    at = np.arange(framed.shape[1]) / rate
    turn = 2 * np.pi * hertz * at
    slow = np.linspace(-1, 1, len(at))
    basis = np.stack([wave * slow**power for wave in (np.sin(turn), np.cos(turn)) for power in range(3)], axis=1)
    span = np.linalg.qr(basis)[0].astype(np.float32)
    rest = framed - (framed @ span) @ span.T
    return np.asarray(10 * np.log10((rest**2).mean(axis=1) / (amplitude**2 / 2) + 1e-12))
