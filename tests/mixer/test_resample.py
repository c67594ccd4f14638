"""Resampling: as long out as in, flat where it should pass, silent where it should not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mixer.resample import next_past, resample, taps
from mixer.streams import PAST
from tests.tones import level_db

RATES = (8000, 16000, 24000, 48000)
PAIRS = [(a, b) for a in RATES for b in RATES if a != b]
pairs = pytest.mark.parametrize(("source", "target"), PAIRS)


def convert(signal: NDArray[np.float64], source: int, target: int, tick_ms: int = 20) -> NDArray[np.float64]:
    """Tick by tick, as the engine does."""
    width = source * tick_ms // 1000
    past = np.zeros((1, taps(source, target)), np.float32)
    out = []
    for start in range(0, len(signal) - width + 1, width):
        frame = signal[None, start : start + width].astype(np.float32)
        part = resample(past, frame, source, target)
        assert part.shape == (1, target * tick_ms // 1000), "every tick gives one tick"
        out.append(part[0])
        past = next_past(past, frame)
    return np.concatenate(out).astype(np.float64)


def level_of(hertz: float, source: int, target: int, at: float | None = None) -> float:
    """What remains of a full tone of 1 s at `hertz`, measured at `at`, dB."""
    signal = np.sin(2 * np.pi * hertz * np.arange(source) / source)
    return level_db(convert(signal, source, target)[target // 4 :], hertz if at is None else at, rate=target)


@pytest.mark.parametrize("tick_ms", [10, 20])
@pairs
def test_length_is_exact(source: int, target: int, tick_ms: int) -> None:
    assert len(convert(np.zeros(source), source, target, tick_ms)) == target


@pairs
def test_passband_is_flat(source: int, target: int) -> None:
    """From 100 Hz to beyond where G.711 ends, 3.4 kHz of 4: shares are of the lower Nyquist frequency."""
    nyquist = min(source, target) / 2
    for share in (0.025, 0.2, 0.5, 0.7, 0.8, 0.85, 0.88):
        assert abs(level_of(share * nyquist, source, target)) < 0.1, f"{share * nyquist} Hz"


@pairs
def test_aliases_and_images_are_60_db_down(source: int, target: int) -> None:
    low = min(source, target)
    if target < source:
        for share in (1.12, 1.15, 1.2, 1.5, 1.8):
            hertz = share * low / 2
            if hertz < source / 2:
                assert level_of(hertz, source, target, low - hertz) < -60, f"{hertz} Hz folds"
    else:
        for share in (0.2, 0.5, 0.8, 0.85, 0.88):
            hertz = share * low / 2
            if low - hertz < target / 2:
                assert level_of(hertz, source, target, low - hertz) < -60, f"{hertz} Hz has an image"


@pairs
def test_delay_is_the_same_for_every_sample(source: int, target: int) -> None:
    """A straight line comes out as a straight line, 18 samples of the lower rate later."""
    low = min(source, target)
    seconds = convert(np.arange(source, dtype=np.float64) / source, source, target)
    expected = np.arange(target) / target - 18 / low
    assert np.abs(seconds - expected)[target // 10 :].max() < 0.02 / low


@pairs
def test_the_past_that_streams_keep_is_enough(source: int, target: int) -> None:
    assert taps(source, target) <= PAST


@pairs
def test_ticks_leave_no_seam(source: int, target: int) -> None:
    signal = np.sin(2 * np.pi * 440 * np.arange(source) / source)
    whole = convert(signal, source, target, 1000)
    assert np.abs(convert(signal, source, target) - whole).max() < 1e-5


def test_rows_do_not_touch() -> None:
    rng = np.random.default_rng(3)
    past, frame = (rng.standard_normal((4, n)).astype(np.float32) for n in (taps(8000, 48000), 160))
    together = resample(past, frame, 8000, 48000)
    for row in range(4):
        assert np.allclose(together[row], resample(past[row : row + 1], frame[row : row + 1], 8000, 48000), atol=1e-5)


def test_equal_rates_change_nothing() -> None:
    frame = np.ones((2, 160), np.float32)
    assert resample(np.zeros((2, taps(8000, 8000)), np.float32), frame, 8000, 8000) is frame
