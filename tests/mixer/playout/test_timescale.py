"""Leaving out and inserting a period, by itself: a tone goes on in phase, silence stays silence."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mixer import matching
from mixer.playout import timescale
from tests.mixer import steady
from tests.mixer.journey import tone

rates = pytest.mark.parametrize("rate", [8000, 16000, 48000])
pitches = pytest.mark.parametrize("hertz", [90.0, 137.0, 440.0, 1000.0, 2345.0])


def longest(rate: int) -> int:
    return matching.LONGEST_MS * rate // 1000


def check_pure(sound: NDArray[np.int16], rate: int, hertz: float) -> None:
    for shift in range(0, rate // 50, rate // 400):
        assert steady.residue(sound[shift:], rate, hertz, 8000.0).max() < -35.0
        assert steady.level(sound[shift:], rate, 8000.0)[1:-1].min() > -1.0


@rates
@pitches
def test_a_tone_that_was_shortened_is_a_tone(rate: int, hertz: float) -> None:
    said = tone(hertz, rate, 200)
    at = rate // 10
    patch = timescale.shorten(said[None, at:], np.array([longest(rate)]), rate)
    lag, sound = int(patch.lag[0]), patch.sound[0]
    assert timescale.shortest(rate) <= lag <= longest(rate)
    assert patch.likeness[0] > 0.98
    check_pure(np.concatenate([said[:at], sound, said[at + lag + len(sound) :]]), rate, hertz)


@rates
@pitches
def test_a_tone_that_was_stretched_is_a_tone(rate: int, hertz: float) -> None:
    said = tone(hertz, rate, 200)
    at = rate // 10
    patch = timescale.stretch(said[None, at - longest(rate) : at], said[None, at:], rate)
    lag, sound = int(patch.lag[0]), patch.sound[0]
    assert timescale.shortest(rate) <= lag <= longest(rate)
    assert patch.likeness[0] > 0.98
    check_pure(np.concatenate([said[:at], sound, said[at - lag + len(sound) :]]), rate, hertz)


@rates
def test_no_more_is_left_out_than_may_be(rate: int) -> None:
    said = np.tile(tone(90.0, rate, 100), (5, 1))
    most = np.linspace(timescale.shortest(rate), longest(rate), 5).astype(np.int64)
    lag = timescale.shorten(said, most, rate).lag
    assert (lag <= most).all()
    assert (lag >= timescale.shortest(rate)).all()


def test_each_leg_has_a_period_of_its_own() -> None:
    said = np.stack([tone(hertz, 8000, 100) for hertz in (100.0, 125.0, 160.0)])
    together = timescale.shorten(said, np.full(3, longest(8000)), 8000)
    assert together.lag.tolist() == [80, 64, 50] or (together.lag * [100, 125, 160] % 8000 == 0).all()
    for leg in range(3):
        alone = timescale.shorten(said[leg : leg + 1], np.array([longest(8000)]), 8000)
        assert (alone.sound[0] == together.sound[leg]).all()


def test_hiss_is_like_nothing() -> None:
    hiss = np.random.default_rng(3).integers(-8000, 8000, (8, 400)).astype(np.int16)
    assert timescale.shorten(hiss, np.full(8, longest(8000)), 8000).likeness.max() < 0.6
    assert timescale.stretch(hiss[:, :120], hiss[:, 120:], 8000).likeness.max() < 0.6
    silence = np.zeros((1, 400), np.int16)
    assert not timescale.shorten(silence, np.array([longest(8000)]), 8000).sound.any()
    assert not timescale.stretch(silence[:, :120], silence, 8000).sound.any()
