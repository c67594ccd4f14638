"""The whole line against the naive mixer, sample by sample: L16, so that nothing is rounded on the way."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests import naive
from tests.mixer.phone import Voice
from tests.mixer.room import MODES, Room
from tests.seating import Seating, faded

WIDTH = 160
TICKS = 14
STEADY = 4
"""Ticks after which all have begun. Voices are faded in; a whisper leaves no memory of it."""


def saying(ticks: list[NDArray[np.int16]]) -> Voice:
    """A voice that says these ticks, one after another."""
    whole = np.concatenate(ticks)
    return lambda numbers: whole[numbers]


@dataclass
class Tick:
    """What everybody is to hear, under his own name or the empty one; `exact` unless there was a fade or a limit."""

    heard: dict[str, list[int]]
    exact: bool


def expected(said: dict[str, list[list[int]]], limit: int) -> list[Tick]:
    seating, limiter, ticks = Seating(limit), naive.Limiter(), []
    for tick in range(TICKS):
        voices = {name: [float(sample) for sample in spoken[tick]] for name, spoken in said.items()}
        mixed = seating.tick({name: naive.rms(voice) for name, voice in voices.items()})
        before = limiter.gain
        heard = limiter.limit(naive.mix({name: faded(voices[name], how) for name, how in mixed.items()}, WIDTH))
        ticks.append(Tick(heard, before == limiter.gain == 1.0 and not any(mixed.values())))
    return ticks


@pytest.mark.parametrize("mode", MODES)
@given(seed=st.integers(0, 1 << 30), talkers=st.integers(1, 6), limit=st.integers(1, 6))
@settings(max_examples=6)
def test_as_the_naive_mixer(mode: str, seed: int, talkers: int, limit: int) -> None:
    chance, rng = random.Random(seed), np.random.default_rng(seed)
    room = Room()
    room.create(mode, max_talkers=limit)
    said: dict[str, list[list[int]]] = {}
    for number in range(talkers):
        ticks = []
        for tick in range(TICKS):
            loud = 3 if tick < STEADY else chance.choice([3, 300, 3000, 12_000, 32_767])
            ticks.append(rng.integers(-loud, loud + 1, WIDTH).astype(np.int16))
        said[f"p{number}"] = [tick.tolist() for tick in ticks]
        room.join(f"p{number}", saying(ticks), codec="L16")
    room.join("ear", codec="L16", direction="recvonly")
    room.run(20 * TICKS)
    wanted = expected(said, limit)
    for name, phone in room.phones.items():
        for tick in range(STEADY, TICKS - 1):
            mine = phone.heard[tick + 1].samples.astype(int)  # after a delay of one tick
            mix = wanted[tick].heard.get(name, wanted[tick].heard[""])
            assert np.abs(mine - np.array(mix)).max() <= 1, f"{name}, tick {tick}"
            if wanted[tick].exact:
                assert mine.tolist() == mix, "exact where nothing is limited and nobody fades"
