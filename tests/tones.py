"""Who is heard: each talker says one frequency, and a spectrum tells which of them arrived.

Knows: sines, G.711 mu-law by its formula, and Fourier. Must never know: the mixer. Audio is judged by
its content only, never by its length or by the number of packets.
"""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Samples: TypeAlias = NDArray[np.float64]
"""Full scale is 1.0."""

NEAR_HZ: Final = 15.0
"""Energy so near to a tone belongs to it."""

SILENCE_DB: Final = -200.0


def sine(hertz: float, seconds: float, *, rate: int = 8000, amplitude: float = 0.25) -> Samples:
    """A tone that starts at phase zero."""
    moments = np.arange(round(seconds * rate)) / rate
    return amplitude * np.sin(2 * np.pi * hertz * moments)


def read_pcm(path: Path) -> Samples:
    """Headerless signed 16-bit little-endian samples: what a client that was stopped leaves whole."""
    octets = path.read_bytes() if path.exists() else b""
    return np.frombuffer(octets[: len(octets) // 2 * 2], "<i2") / 32768.0


def level_db(samples: Samples, hertz: float, *, rate: int = 8000) -> float:
    """Level of a tone in dB, 0 being a sine of full scale."""
    power, frequencies = _spectrum(samples, rate)
    return _decibel(2.0 * float(power[np.abs(frequencies - hertz) <= NEAR_HZ].sum()))


def purity(samples: Samples, *, rate: int = 8000) -> float:
    """Share of the energy that lies at the strongest tone: 1 for a sine, near 0 for noise or nothing."""
    power, frequencies = _spectrum(samples, rate)
    total = float(power.sum())
    if total == 0.0:
        return 0.0
    peak = frequencies[int(power.argmax())]
    return float(power[np.abs(frequencies - peak) <= NEAR_HZ].sum()) / total


def middle(samples: Samples, seconds: float, *, rate: int = 8000) -> Samples:
    """The last `seconds` but a quarter of a second: joins, leaves and stops left out."""
    end = len(samples) - rate // 4
    return samples[max(0, end - round(seconds * rate)) : max(0, end)]


def assert_hears(
    samples: Samples,
    *,
    present: Set[int],
    absent: Set[int] = frozenset(),
    rate: int = 8000,
    seconds: float = 2.0,
    sent_db: float = -12.0,
) -> None:
    """Every tone of `present` is as loud as it was sent (within 3 dB), every one of `absent` at least
    40 dB below; in the last `seconds` of a recording that lasts at least as long."""
    assert len(samples) >= rate * seconds, f"only {len(samples) / rate:.2f} s were heard"
    part = middle(samples, seconds, rate=rate)
    levels = {hertz: round(level_db(part, hertz, rate=rate), 1) for hertz in sorted(present | absent)}
    for hertz in present:
        assert abs(levels[hertz] - sent_db) <= 3.0, f"{hertz} Hz is not heard as sent: {levels}"
    for hertz in absent:
        assert levels[hertz] <= sent_db - 40.0, f"{hertz} Hz should not be heard: {levels}"


def ulaw_decode(octets: bytes) -> Samples:
    """PCMU to samples, by the formula of ITU-T G.711."""
    return _ULAW[np.frombuffer(octets, np.uint8)]


def ulaw_encode(samples: Samples) -> bytes:
    """Samples to PCMU: the code word whose value is nearest."""
    order = np.argsort(_ULAW, kind="stable")
    ladder = _ULAW[order]
    rungs = np.searchsorted((ladder[1:] + ladder[:-1]) / 2, samples)
    return order[rungs].astype(np.uint8).tobytes()


def _ulaw_table() -> Samples:
    code = ~np.arange(256) & 0xFF
    exponent, mantissa = code >> 4 & 7, code & 15
    magnitude = ((2 * mantissa + 33) << exponent) - 33
    return np.where(code & 0x80, -magnitude, magnitude) * 4 / 32768.0


_ULAW: Final[Samples] = _ulaw_table()


def _spectrum(samples: Samples, rate: int) -> tuple[Samples, Samples]:
    """Mean square by frequency: its sum is that of the samples."""
    window = np.hanning(len(samples))
    scale = float((window**2).sum())
    if scale == 0.0:
        return np.zeros(1), np.zeros(1)
    power = np.abs(np.fft.rfft(samples * window)) ** 2 / (scale * len(samples))
    power[1:] *= 2.0
    frequencies: Samples = np.arange(len(power), dtype=np.float64) * (rate / len(samples))
    return power, frequencies


def _decibel(power: float) -> float:
    return float(10.0 * np.log10(power)) if power > 0.0 else SILENCE_DB
