"""The target delay: edges follow the leads that packets have, outwards at once and back by and by."""

from __future__ import annotations

from collections.abc import Sequence

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


def learn(made: Delays, leads: Sequence[float] | NDArray[np.int64]) -> Delays:
    for lead in leads:
        made.learn(ROWS, np.array([int(lead)]), TICK)
        made.step()
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


def disturbed(made: Delays) -> Delays:
    """Some packets come 100 ms late, and then none for 100 ms."""
    return learn(made, [TICK - 800] * 5 + [TICK] * 5)


def test_what_happened_once_is_forgotten_within_a_second() -> None:
    once = disturbed(learn(delays(), [TICK] * 500))
    assert once.spare(ROWS) < -800 * 0.8, "not at once"
    assert learn(once, [TICK] * 45).spare(ROWS) > -800 * 0.25


def test_what_happens_again_is_kept_for_longer() -> None:
    again = learn(delays(), [TICK] * 500)
    for _ in range(3):
        learn(disturbed(again), [TICK] * 45)
    assert disturbed(again).spare(ROWS) < -800 * 0.8
    assert learn(again, [TICK] * 45).spare(ROWS) < -800 * 0.5
    assert learn(again, [TICK] * 400).spare(ROWS) > -800 * 0.1, "but not for ever"


def test_a_pause_is_no_calm() -> None:
    made, paused = (disturbed(learn(delays(), [TICK] * 500)) for _ in range(2))
    for _ in range(100):
        paused.step()
    paused.paused(ROWS, np.array([100 * TICK]))
    assert learn(paused, [TICK] * 10).spare(ROWS) == learn(made, [TICK] * 10).spare(ROWS)


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
    assert early.spare(ROWS) > 790
    early.moved(ROWS, early.spare(ROWS))
    assert early.spare(ROWS) == 0
