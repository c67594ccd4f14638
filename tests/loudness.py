"""Loudness as people hear it, ITU-R BS.1770-4: K-weighting and the gates, of one or two channels.

Knows: the recommendation, with its filters as analogue prototypes, so that any rate will do. Must never know: the
mixer. Full scale is 1.0.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]

ABSOLUTE_GATE: Final = -70.0
RELATIVE_GATE: Final = -10.0


def loudness(samples: Samples, rate: int) -> float:
    """Integrated loudness, LKFS, of float64[n] or float64[n, channels]; -inf for silence.

    A mono signal counts as one channel: played on two loudspeakers it is 3 LU louder.
    """
    channels = samples.reshape(len(samples), -1).T
    weighted = np.stack([_weighted(channel, rate) for channel in channels])
    block, step = round(0.4 * rate), round(0.1 * rate)
    starts = range(0, weighted.shape[1] - block + 1, step)
    powers = np.array([np.sum(np.mean(weighted[:, n : n + block] ** 2, axis=1)) for n in starts])
    loud = powers[_lkfs(powers) > ABSOLUTE_GATE]
    if not len(loud):
        return -np.inf
    gated = loud[_lkfs(loud) > float(_lkfs(np.array([loud.mean()]))[0]) + RELATIVE_GATE]
    return float(_lkfs(np.array([gated.mean()]))[0])


def _lkfs(power: Samples) -> Samples:
    return np.asarray(-0.691 + 10 * np.log10(np.maximum(power, 1e-12)), np.float64)


def _weighted(samples: Samples, rate: int) -> Samples:
    """Through both filters of the recommendation, by their frequency response; silence behind keeps the ends apart."""
    size = 1 << (len(samples) + rate).bit_length()
    turns = np.exp(-2j * np.pi * np.fft.rfftfreq(size))
    response = np.ones(len(turns), complex)
    for numerator, denominator in (shelf(rate), high_pass(rate)):
        response *= np.polyval(numerator[::-1], turns) / np.polyval(denominator[::-1], turns)
    return np.asarray(np.fft.irfft(np.fft.rfft(samples, size) * response, size)[: len(samples)])


def shelf(rate: int) -> tuple[list[float], list[float]]:
    """The head: +4 dB above 1.7 kHz."""
    k, q = np.tan(np.pi * 1681.974450955533 / rate), 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    first = 1 + k / q + k * k
    numerator = [(high + band * k / q + k * k), 2 * (k * k - high), (high - band * k / q + k * k)]
    return [value / first for value in numerator], [1.0, 2 * (k * k - 1) / first, (1 - k / q + k * k) / first]


def high_pass(rate: int) -> tuple[list[float], list[float]]:
    """Below 40 Hz little counts."""
    k, q = np.tan(np.pi * 38.13547087602444 / rate), 0.5003270373238773
    first = 1 + k / q + k * k
    return [1.0, -2.0, 1.0], [1.0, 2 * (k * k - 1) / first, (1 - k / q + k * k) / first]
