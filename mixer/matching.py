"""Matching: where in a stretch of sound does another one fit best? For many legs at once.

The measure is the normalised correlation, 1 for the same shape at any level. It is searched at 8 kHz
whatever the rate, and refined around the best place: pitch periods of 2.5 to 15 ms need no more.
Knows nothing of time or of what the match is for.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

SEARCH_RATE: Final = 8000
SHORTEST_MS: Final = 2.5
"""Pitch periods are at least this, or a multiple of them is taken."""
LONGEST_MS: Final = 15
MATCH_MS: Final = 10
"""So much sound is compared."""

Sound = NDArray[np.float32]
Counts = NDArray[np.int64]


def best(
    target: Sound, field: Sound, rate: int, low: Counts | int = 0, high: Counts | int | None = None
) -> tuple[Counts, NDArray[np.float64]]:
    """Where each target fits best into its field.

    Args:
        target: float32[n, match].
        field: float32[n, at least match].
        rate: Hz, a multiple of 8000.
        low, high: the least and the most offset that will do, one number for all or int64[n].

    Returns:
        Offsets int64[n] of the first sample within the field, the first of equals, and the correlation
        there float64[n], -1 to 1.
    """
    last = field.shape[1] - target.shape[1]
    low, high = np.broadcast_to(low, len(target)), np.broadcast_to(last if high is None else high, len(target))
    factor = rate // SEARCH_RATE
    if factor == 1:
        found = _within(_scores(target, field), low, high)
        return found, _at(target, field, found[:, None])[:, 0]
    coarse = _within(_scores(_coarse(target, factor), _coarse(field, factor)), -(-low // factor), high // factor)
    near = coarse[:, None] * factor + np.arange(-factor, factor + 1)
    near = np.clip(near, np.maximum(low, 0)[:, None], np.minimum(high, last)[:, None])
    scores = _at(target, field, near)
    pick = np.argmax(scores, axis=1)[:, None]
    return np.take_along_axis(near, pick, axis=1)[:, 0], np.take_along_axis(scores, pick, axis=1)[:, 0]


def _coarse(sound: Sound, factor: int) -> Sound:
    whole = sound[:, : sound.shape[1] // factor * factor]
    mean: Sound = whole.reshape(len(sound), -1, factor).mean(axis=2)
    return mean


def _scores(target: Sound, field: Sound) -> NDArray[np.float64]:
    """Correlation at every offset, up to a factor of each row."""
    candidates = sliding_window_view(field, target.shape[1], axis=1)
    energy = np.einsum("nlm,nlm->nl", candidates, candidates) + 1.0
    return np.asarray(np.einsum("nlm,nm->nl", candidates, target) / np.sqrt(energy), np.float64)


def _within(scores: NDArray[np.float64], low: Counts, high: Counts) -> Counts:
    offset = np.arange(scores.shape[1])
    allowed = (offset >= low[:, None]) & (offset <= high[:, None])
    return np.asarray(np.argmax(np.where(allowed, scores, -np.inf), axis=1), np.int64)


def _at(target: Sound, field: Sound, offsets: Counts) -> NDArray[np.float64]:
    """Correlation at some offsets of each row, int64[n, some]."""
    legs = np.arange(len(target))[:, None]
    candidates = sliding_window_view(field, target.shape[1], axis=1)[legs, offsets].astype(np.float64)
    energy = (candidates**2).sum(axis=2) * (target.astype(np.float64) ** 2).sum(axis=1)[:, None]
    return np.asarray((candidates * target[:, None, :]).sum(axis=2) / np.sqrt(energy + 1.0), np.float64)
