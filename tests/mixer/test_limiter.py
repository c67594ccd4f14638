"""The limiter: never beyond the ceiling, the same for everybody, and without bending what it turns down."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mixer.limiter import CEILING, Limiter
from tests import naive

RATE, WIDTH = 8000, 160
ONE = np.zeros(1, np.int64)


def through(signal: NDArray[np.float64], tick_ms: int = 20) -> NDArray[np.float64]:
    """What one conference says, tick by tick."""
    limiter, width = Limiter(4, tick_ms), RATE * tick_ms // 1000
    ticks = signal.astype(np.float32).reshape(-1, 1, width)
    return np.concatenate([limiter.limit(ONE + 2, ONE, tick)[0][0] for tick in ticks]).astype(np.float64)


STEADY, BEATING = (400, 650, 1050), (403, 650, 1057)
"""Tones whose sum is the same in every tick, and is not."""


def three(seconds: float, peak: float, tones: tuple[int, ...] = STEADY) -> NDArray[np.float64]:
    """Three talkers, a tone each, whose sum reaches `peak`."""
    at = np.arange(round(seconds * RATE)) / RATE
    total = sum(np.sin(2 * np.pi * hertz * at) for hertz in tones)
    return np.asarray(total / np.abs(total).max() * peak)


def distortion_db(sound: NDArray[np.float64], tones: tuple[int, ...] = STEADY) -> float:
    """What is neither of the three tones, against them. A second of it: each lies on a line of the spectrum."""
    power = np.abs(np.fft.rfft(sound[-RATE:] * np.hanning(RATE))) ** 2
    wanted = np.zeros(len(power), bool)
    for hertz in tones:
        wanted[hertz - 2 : hertz + 3] = True
    return float(10 * np.log10(power[~wanted].sum() / power[wanted].sum()))


@pytest.mark.parametrize(("tones", "most"), [(STEADY, -60), (BEATING, -25)])
def test_what_is_too_loud_is_turned_down_and_not_bent(tones: tuple[int, ...], most: float) -> None:
    """6 dB too much. Bending it (tanh above 24000) gives -12 and -14 dB of distortion."""
    assert distortion_db(through(three(3.0, 2 * float(CEILING), tones)), tones) < most


def test_the_measure_hears_clipping() -> None:
    assert distortion_db(np.clip(three(1.0, 2 * float(CEILING)), -CEILING, CEILING)) > -20


@pytest.mark.parametrize("tick_ms", [10, 20])
def test_below_the_ceiling_nothing_changes(tick_ms: int) -> None:
    signal = np.rint(three(1.0, 31_900.0))
    assert (through(signal, tick_ms) == signal).all()


@pytest.mark.parametrize("tick_ms", [10, 20])
def test_after_a_shout_the_level_comes_back_within_half_a_second(tick_ms: int) -> None:
    quiet = np.rint(three(1.0, 8000.0))
    sound = through(np.concatenate([three(0.2, 120_000.0), quiet]), tick_ms)
    back = sound[len(sound) - len(quiet) :]
    gain = np.abs(back[:80]).max() / np.abs(quiet[:80]).max()
    assert gain < 0.5, "not at once"
    assert np.abs(back[RATE // 2 :] - quiet[RATE // 2 :]).max() <= 0.011 * 8000


def test_a_gain_goes_without_steps() -> None:
    """A steady tone beside a shout that comes and goes: its own level never jumps."""
    at = np.arange(2 * RATE)
    shout = np.where((at > 3000) & (at < 9000), 40_000.0, 0.0)
    limiter = Limiter(1, 20)
    tone = 3000 * np.sin(2 * np.pi * 500 * at / RATE)
    heard = []
    for n in range(0, len(at), WIDTH):
        rows = np.stack([tone[n : n + WIDTH] + shout[n : n + WIDTH], tone[n : n + WIDTH]]).astype(np.float32)
        heard.append(limiter.limit(ONE, np.zeros(2, np.int64), rows)[0][1])
    sound = np.concatenate(heard).astype(np.float64)
    envelope = np.sqrt(np.convolve(sound**2, np.ones(16) / 16, "valid"))  # a period
    assert np.abs(np.diff(envelope)).max() < 0.1 * envelope.max()
    assert envelope.min() < 0.8 * envelope.max(), "it was turned down with the shout"


rows = st.lists(st.lists(st.floats(-5e5, 5e5, width=32), min_size=20, max_size=20), min_size=1, max_size=4)


@given(st.lists(rows, min_size=1, max_size=6))
def test_as_the_naive_limiter(ticks: list[list[list[float]]]) -> None:
    mine, plain = Limiter(3, 20), naive.Limiter()
    for tick in ticks:
        sums = np.array(tick, np.float32)
        got = mine.limit(ONE + 1, np.zeros(len(tick), np.int64), sums)[0]
        want = plain.limit({str(n): [float(sample) for sample in row] for n, row in enumerate(sums)})
        assert np.abs(got - np.array(list(want.values()))).max() <= 2
        assert np.abs(got.astype(int)).max() <= CEILING


def test_conferences_do_not_touch() -> None:
    limiter = Limiter(5, 20)
    sums = np.stack([np.full(WIDTH, 90_000.0), np.full(WIDTH, 9_000.0)]).astype(np.float32)
    for _ in range(3):
        loud, other = limiter.limit(np.array([1, 3]), np.arange(2), sums)[0]
    assert (other == 9000).all()
    assert (loud <= CEILING).all()
    for _ in range(40):
        limiter.limit(np.array([3]), ONE, sums[1:])
    assert (limiter.limit(np.array([1]), ONE, sums[1:])[0] == 9000).all(), "time passes for who is silent"


sides = st.lists(st.tuples(st.floats(-60_000, 60_000), st.floats(-60_000, 60_000)), min_size=20, max_size=20)


@given(st.lists(sides, min_size=1, max_size=6))
def test_left_and_right_never_clip(ticks: list[list[tuple[float, float]]]) -> None:
    stereo, mono = Limiter(1, 20), Limiter(1, 20)
    for tick in ticks:
        mid, side = np.array(tick, np.float32).T[:, None, :]
        got, beside = stereo.limit(ONE, ONE, mid, side)
        assert beside is not None
        assert (np.abs(got.astype(int)) + np.abs(beside.astype(int))).max() <= CEILING
        assert (got == mono.limit(ONE, ONE, mid)[0]).all(), "mono listeners notice nothing"


def test_a_picture_that_fits_is_as_wide_as_it_was_meant() -> None:
    mid, side = np.full((1, WIDTH), 9000, np.float32), np.full((1, WIDTH), -8000, np.float32)
    limited = Limiter(1, 20).limit(ONE, ONE, mid, side)[1]
    assert limited is not None
    assert (limited == -8000).all()


def test_nobody() -> None:
    nothing = np.empty((0, WIDTH), np.float32)
    none = np.empty(0, np.int64)
    limiter = Limiter(1, 20)
    assert limiter.limit(none, none, nothing, nothing)[0].shape == (0, WIDTH)
    limiter.limit(ONE, ONE, np.full((1, WIDTH), 99_999, np.float32), np.full((1, WIDTH), 99_999, np.float32))
    assert limiter.limit(none, none, nothing, nothing)[0].shape == (0, WIDTH)
