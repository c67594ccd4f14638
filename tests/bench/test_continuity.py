"""Counting of losses, against hand-made sequences and a naive twin."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bench.continuity import Continuity, continuity

MS = 1_000_000


def judged(rows: Sequence[tuple[int, int, int, float]], *, legs: int = 1, until_ms: float) -> Continuity:
    """`rows` of (leg, ssrc, sequence, arrival in ms), in order of arrival."""
    columns = np.array([row[:3] for row in rows], np.int64).reshape(-1, 3)
    times = np.array([round(row[3] * MS) for row in rows], np.int64)
    return continuity(
        columns[:, 0].astype(np.intp),
        columns[:, 1],
        columns[:, 2],
        times,
        legs=legs,
        window_ns=(0, round(until_ms * MS)),
    )


def test_nothing_is_missing() -> None:
    c = judged([(0, 7, 65530 + n & 0xFFFF, 20 * n + 3) for n in range(10)], until_ms=200)
    assert (c.lost, c.duplicates, c.disordered, c.gaps, c.packets) == (0, 0, 0, 0, 10)


def test_two_are_lost_over_a_wrap() -> None:
    rows = [(0, 7, 65534 + n & 0xFFFF, 20 * n) for n in range(10) if n not in (1, 2)]
    c = judged(rows, until_ms=200)
    assert (c.lost, c.gaps) == (2, 1)
    assert c.largest_gap_ms == 60


def test_order_and_copies() -> None:
    order = [0, 2, 1, 3, 3, 4]
    c = judged([(0, 7, s, 15 * n) for n, s in enumerate(order)], until_ms=100)
    assert (c.lost, c.duplicates, c.disordered) == (0, 1, 1)


def test_a_switch_of_streams_loses_nothing() -> None:
    """The common stream goes on without a leg that talks: its numbers jump, and nothing is lost."""
    rows = [(0, 7, n, 20 * n) for n in range(5)]
    rows += [(0, 8, 900 + n, 100 + 20 * n) for n in range(5)]
    rows += [(0, 7, 10 + n, 200 + 20 * n) for n in range(5)]
    assert judged(rows, until_ms=300).lost == 0


def test_a_pause_at_a_switch_is_a_loss() -> None:
    rows = [(0, 7, n, 20 * n) for n in range(5)] + [(0, 8, n, 140 + 20 * n) for n in range(5)]
    assert judged(rows, until_ms=240).lost == 2


def test_a_leg_that_starts_late_ends_early_or_hears_nothing() -> None:
    rows = [(0, 7, n, 60 + 20 * n) for n in range(5)]  # 60 to 140 of 200 ms
    c = judged(rows, legs=2, until_ms=200)
    assert c.lost_by_leg.tolist() == [2 + 2, 10]


@given(st.sets(st.integers(1, 58)), st.permutations(range(60)))
def test_it_agrees_with_a_naive_count(dropped: set[int], shuffle: list[int]) -> None:
    """Reordered by up to three places and thinned out, one SSRC: lost is what is not there."""
    order = sorted(range(60), key=lambda n: n + shuffle[n] % 4)
    kept = [n for n in order if n not in dropped]
    rows = [(0, 7, n + 65500 & 0xFFFF, 20.0 * place) for place, n in enumerate(kept)]
    c = judged(rows, until_ms=20.0 * len(kept))
    assert c.lost == max(kept) - min(kept) + 1 - len(kept)
    assert c.disordered == sum(b < a for a, b in itertools.pairwise(kept))
    assert c.duplicates == 0
