"""The mix against plain sums; the limiter against its formula, for any number of voices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mixer import mixing
from tests import naive

WIDTH = 8
sample = st.integers(-32767, 32767)
voice = st.lists(sample, min_size=WIDTH, max_size=WIDTH)


@st.composite
def crowd(draw: st.DrawFn) -> list[tuple[int, list[int]]]:
    """Legs: (conference, voice)."""
    return draw(st.lists(st.tuples(st.integers(0, 3), voice), min_size=1, max_size=20))


def as_arrays(legs: list[tuple[int, list[int]]]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    conference = np.array([home for home, _ in legs], np.int64)
    return conference, np.array([voice for _, voice in legs], np.float32)


@given(crowd(), st.integers(1, 5))
def test_talkers_are_the_loudest(legs: list[tuple[int, list[int]]], limit: int) -> None:
    conference, voices = as_arrays(legs)
    rms = mixing.loudness(voices)
    chosen = mixing.loudest(conference, rms, np.full(len(legs), limit))
    expected: list[int] = []
    for home in sorted(set(conference.tolist())):
        levels = {str(n): float(rms[n]) for n in range(len(legs)) if conference[n] == home}
        expected += [int(name) for name in naive.loudest(levels, limit)]
    assert chosen.tolist() == expected


@given(crowd())
def test_everybody_hears_all_but_himself(legs: list[tuple[int, list[int]]]) -> None:
    conference, voices = as_arrays(legs)
    order = np.argsort(conference, kind="stable")
    mix = mixing.mix(order + 100, conference[order], voices[order])
    assert mix.conference.tolist() == sorted(set(conference.tolist()))
    for c, home in enumerate(mix.conference.tolist()):
        members = [n for n in order.tolist() if conference[n] == home]
        heard = naive.mix({str(n): legs[n][1] for n in members}, [str(n) for n in members], WIDTH)
        near(mix.common[c], heard[""])
        start = int(mix.start[c])
        assert mix.talker[start : start + len(members)].tolist() == [n + 100 for n in members]
        for n, member in enumerate(members):
            near(mix.minus[start + n], heard[str(member)])


def near(mine: NDArray[np.int16], expected: list[int]) -> None:
    """Equal where nothing was bent; within float32 where the limiter was at work."""
    for got, want in zip(mine.tolist(), expected, strict=True):
        assert abs(got - want) <= (0 if abs(want) <= 24000 else 1)


@given(st.lists(st.floats(-5e6, 5e6, width=32), min_size=1, max_size=50))
def test_limiter_never_wraps(samples: list[float]) -> None:
    limited = mixing.limit(np.array([samples], np.float32))[0]
    for sample, got in zip(samples, limited.tolist(), strict=True):
        assert abs(got - naive.limited(sample)) <= 1
        assert got == 0 or (got > 0) == (sample > 0)


def test_limiter_is_monotonic() -> None:
    ramp = np.linspace(-200_000, 200_000, 40_001, dtype=np.float32)
    assert (np.diff(mixing.limit(ramp[None, :])[0].astype(int)) >= 0).all()


def test_fifteen_at_full_scale_minus_one_is_exact() -> None:
    """Integers of this size are exact in float32: what is taken off is what was put in."""
    voices = np.full((15, WIDTH), 32767, np.float32)
    voices[1:] = np.random.default_rng(0).integers(-1000, 1000, (14, WIDTH))
    mix = mixing.mix(np.arange(15), np.zeros(15, np.int64), voices)
    assert (mix.minus[0] == voices[1:].sum(axis=0)).all()


def test_alone_one_hears_silence() -> None:
    mix = mixing.mix(np.array([4]), np.array([2]), np.full((1, WIDTH), 12345.678, np.float32))
    assert not mix.minus.any()


def test_nobody() -> None:
    mix = mixing.mix(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, WIDTH), np.float32))
    assert mix.common.shape == mix.minus.shape == (0, WIDTH)
    assert mixing.limit(np.empty((0, WIDTH), np.float32)).shape == (0, WIDTH)


@given(voice)
def test_loudness_is_rms(samples: list[int]) -> None:
    assert mixing.loudness(np.array([samples], np.float32))[0] == pytest.approx(naive.rms(samples), rel=1e-4)


@pytest.mark.parametrize(("rms", "level"), [(32767, 0), (3276.7, 20), (327.67, 40), (1, 90), (0, 127), (1e-9, 127)])
def test_levels(rms: float, level: int) -> None:
    assert mixing.dbov(np.array([rms], np.float32)).tolist() == [level]
