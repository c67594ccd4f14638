"""The mix against plain sums, for any number of voices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mixer import mixing
from mixer.limiter import Limiter
from mixer.mixing import Mix
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


@given(crowd())
def test_everybody_hears_all_but_himself(legs: list[tuple[int, list[int]]]) -> None:
    conference, voices = as_arrays(legs)
    order = np.argsort(conference, kind="stable")
    mix = mixed(order + 100, conference[order], voices[order])
    assert mix.conference.tolist() == sorted(set(conference.tolist()))
    for c, home in enumerate(mix.conference.tolist()):
        members = [n for n in order.tolist() if conference[n] == home]
        sums = naive.mix({str(n): [float(sample) for sample in legs[n][1]] for n in members}, WIDTH)
        limiter = naive.Limiter()
        heard = limiter.limit(sums)
        near(mix.common[c], heard[""], limiter.gain)
        start = int(mix.start[c])
        assert mix.talker[start : start + len(members)].tolist() == [n + 100 for n in members]
        for n, member in enumerate(members):
            near(mix.minus[start + n], heard[str(member)], limiter.gain)


def near(mine: NDArray[np.int16], expected: list[int], gain: float) -> None:
    """Equal where nothing was limited; within float32 where the limiter was at work."""
    for got, want in zip(mine.tolist(), expected, strict=True):
        assert abs(got - want) <= (0 if gain == 1.0 else 1)


def mixed(
    talker: NDArray[np.int64],
    conference: NDArray[np.int64],
    voice: NDArray[np.float32],
    position: NDArray[np.float32] | None = None,
) -> Mix:
    """One tick, the first of its conferences."""
    return mixing.mix(talker, conference, voice, Limiter(100, 20), position)


def test_fifteen_minus_one_is_exact() -> None:
    """Integers of this size are exact in float32: what is taken off is what was put in."""
    voices = np.full((15, WIDTH), 17_000, np.float32)
    voices[1:] = np.random.default_rng(0).integers(-1000, 1000, (14, WIDTH))
    mix = mixed(np.arange(15), np.zeros(15, np.int64), voices)
    assert (mix.minus[0] == voices[1:].sum(axis=0)).all()


def test_alone_one_hears_silence() -> None:
    mix = mixed(np.array([4]), np.array([2]), np.full((1, WIDTH), 12345.678, np.float32))
    assert not mix.minus.any()


def test_nobody() -> None:
    mix = mixed(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, WIDTH), np.float32))
    assert mix.common.shape == mix.minus.shape == (0, WIDTH)


@given(voice)
def test_loudness_is_rms(samples: list[int]) -> None:
    assert mixing.loudness(np.array([samples], np.float32))[0] == pytest.approx(naive.rms(samples), rel=1e-4)


@pytest.mark.parametrize(("rms", "level"), [(32767, 0), (3276.7, 20), (327.67, 40), (1, 90), (0, 127), (1e-9, 127)])
def test_levels(rms: float, level: int) -> None:
    assert mixing.dbov(np.array([rms], np.float32)).tolist() == [level]


def test_sides_are_the_voices_by_position() -> None:
    voices = np.random.default_rng(1).integers(-3000, 3000, (3, WIDTH)).astype(np.float32)
    home, position = np.array([1, 1, 4]), np.array([-1.0, 0.5, 1.0], np.float32)
    mix = mixed(np.arange(3), home, voices, position)
    assert mix.side is not None
    assert mix.minus_side is not None
    assert (mix.side[0] == np.trunc(voices[0] - 0.5 * voices[1])).all()
    assert (mix.side[1] == -voices[2]).all()
    assert (mix.minus_side[0] == np.trunc(-0.5 * voices[1])).all()
    assert (mix.minus_side[1] == voices[0]).all()
    assert not mix.minus_side[2].any()
    left = mix.common.astype(int) + mix.side
    assert np.abs(left[0] - (2 * voices[0] + 0.5 * voices[1])).max() <= 1, "who is at -1 is on the left only"


def test_without_stereo_listeners_there_are_no_sides() -> None:
    mix = mixed(np.arange(1), np.arange(1), np.ones((1, WIDTH), np.float32))
    assert mix.side is None
    assert mix.minus_side is None


@pytest.mark.parametrize("width", [160, 960])
def test_fades_take_five_milliseconds(width: int) -> None:
    voice = np.full((3, width), 1000, np.float32)
    mixing.fade(voice, np.array([True, False, False]), np.array([False, True, False]), 20)
    quarter = width // 4
    assert voice[0, 0] == voice[1, -1] == 0
    assert np.abs(np.diff(voice[:2], axis=1)).max() <= 1000 / quarter * 1.001
    assert (voice[0, quarter:] == 1000).all()
    assert (voice[1, quarter:] == 0).all()
    assert (voice[2] == 1000).all()
