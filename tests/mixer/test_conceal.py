"""Concealment by itself: it goes on as it was, fades, and leaves what came alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mixer import conceal
from mixer.samples import EMPTY

rates = pytest.mark.parametrize("rate", [8000, 16000, 48000])


def sine(hertz: float, rate: int, first: int, count: int, amplitude: float = 8000) -> NDArray[np.int16]:
    at = np.arange(first, first + count)
    return np.rint(amplitude * np.sin(2 * np.pi * hertz * at / rate)).astype(np.int16)


def lose(frame: NDArray[np.int16], first: int, last: int) -> NDArray[np.int16]:
    gapped = frame.copy()
    gapped[first:last] = EMPTY
    return gapped


def mended(history: NDArray[np.int16], frame: NDArray[np.int16], rate: int, lost: int = 0) -> NDArray[np.int16]:
    missing = frame == EMPTY
    result: NDArray[np.int16] = conceal.mend(
        history[None, :], frame[None, :], missing[None, :], np.array([lost]), rate
    )[0]
    return result


@rates
@pytest.mark.parametrize("hertz", [80, 150, 237, 400, 737])
def test_a_period_goes_on(rate: int, hertz: float) -> None:
    """Within a tenth of the level: a period is a whole number of samples, at 8 kHz the worst."""
    width = rate // 50
    history = sine(hertz, rate, 0, 2 * width)
    frame = sine(hertz, rate, 2 * width, width)
    result = mended(history, lose(frame, 0, width), rate)
    hold = rate * conceal.HOLD_MS // 1000
    assert np.abs(result[:hold].astype(int) - frame[:hold]).max() < 8000 * (0.35 if rate == 8000 else 0.15)
    step = np.abs(np.diff(np.concatenate([history, result]).astype(int))).max()
    assert step < 1.4 * np.abs(np.diff(history.astype(int))).max()


@rates
def test_what_came_is_left_alone(rate: int) -> None:
    width = rate // 50
    frame = sine(300, rate, 2 * width, width)
    result = mended(sine(300, rate, 0, 2 * width), lose(frame, width // 2, width), rate)
    assert (result[: width // 2] == frame[: width // 2]).all()


@rates
def test_fades_out_within_its_time(rate: int) -> None:
    width = rate // 50
    history, lost = sine(200, rate, 0, 2 * width), 0
    levels = []
    for _ in range(5):
        frame = mended(history, np.full(width, EMPTY, np.int16), rate, lost)
        levels.append(int(np.abs(frame).max()))
        history = np.concatenate([history[width:], frame])
        lost += width
    assert levels[0] > 7000
    assert levels == sorted(levels, reverse=True)
    assert levels[3:] == [0, 0]


@rates
def test_sound_that_returns_just_before_a_tick_ends_is_still_blended_in(rate: int) -> None:
    width, back = rate // 50, rate // 1000
    history, frame = sine(300, rate, 0, 2 * width), sine(300, rate, 2 * width, width)
    first = mended(history, lose(frame, 0, width - back), rate, 2 * width)
    state = conceal.run_at_end(np.arange(width)[None, :] < width - back, np.array([2 * width]), rate)
    after = sine(300, rate, 3 * width, width)
    second = mended(np.concatenate([history[width:], first]), after, rate, int(state[0]))
    step = np.abs(np.diff(np.concatenate([first, second]).astype(int))).max()
    assert step < 1.2 * np.abs(np.diff(after.astype(int))).max()
    blend = conceal.BLEND_MS * rate // 1000
    assert (second[blend:] == after[blend:]).all()


@rates
@pytest.mark.parametrize("ticks", [1, 2, 4])
@pytest.mark.parametrize("phase", range(8))
def test_sound_that_returns_just_before_a_tick_ends_does_not_click_when_concealment_had_faded(
    rate: int, ticks: int, phase: int
) -> None:
    width, back, lost, first = rate // 50, rate // 1000, 0, phase * rate // 440 // 8
    sound, said = sine(440, rate, first, 2 * width), sine(440, rate, first + 2 * width, (ticks + 2) * width)
    for tick in range(ticks + 2):
        missing = np.arange(width) + tick * width < (ticks + 1) * width - back
        frame = np.where(missing, EMPTY, said[tick * width : (tick + 1) * width]).astype(np.int16)
        sound = np.concatenate([sound, mended(sound[-2 * width :], frame, rate, lost)])
        lost = int(conceal.run_at_end(missing[None, :], np.array([lost]), rate)[0])
    assert np.abs(np.diff(sound.astype(int))).max() < 1.3 * np.abs(np.diff(said.astype(int))).max()


@rates
@pytest.mark.parametrize("lost_ms", [0, 18])
@pytest.mark.parametrize("there", [(0, 2), (2, 4), (2, 12), (10, 18)])
def test_sound_that_returns_and_goes_again_within_a_tick(rate: int, lost_ms: int, there: tuple[int, int]) -> None:
    width, first, last = rate // 50, there[0] * rate // 1000, there[1] * rate // 1000
    history, frame = sine(300, rate, 0, 2 * width), sine(300, rate, 2 * width, width)
    frame = lose(lose(frame, 0, first), last, width)
    sound = np.concatenate([history, mended(history, frame, rate, lost_ms * rate // 1000)]).astype(int)
    assert np.abs(np.diff(sound)).max() < 1.3 * np.abs(np.diff(history.astype(int))).max()


def test_silence_stays_silence() -> None:
    empty = np.full(160, EMPTY, np.int16)
    assert not mended(np.full(320, EMPTY, np.int16), empty, 8000, 480).any()


@given(st.lists(st.booleans(), min_size=8, max_size=8), st.integers(0, 40))
def test_run_at_end(gone: list[bool], lost: int) -> None:
    run = 0
    for last in reversed(gone):
        if not last:
            break
        run += 1
    since = gone[::-1].index(True) if any(gone) else 0
    expected = lost + run if all(gone) else run or -since
    assert conceal.run_at_end(np.array([gone]), np.array([lost]), 8000).tolist() == [expected]


def test_more_legs_than_are_searched() -> None:
    count = conceal.SEARCHES + 6
    history = np.tile(sine(200, 8000, 0, 320), (count, 1))
    frames = np.full((count, 160), EMPTY, np.int16)
    result = conceal.mend(history, frames, frames == EMPTY, np.zeros(count, np.int64), 8000)
    assert (np.abs(result).max(axis=1) > 6000).all()
