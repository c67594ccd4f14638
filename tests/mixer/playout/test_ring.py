"""Rings against a list for each leg: what was written is read, wherever the cursor stands."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mixer.playout.ring import Ring
from mixer.samples import EMPTY

LENGTH, HISTORY, TICK = 60, 20, 5
REACH = LENGTH - HISTORY


class Naive:
    """One leg: its history and what is ahead, as lists."""

    def __init__(self) -> None:
        self.history, self.ahead = [EMPTY] * HISTORY, [EMPTY] * REACH

    def write(self, offset: int, sound: list[int]) -> None:
        for at, sample in enumerate(sound, offset):
            if 0 <= at < REACH:
                self.ahead[at] = sample

    def shift(self, by: int) -> None:
        self.ahead = self.ahead[by:] + [EMPTY] * by if by > 0 else ([EMPTY] * -by + self.ahead)[:REACH]

    def step(self) -> None:
        self.history = (self.history + self.ahead[:TICK])[TICK:]
        self.ahead = self.ahead[TICK:] + [EMPTY] * TICK


ACTS = st.one_of(
    st.tuples(st.just("write"), st.integers(-30, 60), st.integers(1, 30)),
    st.tuples(st.just("shift"), st.integers(-15, REACH), st.just(0)),
    st.tuples(st.just("step"), st.just(0), st.just(0)),
    st.tuples(st.just("forget"), st.just(0), st.just(0)),
)


@given(st.lists(st.tuples(st.integers(0, 2), ACTS), max_size=40))
@settings(max_examples=200)
def test_as_lists(acts: list[tuple[int, tuple[str, int, int]]]) -> None:
    ring, legs = Ring(3, LENGTH, HISTORY, TICK), [Naive() for _ in range(3)]
    everybody = np.arange(3)
    ring.wipe(everybody)
    for number, (leg, (act, amount, width)) in enumerate(acts):
        row = np.array([leg])
        if act == "write":
            sound = np.arange(width) + 100 * number
            ring.write(row, sound[None, :].astype(np.int16), np.array([amount]))
            legs[leg].write(amount, sound.tolist())
        elif act == "shift":
            # What an insertion would push out of reach is the past of the ring: see below.
            if amount < 0 and any(sample != EMPTY for sample in legs[leg].ahead[amount:]):
                continue
            ring.shift(row, np.array([amount]))
            legs[leg].shift(amount)
        elif act == "forget":
            ring.forget(row)
            legs[leg].ahead = [EMPTY] * REACH
        else:
            ring.step(everybody, np.ones(3, bool))
            for each in legs:
                each.step()
        assert ring.read(everybody, -HISTORY, HISTORY).tolist() == [each.history for each in legs]
        assert ring.read(everybody, 0, REACH).tolist() == [each.ahead for each in legs]


def test_an_insertion_into_a_full_ring_loses_the_end_and_keeps_the_past() -> None:
    ring, row = Ring(1, LENGTH, HISTORY, TICK), np.array([0])
    ring.wipe(row)
    for tick in range(HISTORY // TICK):
        ring.write(row, np.full((1, TICK), tick + 1, np.int16), np.array([0]))
        ring.step(row, np.ones(1, bool))
    ring.write(row, np.arange(REACH, dtype=np.int16)[None, :] + 100, np.array([0]))
    past = ring.read(row, -HISTORY, HISTORY)
    ring.shift(row, np.array([-7]))
    assert (ring.read(row, -HISTORY, HISTORY) == past).all()
    assert ring.read(row, 0, REACH)[0].tolist() == [EMPTY] * 7 + list(range(100, 100 + REACH - 7))
