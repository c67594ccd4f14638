"""Content: who is in a mix, how loud, and how late, read off the samples.

The checker knows what each talker said. It looks each of them up in what a listener heard by
correlation, window by window (so a jitter buffer may move), takes what it found out of the signal, and
looks for the listener's own voice in what remains: taking the others out first is what lets it see
itself 60 dB down. All signals are float32 at one rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.codec import Samples

SELF_LIMIT_DB = -40.0
"""How far down a listener's own voice must be."""

HEARD_LIMIT_DB = -6.0
"""How loud another talker must be at least, against what it sent."""

FOUND = 0.16
"""Normalised correlation from which a talker counts as found in a window; chance stays far below."""

SIGNIFICANT = 6.0
"""Deviations from which a correlation with noise is no chance."""

_QUIET = 1e-3
"""RMS under which a window holds no speech."""


@dataclass(frozen=True)
class Found:
    """Where one talker is in a mix: one row a window in which it was found."""

    start: NDArray[np.int64]
    """First sample of the window in the mix."""
    source: NDArray[np.int64]
    """The talker's sample that stands there."""
    gain: NDArray[np.float64]
    """Its amplitude there against what it sent."""
    windows: int
    """Windows in which it spoke and could have been found."""

    @property
    def gain_db(self) -> float:
        """Median over the windows, -120 where it was found in less than half of them."""
        if not self.windows or 2 * len(self.gain) < self.windows:
            return -120.0
        return decibels(float(np.median(self.gain)))

    def place_at(self, start: int) -> int:
        """The talker's sample at a place in the mix, by the nearest window in which it was found."""
        nearest = int(np.argmin(np.abs(self.start - start)))
        return int(self.source[nearest] + start - self.start[nearest])

    @property
    def share(self) -> float:
        """Of the windows in which it spoke, those in which it was found."""
        return len(self.gain) / self.windows if self.windows else 0.0


def find(
    mix: Samples,
    source: Samples,
    *,
    window: int,
    earliest: NDArray[np.int64],
    reach: int,
    least: float = FOUND,
) -> Found:
    """Look a talker up in a mix, window by window.

    Args:
        window: samples in a window; windows follow each other without overlap.
        earliest: int64[windows], the first sample of `source` that might stand at each window's start.
        reach: how many samples further it may be.
        least: normalised correlation from which it counts as found.
    """
    size = 1 << int(np.ceil(np.log2(2 * window + reach)))
    starts, places, gains, spoken = [], [], [], 0
    quiet = window * _QUIET**2
    for number, first in enumerate(earliest):
        heard = mix[number * window : (number + 1) * window]
        said = _slice(source, int(first), window + reach)
        energy = _running_energy(said, window)
        if len(heard) < window or energy.max() < quiet:
            continue
        spectrum = np.fft.rfft(said, size) * np.conj(np.fft.rfft(heard, size))
        product = np.fft.irfft(spectrum, size)[: reach + 1]
        # Rank by normalised correlation: a loud stretch elsewhere must not beat the right place.
        alike = np.where(energy < quiet, 0.0, product / np.sqrt(energy))
        place = int(np.argmax(alike))
        loudness = float(np.sqrt(np.square(heard, dtype=np.float64).sum()))
        clear = alike[place] > least * max(loudness, 1e-9)
        if clear:
            starts.append(number * window)
            places.append(int(first) + place)
            gains.append(product[place] / energy[place])
        # A talker that was silent for part of the reach may be silent here: not finding it means nothing.
        spoken += clear or energy.min() >= quiet
    return Found(np.array(starts, np.int64), np.array(places, np.int64), np.array(gains), spoken)


def without(mix: Samples, found: list[tuple[Samples, Found]], window: int) -> Samples:
    """What remains of the whole windows of a mix when the talkers found in it are taken out.

    In each window their amplitudes are fitted together (least squares), so that voices that resemble
    each other by chance do not stain the rest. A talker too faint to be found in a window is taken out
    of it all the same, where the nearest window says that it is.
    """
    rest = mix[: len(mix) // window * window].astype(np.float32)
    present = [(source, where) for source, where in found if len(where.start)]
    for start in range(0, len(rest) if present else 0, window):
        parts = [_slice(source, where.place_at(start), window) for source, where in present]
        basis = np.stack(parts, axis=1).astype(np.float64)
        heard = rest[start : start + window]
        weights, *_ = np.linalg.lstsq(basis, heard, rcond=None)
        heard -= (basis @ weights).astype(np.float32)
    return rest


def strongest_db(rest: Samples, own: Samples, lags: tuple[int, int] | None = None) -> float:
    """How loud `own` is in `rest` at the place where it is loudest, in dB against what was sent.

    Every place is tried, or those from the first lag to the second; also negative amplitudes, since an
    echo may be inverted.
    """
    energy = float(np.square(own, dtype=np.float64).sum())
    if not energy or not len(rest):
        return -120.0
    size = 1 << int(np.ceil(np.log2(len(rest) + len(own))))
    product = np.abs(np.fft.irfft(np.fft.rfft(rest, size) * np.conj(np.fft.rfft(own, size)), size))
    if lags is not None:
        product = product[np.arange(*lags) % size]
    return decibels(float(product.max()) / energy)


def by_chance_db(rest: Samples, own: Samples) -> float:
    """How loud noise like `own` may seem to be in `rest` without being there.

    `strongest_db` takes the largest of some 10^5 places, where chance reaches 4.5 deviations and never
    `SIGNIFICANT`. Under this level it has proved nothing.
    """
    energy = float(np.square(own, dtype=np.float64).sum())
    other = float(np.mean(np.square(rest, dtype=np.float64))) if len(rest) else 0.0
    return decibels(SIGNIFICANT * float(np.sqrt(other / energy))) if energy else 0.0


def window_level_db(rest: Samples, against: Samples, window: int) -> float:
    """RMS of one signal against that of another in the median window, in dB.

    A packet that was lost and patched over stains its window; a voice that should not be there stains
    all of them.
    """
    starts = range(0, min(len(rest), len(against)) - window + 1, window)
    levels = [level_db(rest[start : start + window], against[start : start + window]) for start in starts]
    return float(np.median(levels)) if levels else -120.0


def level_db(rest: Samples, against: Samples) -> float:
    """RMS of one signal against that of another, in dB."""
    loud = float(np.sqrt(np.mean(np.square(against, dtype=np.float64)))) if len(against) else 0.0
    if not loud or not len(rest):
        return -120.0
    return decibels(float(np.sqrt(np.mean(np.square(rest, dtype=np.float64)))) / loud)


def decibels(ratio: float) -> float:
    """20 log10, with a floor of -120."""
    return float(20 * np.log10(max(ratio, 1e-6)))


def latencies_ns(
    found: Found,
    window: int,
    samples: int,
    heard_ns: NDArray[np.int64],
    said_ns: NDArray[np.int64],
    every: int = 16,
) -> NDArray[np.int64]:
    """Mouth to ear, for every 16th sample of the windows found.

    From when the packet that held the sample was sent (`said_ns`, one a packet of `samples`) to when
    the packet that held it in the mix arrived (`heard_ns`).
    """
    offset = np.arange(0, window, every)
    ear = (found.start[:, None] + offset) // samples
    mouth = (found.source[:, None] + offset) // samples
    known = (ear >= 0) & (ear < len(heard_ns)) & (mouth >= 0) & (mouth < len(said_ns))
    return np.asarray(heard_ns[ear[known]] - said_ns[mouth[known]], np.int64)


def _slice(signal: Samples, first: int, count: int) -> Samples:
    """`count` samples from `first`, zeros where there are none."""
    out = np.zeros(count, np.float32)
    begin, end = max(first, 0), min(first + count, len(signal))
    if begin < end:
        out[begin - first : end - first] = signal[begin:end]
    return out


def _running_energy(signal: Samples, window: int) -> NDArray[np.float64]:
    """Energy of each stretch of `window` samples, never zero."""
    total = np.concatenate(([0.0], np.cumsum(np.square(signal, dtype=np.float64))))
    return np.asarray(np.maximum(total[window:] - total[:-window], 1e-9), np.float64)
