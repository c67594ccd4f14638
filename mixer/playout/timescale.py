"""Time-scale: leave out a period of sound, or play one twice, so that time is gained or lost unheard.

Overlap and add at the lag where the sound resembles itself most (WSOLA: Verhelst and Roelands, ICASSP
1993): over 10 ms it fades from where it is to where it looks the same. A steady tone goes on in phase,
speech loses or gains a pitch period. How many samples that are depends on the sound, not on the tick.

Knows nothing of rings and delays: sound in, a patch out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixer import matching

Samples = NDArray[np.int16]
Counts = NDArray[np.int64]


class Patch(NamedTuple):
    """What to do to each leg's sound."""

    lag: Counts
    """int64[n], samples to leave out or to insert."""
    likeness: NDArray[np.float64]
    """Correlation of what is faded into each other, 1 for a steady tone. Poor ones are heard."""
    sound: Samples
    """int16[n, some]: what the sound begins with, once it is shifted by the lag."""


def shorten(sound: Samples, most: Counts, rate: int) -> Patch:
    """Leave out a period.

    Args:
        sound: int16[n, at least 10 ms and the largest of `most`], what is to be played next; may be
            anything beyond 10 ms + `most` of its row.
        most: int64[n], samples to leave out at most, at least `shortest(rate)`.
        rate: Hz, a multiple of 8000.
    """
    match, least = matching.MATCH_MS * rate // 1000, shortest(rate)
    ahead = sound[:, : match + int(most.max())].astype(np.float32)
    low = np.maximum(most // 2 - least, 0)  # of what is periodic a multiple lies above, and longer is sooner done
    offset, likeness = matching.best(ahead[:, :match], ahead[:, least:], rate, low, most - least)
    lag = offset + least
    behind = np.take_along_axis(ahead, lag[:, None] + np.arange(match), axis=1)
    return Patch(lag, likeness, _fade(ahead[:, :match], behind).astype(np.int16))


def stretch(history: Samples, sound: Samples, rate: int) -> Patch:
    """Play a period twice.

    Args:
        history: int16[n, longest period], what was played last.
        sound: int16[n, at least 10 ms and the longest period], what is to be played next; may be anything
            beyond 10 ms.
        rate: Hz, a multiple of 8000.
    """
    match, longest = matching.MATCH_MS * rate // 1000, history.shape[1]
    long = max(match, longest)  # the patch is as long for all: behind lag and fade is what comes anyway
    joined = np.concatenate([history, sound[:, :long]], axis=1).astype(np.float32)
    now = joined[:, longest : longest + match]
    field = joined[:, : longest + match - shortest(rate)]
    offset, likeness = matching.best(now, field, rate)
    again = np.take_along_axis(joined, offset[:, None] + np.arange(long), axis=1)
    again[:, :match] = _fade(now, again[:, :match])
    return Patch(longest - offset, likeness, again.astype(np.int16))


def shortest(rate: int) -> int:
    """The fewest samples that can be left out or inserted."""
    return int(matching.SHORTEST_MS * rate / 1000)


def _fade(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    up = (np.arange(first.shape[1], dtype=np.float32) + 0.5) / first.shape[1]
    return np.asarray(np.rint(first + (second - first) * up), np.float32)
