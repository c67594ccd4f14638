"""The loudness meter against the coefficients, the calibration and the test signals of its standards."""

from __future__ import annotations

import numpy as np
import pytest

from tests.loudness import high_pass, loudness, shelf
from tests.tones import sine


def level(db: float) -> float:
    return float(10 ** (db / 20))


def test_filters_are_those_of_the_recommendation() -> None:
    """BS.1770-4, tables 1 and 2, for 48 kHz."""
    numerator, denominator = shelf(48000)
    assert numerator == pytest.approx([1.53512485958697, -2.69169618940638, 1.19839281085285], abs=1e-9)
    assert denominator[1:] == pytest.approx([-1.69065929318241, 0.73248077421585], abs=1e-9)
    numerator, denominator = high_pass(48000)
    assert denominator[1:] == pytest.approx([-1.99004745483398, 0.99007225036621], abs=1e-9)


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
def test_a_sine_of_full_scale_is_3_01_below_zero(rate: int) -> None:
    """BS.1770-4: 0 dBFS at 997 Hz in one channel is -3.01 LKFS; 23 dB less is 23 LU less."""
    assert loudness(sine(997.0, 3.0, rate=rate, amplitude=1.0), rate) == pytest.approx(-3.01, abs=0.1)
    quiet = loudness(sine(997.0, 3.0, rate=rate, amplitude=level(-23.0)), rate)
    assert quiet == pytest.approx(-26.01, abs=0.1)


def test_two_channels_are_3_louder() -> None:
    """EBU Tech 3341, case 1: 1 kHz at -23 dBFS in both channels reads -23.0 LUFS."""
    tone = sine(1000.0, 20.0, rate=48000, amplitude=level(-23.0))
    assert loudness(np.stack([tone, tone], axis=1), 48000) == pytest.approx(-23.0, abs=0.1)


def test_pauses_do_not_count() -> None:
    """EBU Tech 3341, case 3: 10 s at -36, 60 s at -23, 10 s at -36 dBFS reads -23.0 LUFS."""
    parts = [sine(1000.0, s, rate=48000, amplitude=level(db)) for s, db in ((10, -36.0), (60, -23.0), (10, -36.0))]
    tone = np.concatenate(parts)
    assert loudness(np.stack([tone, tone], axis=1), 48000) == pytest.approx(-23.0, abs=0.1)


def test_silence_has_no_loudness() -> None:
    assert loudness(np.zeros(48000), 48000) == -np.inf


def test_bass_counts_less_and_treble_more() -> None:
    at = {hz: loudness(sine(hz, 3.0, rate=48000, amplitude=0.1), 48000) for hz in (30.0, 1000.0, 4000.0)}
    assert at[30.0] < at[1000.0] - 4
    assert at[4000.0] > at[1000.0] + 2.5
