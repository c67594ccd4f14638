"""Whatever comes, whenever: nothing raises, waiting is bounded, and what is heard is heard in order."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mixer import matching
from tests.mixer.journey import Ear, Packet, Samples, cut, late

RATE = 8000
PTIMES = st.sampled_from([1, 5, 10, 20, 30, 60, 120])
JITTERS = st.floats(0, 150) | st.just(0.0)
SIZES = st.sampled_from([1, 7, 80, 160, 161, 480, 960])
TIMESTAMPS = st.integers(0, 0xFFFF_FFFF) | st.integers(0, 8000)
chance = np.random.default_rng(4)
HISS: Samples = np.asarray(chance.integers(-8000, 8000, 40_000), np.int16)
"""Five seconds in which no two places are alike."""
GRAIN = 24


@example([(0.0, 0, 1), (101.0, 0, 1), (121.0, 1, 80)], 10, (0, 20), 8000)
@given(
    st.lists(st.tuples(st.floats(0, 1500), TIMESTAMPS, SIZES), max_size=60),
    st.sampled_from([10, 20]),
    st.sampled_from([(0, 20), (20, 200), (200, 200), (60, 100)]),
    st.sampled_from([8000, 16000, 48000]),
)
@settings(max_examples=60, deadline=None)
def test_any_packets_at_any_time(
    come: list[tuple[float, int, int]], tick_ms: int, delays: tuple[int, int], rate: int
) -> None:
    ear = Ear(rate, tick_ms, *delays)
    ear.hear([Packet(arrival, timestamp, HISS[:size]) for arrival, timestamp, size in come], 2500)
    longest = max((size for *_, size in come), default=0) * 1000 / rate
    assert max(ear.waiting) <= delays[1] + 2 * max(longest, tick_ms) + 15
    assert not ear.part(2300, 2500).any(), "and then it ends"
    assert (ear.sound > -32768).all()
    assert np.abs(ear.sound.astype(int)).max() <= 8000, "nothing is louder than what came"


@given(st.lists(st.tuples(PTIMES, JITTERS), min_size=1, max_size=100), st.sampled_from([10, 20]))
@settings(max_examples=60, deadline=None)
def test_without_loss_all_is_heard_in_order(come: list[tuple[int, float]], tick_ms: int) -> None:
    """Again at most as far back as one period, where one is put in."""
    packets = cut(HISS, RATE, [ptime for ptime, _ in come])
    ear = Ear(RATE, tick_ms).hear(late(packets, [jitter for _, jitter in come[: len(packets)]]), 6000)
    heard = [_said(grain) for grain in np.lib.stride_tricks.sliding_window_view(ear.sound, GRAIN)[::GRAIN]]
    known = np.array([at for at in heard if at is not None])
    assert (np.diff(known) > GRAIN - 1 - matching.LONGEST_MS * RATE / 1000).all()


@given(st.lists(st.tuples(st.sampled_from([10, 20, 40, 60]), st.floats(0, 40)), min_size=20, max_size=60))
@settings(max_examples=30, deadline=None)
def test_what_comes_in_time_is_heard_once(come: list[tuple[int, float]]) -> None:
    """The delay covers what may happen, so nothing is invented, left out or heard twice."""
    packets = cut(HISS, RATE, [10, *(ptime for ptime, _ in come)])
    packets = late(packets, [0.0, *(jitter for _, jitter in come)][: len(packets)])
    ear = Ear(RATE, delay_min_ms=120, delay_max_ms=120).hear(packets, 6000)
    said = sum(len(packet.sound) for packet in packets)
    first = int(np.flatnonzero(ear.sound)[0])
    assert ear.refused == 0
    begin = first - int(np.flatnonzero(HISS)[0])
    assert (np.abs(ear.sound[begin + 40 : begin + said] - HISS[40:said]) == 0).all()


_INDEX = {HISS[at : at + GRAIN].tobytes(): at for at in range(len(HISS) - GRAIN)}


def _said(grain: Samples) -> int | None:
    """Where it was said; None if it was invented, blended or silence."""
    return _INDEX.get(grain.tobytes())
