"""The playout buffer: a steady sound goes in, whatever the network does no click comes out, and in time.

A click is a step between neighbouring samples that the sound itself does not have. The sine's period fits
neither packets nor ticks, so that samples put in a wrong place show.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mixer.playout import Playout
from mixer.samples import EMPTY
from tests.mixer.line import ROW, Line, shaky
from tests.naive import Tape

HERTZ = 437.0
ROWS = np.array([ROW])
SMOOTH = 1.3
"""Steps up to so many times those of the sine itself: beats of two sines in a cross-fade have that."""
rates = pytest.mark.parametrize("rate", [8000, 16000, 48000])
ticks = pytest.mark.parametrize("tick_ms", [10, 20])


def line(**fields: object) -> Line:
    return Line(**{"hertz": HERTZ, **fields})  # type: ignore[arg-type]


def check(line: Line, loud: float = 0.9) -> None:
    """Smooth, within its bounds, and as loud as it should be in the end."""
    assert line.roughness() < SMOOTH
    assert line.deepest_ms <= line.delay_max_ms + 2 * max(1000 * line.width // line.rate, line.tick_ms)
    total = len(line.played) * line.tick_ms
    assert line.loudness(total - 400, total) > loud


@rates
@ticks
@pytest.mark.parametrize("ptime", [10, 20, 30, 40, 60])
def test_undisturbed_nothing_is_changed(rate: int, tick_ms: int, ptime: int) -> None:
    said = line(rate=rate, tick_ms=tick_ms, width=rate * ptime // 1000).run(1000)
    played = said.sound
    first = int(np.flatnonzero(played)[0]) - 1
    blend = rate * 4 // 1000
    expected = said.said(0, len(played) - first)
    assert (played[first + 2 * blend :] == expected[2 * blend :]).all(), "after the fade-in, sample by sample"
    assert first / rate * 1000 <= ptime + 20 + tick_ms, "and it took no longer than packet, delay and tick"
    assert said.playout.concealed[ROW] == 0
    check(said)


@pytest.mark.parametrize("width", [1, 37, 79, 80, 161, 240, 333, 480, 960])
def test_odd_sizes(width: int) -> None:
    check(line(width=width).run(800))
    check(line(width=width, lost={800 // (2 * width // 8 + 1)}).run(1600))


LOSSES = {"one": {30}, "two": {30, 31}, "six": set(range(30, 36)), "every third": set(range(10, 60, 3))}


@rates
@pytest.mark.parametrize("name", LOSSES)
def test_loss_does_not_click(rate: int, name: str) -> None:
    lossy = line(rate=rate, width=rate // 50, lost=LOSSES[name]).run(1600)
    assert lossy.playout.concealed[ROW] > 0
    check(lossy)


def test_a_short_loss_is_hardly_heard_and_a_long_one_fades() -> None:
    assert line(lost={30}).run(1000).loudness(600, 680) > 0.9
    gone = line(lost=set(range(30, 50))).run(1600)
    assert gone.loudness(740, 980) < 0.01
    assert gone.playout.concealed[ROW] <= 70 * 8, "and silence is not called concealment"
    check(gone)


def test_dtx_pause_and_resume() -> None:
    check(line(lost=set(range(20, 70))).run(2000))


@pytest.mark.parametrize("jitter_ms", [10.0, 18.0, 35.0])
@pytest.mark.parametrize("seed", range(4))
def test_reorder_within_the_delay_is_not_heard(jitter_ms: float, seed: int) -> None:
    shaken = line(late=shaky(seed, 100, jitter_ms), delay_min_ms=40).run(2000)
    assert shaken.playout.concealed[ROW] == 0
    assert shaken.refused == 0
    check(shaken, 0.98)


@pytest.mark.parametrize("jitter_ms", [60.0, 100.0, 150.0])
@pytest.mark.parametrize("seed", range(4))
def test_growing_does_not_click(jitter_ms: float, seed: int) -> None:
    check(line(late=shaky(seed, 200, jitter_ms)).run(4000))


def test_the_delay_grows_as_far_as_it_must_and_comes_back() -> None:
    stalled = line(late=dict.fromkeys(range(50, 100), 100.0)).run(12_000)
    assert stalled.loudness(1300, 2000) > 0.98, "all that is late together is heard"
    assert stalled.refused <= 2
    late = dict.fromkeys(range(50, 100), 100.0)
    later = line(late=late).run(12_000)
    assert int(later.playout.delay[ROW]) <= 40 * 8, "ten seconds later the delay is short again"
    assert later.roughness(3000) < SMOOTH


@given(st.dictionaries(st.integers(0, 99), st.floats(15, 40), max_size=20), st.integers(0, 3))
@settings(max_examples=15)
def test_copies_in_time_change_nothing(twice: dict[int, float], seed: int) -> None:
    """Later ones do not come so far: SRTP calls them replayed, and clear RTP has a window of its own."""
    late = shaky(seed, 100, 15)
    once, again = (line(late=late, twice=copies, delay_min_ms=60).run(2000) for copies in ({}, twice))
    assert (once.sound == again.sound).all()


@pytest.mark.parametrize("ppm", [200.0, -200.0, 2000.0, -2000.0])
def test_drift_is_followed(ppm: float) -> None:
    drifting = line(ppm=ppm).run(60_000 if abs(ppm) > 1000 else 30_000)
    check(drifting, 0.95)
    assert drifting.deepest_ms <= 80
    assert drifting.refused <= 3 * (1 + abs(ppm) / 1000)


@pytest.mark.parametrize(
    "jump", [160, -160, 800, -800, 2400, -2400, 4000, -4000, 80_000, -80_000, 1 << 31, 123_456_789]
)
def test_timestamp_jumps(jump: int) -> None:
    check(line(jump=(40, jump)).run(2400), 0.98)


@pytest.mark.parametrize("start", [0, 0xFFFF_FFFF - 3000, 0x8000_0000 - 3000])
def test_timestamps_wrap(start: int) -> None:
    check(line(start=start, delay_min_ms=20).run(1500), 0.99)


def test_a_burst_is_bounded() -> None:
    """Half a second of sound at once: what does not fit is skipped, and the rest is in time."""
    burst = line()
    for number in range(25):
        burst.place(number)
    for number in range(25, 100):
        burst.tick()
        burst.place(number)
    assert burst.deepest_ms <= burst.delay_max_ms + 40
    assert burst.roughness() < SMOOTH


def test_stop_forgets_what_waits_and_does_not_click() -> None:
    said = line()
    for number in range(20):
        said.place(number)
        said.tick()
    said.playout.stop(ROW)
    said.start += 99_999  # another SSRC has other timestamps
    for number in range(20, 60):
        said.place(number)
        said.tick()
    assert said.roughness() < SMOOTH


def test_legs_do_not_touch() -> None:
    both = Playout(3, 8000, 20)
    alone = Playout(3, 8000, 20)
    for row in range(3):
        both.open(row, 20, 200)
        alone.open(row, 20, 200)
    rng = np.random.default_rng(5)
    for n in range(200):
        voices = rng.integers(-8000, 8000, (3, 160)).astype(np.int16)
        come = np.flatnonzero(rng.random(3) < 0.8)
        if len(come):
            both.place(come, voices[come], np.full(len(come), 160 * n))
        if 1 in come:
            alone.place(np.array([1]), voices[1:2], np.array([160 * n]))
        rows, frames = both.take()
        mine, frame = alone.take()
        assert (1 in rows) == (1 in mine)
        if 1 in mine:
            assert (frames[rows == 1] == frame[mine == 1]).all()
        assert (frames != EMPTY).all()


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(1, 60)), min_size=1, max_size=25),
    st.integers(0, 0xFFFF_FFFF),
)
@settings(max_examples=60)
def test_in_time_packets_are_played_sample_by_sample(packets: list[tuple[int, int]], start: int) -> None:
    """Against a tape: packets of any size, overlapping and out of order, all within the delay."""
    playout, tape = Playout(1, 8000, 10), Tape()
    playout.open(0, 200, 200)
    rng = np.random.default_rng(1)
    first = np.full((1, 1), 7, np.int16)
    playout.place(np.array([0]), first, np.array([start]))
    tape.write(0, [7])
    for at, width in packets:
        pcm = rng.integers(-5, 5, width).astype(np.int16)
        playout.place(np.array([0]), pcm[None, :], np.array([start + 80 * at & 0xFFFF_FFFF]))
        tape.write(80 * at, pcm.tolist())
    for tick in range(40):
        rows, frames = playout.take()
        played = frames[0].tolist() if len(rows) else [0] * 80
        expected = tape.read(80 * (tick - 20), 80)
        gap_before = tick > 0 and None in tape.read(80 * (tick - 20) - 33, 33)
        if None not in expected and not gap_before:
            assert played == expected


@pytest.mark.parametrize("seed", range(4))
def test_admitted_now_and_written_when_due_is_the_same_sound(seed: int) -> None:
    """As a codec with memory does it: decode what begins before the tick ends, and no more."""
    at_once, in_time = line(), line()
    waiting: list[tuple[NDArray[np.int64], NDArray[np.int16]]] = []
    late = shaky(seed, 100, 70) | dict.fromkeys(range(100, 500), 0.0)
    for tick in range(500):
        for number in sorted(n for n in late if tick * 20 <= n * 20 + late[n] < (tick + 1) * 20):
            at_once.place(number)
            stamp, pcm = in_time.stamp(number), in_time.said(number * 160, 160)[None, :]
            if in_time.playout.admit(ROWS, 160, stamp)[0].all():
                waiting.append((stamp, pcm))
        wanted = in_time.playout.wanted(ROWS)[0]
        due = [item for item in waiting if in_time.playout.lead(ROWS, item[0])[0] < wanted]
        waiting = [item for item in waiting if in_time.playout.lead(ROWS, item[0])[0] >= wanted]
        for stamp, pcm in due:
            in_time.playout.write(ROWS, pcm, stamp)
        assert (at_once.playout.missing(ROWS) == in_time.playout.missing(ROWS)).all()
        assert (at_once.tick() == in_time.tick()).all()
    assert at_once.loudness(600, 10_000) > 0.9
    assert int(in_time.playout.waiting(ROWS)[0]) <= 40, "and the delay shrinks just as well"


def test_written_out_of_reach_is_dropped() -> None:
    playout = Playout(1, 8000, 20)
    playout.open(0, 20, 200)
    row, loud = np.array([0]), np.full((1, 4000), 1000, np.int16)
    playout.admit(row, 160, np.array([5000]))
    for far in (-4000, 4000, 1 << 31):
        playout.write(row, loud, np.array([5000 - 160 + far]))
        assert playout.missing(row) == [160]
    playout.write(row, loud, np.array([5000]))
    assert playout.missing(row) == [160], "a tick of delay comes first"
    assert not playout.take()[1].any()
    assert playout.missing(row) == [0]
