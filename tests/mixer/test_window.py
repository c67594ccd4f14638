"""Packets of any ptime, cut from ticks: against a composition sample by sample."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixer import mixing, window
from mixer.limiter import Limiter
from mixer.mixing import Mix

TICKS = 12
LEGS = {leg: leg % 2 for leg in range(6)}
"""Leg to conference."""
each_tick = pytest.mark.parametrize("tick_ms", [10, 20])
each_ptime = pytest.mark.parametrize("ptime", [10, 20, 30, 40, 60])

Said = list[dict[int, list[int]]]
"""For each tick, what each talker says, one sample a millisecond."""


def mix_of(said: dict[int, list[int]], width: int) -> Mix:
    legs = sorted(said, key=lambda leg: (LEGS[leg], leg))
    voices = np.array([said[leg] for leg in legs], np.float32).reshape(len(legs), width)
    return mixing.mix(np.array(legs, np.int64), np.array([LEGS[leg] for leg in legs], np.int64), voices, Limiter(8, 20))


@each_tick
@each_ptime
def test_every_millisecond_is_due_once(tick_ms: int, ptime: int) -> None:
    numbers = [n for frame in range(600 // tick_ms) for n in window.due(ptime, tick_ms, frame)]
    assert numbers == list(range(600 // ptime))
    for frame in range(600 // tick_ms):
        for n in window.due(ptime, tick_ms, frame):
            assert (n + 1) * ptime <= (frame + 1) * tick_ms, "not before it is complete"
            assert (n + 1) * ptime > frame * tick_ms, "and at once then"


@st.composite
def talk(draw: st.DrawFn, tick_ms: int) -> Said:
    """Who says what in each tick; small numbers, so that nothing is limited."""
    rows = st.lists(st.integers(-900, 900), min_size=tick_ms, max_size=tick_ms)
    return [draw(st.dictionaries(st.sampled_from(sorted(LEGS)), rows, max_size=4)) for _ in range(TICKS)]


@each_tick
@each_ptime
@given(data=st.data())
@settings(max_examples=15)
def test_packets_are_pieces_of_ticks(tick_ms: int, ptime: int, data: st.DataObject) -> None:
    said = data.draw(talk(tick_ms))
    mixes: deque[Mix] = deque(maxlen=window.LONGEST_MS // tick_ms + 1)
    for frame in range(TICKS):
        mixes.append(mix_of(said[frame], tick_ms))
        for number in window.due(ptime, tick_ms, frame):
            composed = window.compose(mixes, tick_ms, frame, number * ptime, ptime)
            check(composed, said, tick_ms, number * ptime, ptime)


def check(composed: Mix, said: Said, tick_ms: int, begin: int, ptime: int) -> None:
    moments = [divmod(ms, tick_ms) for ms in range(begin, begin + ptime)]
    ticks = sorted({tick for tick, _ in moments})
    talkers = {leg for tick in ticks for leg in said[tick]}
    assert set(composed.talker.tolist()) == talkers
    assert composed.conference.tolist() == sorted({LEGS[leg] for leg in talkers})
    bounds = [*composed.start.tolist(), len(composed.talker)]
    for c, conference in enumerate(composed.conference.tolist()):
        everybody = [spoken(said, conference, tick, at, None) for tick, at in moments]
        assert composed.common[c].tolist() == everybody
        for place in range(bounds[c], bounds[c + 1]):
            leg = int(composed.talker[place])
            assert LEGS[leg] == conference
            assert composed.minus[place].tolist() == [spoken(said, conference, tick, at, leg) for tick, at in moments]


def spoken(said: Said, conference: int, tick: int, at: int, without: int | None) -> int:
    return sum(voice[at] for leg, voice in said[tick].items() if LEGS[leg] == conference and leg != without)


def test_the_first_packet_needs_ticks_that_were_never_mixed() -> None:
    composed = window.compose([mix_of({0: [5] * 20}, 20)], 20, 2, 0, 60)
    assert composed.common[0].tolist() == [0] * 40 + [5] * 20


@each_tick
@pytest.mark.parametrize("ptime", [10, 40, 60])
def test_sides_are_cut_as_the_mix_is(tick_ms: int, ptime: int) -> None:
    """Everybody is on the left: then the side is the mix. In one tick nobody listened in stereo."""
    rng = np.random.default_rng(ptime)
    mixes: deque[Mix] = deque(maxlen=window.LONGEST_MS // tick_ms + 1)
    for frame in range(TICKS):
        voices = rng.integers(-900, 900, (3, tick_ms)).astype(np.float32)
        talker, position = np.array([0, 2, 3]), np.full(3, -1, np.float32)
        stereo = None if frame == 0 else position
        mixes.append(mixing.mix(talker, talker % 2, voices, Limiter(2, tick_ms), stereo))
        for number in window.due(ptime, tick_ms, frame):
            composed = window.compose(mixes, tick_ms, frame, number * ptime, ptime)
            silent = max(0, tick_ms - number * ptime)
            if frame == 0:
                assert composed.side is composed.minus_side is None
                continue
            assert composed.side is not None
            assert composed.minus_side is not None
            assert (composed.side[:, silent:] == composed.common[:, silent:]).all()
            assert (composed.minus_side[:, silent:] == composed.minus[:, silent:]).all()
            assert not composed.side[:, :silent].any()
