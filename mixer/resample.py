"""Resampling between 8, 16, 24 and 48 kHz: one matrix product a tick, regular output.

    past                        frame
    |---------- taps ----------|----- block -----|----- block -----| ...
    |------------- one row of the product -------|
               |------------- the next -------------------------|

A windowed-sinc low-pass (Kaiser), sampled where an output sample lies between input samples; so 16 to 24 kHz is as
any other pair. Sound is taken in blocks of 2.5 ms, in which all these rates have a whole number of samples: their
filters are the columns of one matrix. Each row needs the last `taps` samples of its own past, which the caller keeps;
so every tick in gives exactly one tick out (no bursts). The delay is 18 samples of the lower rate, always.

Flat to 0.88 of the lower Nyquist frequency (-0.03 dB there, 3.5 kHz for 8 kHz); images and aliases of what lies
that far from it are 72 dB down or more.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

LOWEST: Final = 8000
"""No rate is lower, Hz: from one to this the filters are longest."""
SPAN: Final = 36
"""Filter length in samples of the lower rate."""
BETA: Final = 6.0
CUTOFF: Final = 0.98
"""Of the lower Nyquist frequency: the middle of the transition band."""
BLOCKS: Final = 400
"""A second has so many blocks."""

Voice = NDArray[np.float32]


def taps(source: int, target: int) -> int:
    """Samples of the past that a row needs, at the source rate."""
    return SPAN * source // min(source, target)


def resample(past: Voice, frame: Voice, source: int, target: int) -> Voice:
    """Convert one tick of many rows.

    Args:
        past: float32[n, taps(source, target)], the samples before the tick.
        frame: float32[n, samples], the tick at the source rate: a multiple of 2.5 ms.

    Returns:
        float32[n, samples * target / source].
    """
    if source == target:
        return frame
    kernel, block = _kernel(source, target), source // BLOCKS
    joined = np.concatenate([past, frame], axis=1)
    blocks = sliding_window_view(joined, len(kernel), axis=1)[:, ::block]
    converted: Voice = blocks.reshape(-1, len(kernel)) @ kernel
    return converted.reshape(len(frame), frame.shape[1] * target // source)


def next_past(past: Voice, frame: Voice) -> Voice:
    """The past of the following tick."""
    return np.concatenate([past, frame], axis=1)[:, -past.shape[1] :]


@cache
def _kernel(source: int, target: int) -> Voice:
    """float32[taps + block, samples of a block at the target rate]: the filter of each output sample."""
    depth = taps(source, target)
    there = np.arange(target // BLOCKS) * source / target
    here = np.arange(-depth, source // BLOCKS)
    time = (there - here[:, None] - depth / 2) * min(source, target) / source  # samples of the lower rate
    inside = np.sqrt(np.maximum(0.0, 1.0 - (2.0 * time / SPAN) ** 2))
    window = np.where(np.abs(time) <= SPAN / 2, np.i0(BETA * inside), 0.0)
    filters = np.sinc(CUTOFF * time) * window
    return np.asarray(filters / filters.sum(axis=0), np.float32)
