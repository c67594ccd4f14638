"""Overlay: sound that is nobody's voice, laid over a finished mix.

What all of a conference hear is added to its common mix and to every minus mix, so it is encoded once with
them. What one leg alone hears makes its row in `minus` another, and a leg that has none gets one: a talker
for whoever casts, but not counted as one (`Mix.count`).

Knows: `Mix`. Must never know: what is played, or why.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer.mixing import FULL_SCALE, Mix

KNEE: Final = 24000.0
"""Samples above this are compressed towards full scale: a prompt comes on top of a mix that was limited already."""

SILENT: Final = 127
"""Level of a leg that does not talk (RFC 6465)."""

Rows = NDArray[np.int64]
Voice = NDArray[np.float32]


def including(mix: Mix, conference: Rows) -> Mix:
    """The same mix with rows, silent ones, for conferences in which nobody talks, too.

    Args:
        mix: as `mixing.mix` made it, every talker a genuine one.
        conference: int64[k], in any order.
    """
    every = np.union1d(mix.conference, conference)
    if len(every) == len(mix.conference):
        return mix
    known = np.searchsorted(every, mix.conference)
    common = np.zeros((len(every), mix.common.shape[1]), np.int16)
    count = np.zeros(len(every), np.int64)
    common[known], count[known] = mix.common, mix.count
    side = None
    if mix.side is not None:
        side = np.zeros_like(common)
        side[known] = mix.side
    return replace(mix, conference=every, common=common, start=np.cumsum(count) - count, count=count, side=side)


def into_conferences(mix: Mix, conference: Rows, sound: Voice, factor: Voice) -> Mix:
    """Have all of some conferences hear a sound, talkers too.

    Args:
        mix: has a row for each of the conferences (`including`), and genuine talkers only.
        conference: int64[k], each once.
        sound: float32[k, samples].
        factor: float32[k, samples], what the mix is multiplied by meanwhile.
    """
    at = np.searchsorted(mix.conference, conference)
    common, minus = mix.common.copy(), mix.minus.copy()
    common[at] = _limit(common[at] * factor + sound)
    over = np.full(len(mix.conference), -1)
    over[at] = np.arange(len(at))
    mine = np.repeat(over, mix.count)
    talks = np.flatnonzero(mine >= 0)
    minus[talks] = _limit(minus[talks] * factor[mine[talks]] + sound[mine[talks]])
    laid = replace(mix, common=common, minus=minus)
    if mix.side is not None and mix.minus_side is not None:  # what is played is in the middle
        laid.side, laid.minus_side = mix.side.copy(), mix.minus_side.copy()
        laid.side[at] = mix.side[at] * factor
        laid.minus_side[talks] = mix.minus_side[talks] * factor[mine[talks]]
    return laid


def to_legs(mix: Mix, leg: Rows, conference: Rows, sound: Voice, factor: Voice) -> Mix:
    """Have some legs hear a sound that nobody else hears.

    Args:
        mix: has a row for each of the conferences (`including`), and genuine talkers only.
        leg: int64[k], each once.
        conference: int64[k], of each leg.
        sound: float32[k, samples].
        factor: float32[k, samples], what the leg's mix is multiplied by meanwhile.

    Returns:
        In each conference, behind its talkers, the legs that are none.
    """
    added = np.flatnonzero(~np.isin(leg, mix.talker))
    room = np.searchsorted(mix.conference, conference[added])
    home = np.concatenate([np.repeat(np.arange(len(mix.count)), mix.count), room])
    talker = np.concatenate([mix.talker, leg[added]])
    minus = np.concatenate([mix.minus, mix.common[room]])
    level = np.concatenate([mix.level, np.full(len(added), SILENT)])
    by_leg = np.argsort(talker)
    at = by_leg[np.searchsorted(talker[by_leg], leg)]
    minus[at] = _limit(minus[at] * factor + sound)
    order = np.argsort(home, kind="stable")  # those added are behind already
    start = np.searchsorted(home[order], np.arange(len(mix.conference)))
    laid = replace(mix, start=start, talker=talker[order], minus=minus[order], level=level[order])
    if mix.side is not None and mix.minus_side is not None:
        minus_side = np.concatenate([mix.minus_side, mix.side[room]])
        minus_side[at] = minus_side[at] * factor
        laid.minus_side = minus_side[order]
    return laid


def _limit(samples: Voice) -> NDArray[np.int16]:
    """Back to 16 bits: unchanged up to the knee, bent above it, never wrapped."""
    over = np.maximum(np.abs(samples) - KNEE, 0) / (FULL_SCALE - KNEE)
    bent = np.sign(samples) * (KNEE + (FULL_SCALE - KNEE) * np.tanh(over))
    return np.where(over > 0, bent, samples).astype(np.int16)
