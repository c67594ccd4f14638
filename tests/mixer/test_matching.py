"""Matching against a naive twin: every place tried, one leg at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer import matching


def naive(target: list[float], field: list[float], low: int, high: int) -> tuple[int, float]:
    """The first place with the highest correlation."""

    def likeness(at: int) -> float:
        part = field[at : at + len(target)]
        dot = sum(a * b for a, b in zip(target, part, strict=True))
        return dot / math.sqrt(sum(a * a for a in target) * sum(b * b for b in part) + 1.0)

    best = max(range(low, high + 1), key=lambda at: (likeness(at), -at))
    return best, likeness(best)


@given(st.integers(0, 1000), st.integers(0, 30), st.integers(0, 30))
def test_at_8_khz_every_place_is_tried(seed: int, first: int, more: int) -> None:
    chance = np.random.default_rng(seed)
    target = chance.normal(0, 1000, (3, 40)).astype(np.float32)
    field = chance.normal(0, 1000, (3, 100)).astype(np.float32)
    offset, likeness = matching.best(target, field, 8000, first, first + more)
    for leg in range(3):
        expected = naive(target[leg].tolist(), field[leg].tolist(), first, first + more)
        assert offset[leg] == expected[0]
        assert likeness[leg] == pytest.approx(expected[1], abs=1e-4)


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_what_is_there_is_found(rate: int) -> None:
    chance = np.random.default_rng(5)
    count = rate // 1000
    rough = np.cumsum(chance.normal(0, 300, (20, 50 * count)), axis=1)
    field = (rough - rough.mean(axis=1, keepdims=True)).astype(np.float32)
    place = chance.integers(0, 40 * count, 20)
    target = np.take_along_axis(field, place[:, None] + np.arange(10 * count), axis=1)
    offset, likeness = matching.best(target, field, rate)
    assert (offset == place).all()
    assert likeness.min() > 0.999


def test_level_does_not_matter() -> None:
    field = np.random.default_rng(6).normal(0, 1000, (1, 200)).astype(np.float32)
    offset, likeness = matching.best((field[:, 70:150] / 50).astype(np.float32), field, 8000)
    assert offset.tolist() == [70]
    assert likeness[0] > 0.99
