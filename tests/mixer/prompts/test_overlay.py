"""Sound laid over a mix: each row against a sum made for it alone, whoever talks where, in mono and stereo."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mixer.mixing import Mix
from mixer.prompts import overlay

WIDTH = 4
HOME = {leg: leg % 3 for leg in range(9)}
"""Leg to conference."""

sample = st.integers(-800, 800)
row = st.lists(sample, min_size=WIDTH, max_size=WIDTH)


def mix_of(talkers: list[int], stereo: bool, seed: int) -> Mix:
    """Numbers at random: what they mean is not the overlay's business."""
    chance = np.random.default_rng(seed)
    talkers = sorted(talkers, key=lambda leg: (HOME[leg], leg))
    homes = np.array([HOME[leg] for leg in talkers], np.int64)
    conference, start, count = np.unique(homes, return_index=True, return_counts=True)

    def rows(number: int) -> NDArray[np.int16]:
        return chance.integers(-800, 800, (number, WIDTH)).astype(np.int16)

    made = Mix(
        conference=conference,
        common=rows(len(conference)),
        start=start,
        talker=np.array(talkers, np.int64),
        minus=rows(len(talkers)),
        level=np.arange(len(talkers)),
        count=count,
    )
    if stereo:
        made.side, made.minus_side = rows(len(conference)), rows(len(talkers))
    return made


def heard(mix: Mix, leg: int) -> tuple[list[int], list[int]]:
    """What a leg hears: middle and side."""
    silence = [0] * WIDTH
    if leg in mix.talker.tolist():
        at = mix.talker.tolist().index(leg)
        return mix.minus[at].tolist(), silence if mix.minus_side is None else mix.minus_side[at].tolist()
    if HOME[leg] in mix.conference.tolist():
        at = mix.conference.tolist().index(HOME[leg])
        return mix.common[at].tolist(), silence if mix.side is None else mix.side[at].tolist()
    return silence, silence


legs = st.lists(st.sampled_from(sorted(HOME)), unique=True)


@given(
    talkers=legs,
    everybody=st.dictionaries(st.integers(0, 2), row),
    alone=st.dictionaries(st.sampled_from(sorted(HOME)), row),
    factor=st.sampled_from([0.0, 0.5, 1.0]),
    stereo=st.booleans(),
    seed=st.integers(0, 99),
)
def test_everybody_hears_what_is_meant_for_him(
    talkers: list[int],
    everybody: dict[int, list[int]],
    alone: dict[int, list[int]],
    factor: float,
    stereo: bool,
    seed: int,
) -> None:
    before = mix_of(talkers, stereo, seed)
    after = overlay.including(before, np.array([*everybody, *(HOME[leg] for leg in alone)], np.int64))
    if everybody:
        after = overlay.into_conferences(after, *_laid(list(everybody), everybody, factor))
    if alone:
        who, sound, factors = _laid(list(alone), alone, factor)
        homes = np.array([HOME[leg] for leg in alone], np.int64)
        after = overlay.to_legs(after, who, homes, sound, factors)
    for leg, home in HOME.items():
        middle, side = (np.array(part, np.float64) for part in heard(before, leg))
        for sound_of, key in ((everybody, home), (alone, leg)):
            if key in sound_of:
                middle = np.trunc(middle * factor + sound_of[key])
                side = np.trunc(side * factor)
        assert heard(after, leg) == (middle.tolist(), side.tolist())
    _check_shape(before, after, set(alone))


def _laid(
    keys: list[int], sounds: dict[int, list[int]], factor: float
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    sound = np.array([sounds[key] for key in keys], np.float32)
    return np.array(keys, np.int64), sound, np.full(sound.shape, factor, np.float32)


def _check_shape(before: Mix, after: Mix, alone: set[int]) -> None:
    """Who talks is who talked, in the same order and at the same level; the others stand behind."""
    assert after.conference.tolist() == sorted(set(after.conference.tolist()) | set(before.conference.tolist()))
    bounds = [*after.start.tolist(), len(after.talker)]
    for at, home in enumerate(after.conference.tolist()):
        rows = slice(bounds[at], bounds[at + 1])
        names, talk = after.talker[rows].tolist(), int(after.count[at])
        place = before.conference.tolist().index(home) if home in before.conference.tolist() else -1
        begin = int(before.start[place]) if place >= 0 else 0
        end = begin + int(before.count[place]) if place >= 0 else 0
        assert names[:talk] == before.talker[begin:end].tolist()
        assert after.level[rows][:talk].tolist() == before.level[begin:end].tolist()
        assert set(names[talk:]) == {leg for leg in alone if HOME[leg] == home} - set(names[:talk])
        assert (after.level[rows][talk:] == overlay.SILENT).all()


@pytest.mark.parametrize("loud", [32767.0, -32767.0, 1e6])
def test_nothing_wraps(loud: float) -> None:
    mix = mix_of([0, 1, 2], False, 0)
    mix.common[:], mix.minus[:] = 30000 * np.sign(loud), 30000 * np.sign(loud)
    sound, one = np.full((3, WIDTH), loud, np.float32), np.ones((3, WIDTH), np.float32)
    after = overlay.into_conferences(mix, np.arange(3), sound, one)
    assert (np.sign(after.common) == np.sign(loud)).all()
    assert (np.abs(after.minus.astype(int)) > 30000).all()
