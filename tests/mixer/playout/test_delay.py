"""The target delay: edges follow the leads that packets have, outwards at once and back by and by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixer.playout.delay import Delays

ROWS = np.array([0])
TICK = 160


def delays(least: int = TICK, most: int = 1600) -> Delays:
    made = Delays(1, 8000, TICK)
    made.open(0, least, most)
    made.restart(ROWS, np.array([least]))
    return made


def learn(made: Delays, leads: list[float] | NDArray[np.int64]) -> Delays:
    for lead in leads:
        made.learn(ROWS, np.array([int(lead)]), TICK)
    return made


def test_undisturbed_there_is_nothing_to_do() -> None:
    assert learn(delays(), [TICK] * 100).spare(ROWS) == 0
    assert not len(learn(delays(), [TICK] * 100).odd(1))


def test_a_lack_is_seen_within_a_few_packets() -> None:
    late = learn(delays(), [TICK - 800] * 5)
    assert late.spare(ROWS) == -800
    assert late.odd(1).tolist() == [0]


def test_one_straggler_counts_little_and_is_forgotten() -> None:
    once = learn(delays(), [TICK, TICK - 1600])
    assert once.spare(ROWS) == -TICK
    assert learn(once, [TICK] * 1000).spare(ROWS) >= -1


def test_spare_is_given_back_within_seconds() -> None:
    early = learn(delays(), [TICK + 800] * 50)
    assert 0 < early.spare(ROWS)[0] < 800 * 0.4, "after one second"
    assert learn(early, [TICK + 800] * 400).spare(ROWS) > 800 * 0.9, "after nine"


def test_the_delay_is_for_all_but_the_slowest() -> None:
    chance = np.random.default_rng(1)
    leads = chance.integers(0, 800, 2000)
    shaken = learn(delays(), leads)
    assert np.count_nonzero(leads < shaken.low[0] - TICK) == 0, "a margin behind the edge nobody comes late"
    assert shaken.high[0] > 700


def test_no_further_than_the_bounds() -> None:
    late = learn(delays(most=400), [TICK, *[TICK - 800] * 20])
    assert late.spare(ROWS) == -late.room(ROWS)
    assert late.room(ROWS) <= 400 - late.high[0] + 1
    long = learn(delays(least=800), [800, *[400] * 20])
    assert long.spare(ROWS) == 0, "what the leg has at least covers it"
    assert not len(long.odd(1))


def test_a_cursor_that_moves_takes_the_edges_along() -> None:
    early = learn(delays(), [TICK + 800] * 1000)
    early.moved(ROWS, early.spare(ROWS))
    assert early.spare(ROWS) == 0
