"""Resampling between 8, 16 and 48 kHz: one matrix product a tick, regular output, 1 ms of delay.

A windowed-sinc low-pass (Kaiser, 70 dB) in polyphase form. Each row needs the last `taps` samples of
its own past, which the caller keeps; so every tick in gives exactly one tick out (no bursts).
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

SPAN: Final = 24
"""Filter length in samples of the lower rate."""
BETA: Final = 7.0
CUTOFF: Final = 0.94
"""Of the lower Nyquist frequency: half of the transition band lies above it."""

Voice = NDArray[np.float32]


def taps(source: int, target: int) -> int:
    """Samples of the past that a row needs, at the source rate."""
    return SPAN * max(1, source // target)


def resample(past: Voice, frame: Voice, source: int, target: int) -> Voice:
    """Convert one tick of many rows.

    Args:
        past: float32[n, taps(source, target)], the samples before the tick.
        frame: float32[n, samples], the tick at the source rate.

    Returns:
        float32[n, samples * target / source].
    """
    if source == target:
        return frame
    joined = np.concatenate([past, frame], axis=1)
    kernel = _kernel(source, target)
    if target > source:
        view = sliding_window_view(joined, SPAN, axis=1)[:, 1:]
        phases: Voice = view @ kernel
        return phases.reshape(len(frame), -1)
    step = source // target
    view = sliding_window_view(joined, len(kernel), axis=1)[:, step::step]
    thinned: Voice = view @ kernel
    return thinned


def next_past(past: Voice, frame: Voice) -> Voice:
    """The past of the following tick."""
    return np.concatenate([past, frame], axis=1)[:, -past.shape[1] :]


@cache
def _kernel(source: int, target: int) -> Voice:
    """Upsampling: float32[SPAN, phases]. Downsampling: float32[SPAN * step]."""
    factor = max(source, target) // min(source, target)
    length = SPAN * factor
    time = (np.arange(length) - (length - 1) / 2) / factor
    low_pass = CUTOFF * np.sinc(CUTOFF * time) * np.kaiser(length, BETA)
    if target > source:
        # Output phase p of an input sample is a dot product with every factor-th tap, newest first.
        phases = low_pass.reshape(SPAN, factor)[::-1]
        kernel = phases / phases.sum(axis=0)
    else:
        kernel = low_pass[::-1] / low_pass.sum()
    return np.asarray(kernel, np.float32)
