"""The mix: who is loud, the sum of the loudest, and for each of those the sum without itself.

All conferences of one rate are mixed in the same expressions; rows of one conference lie together.
Sums are float32, exact for any number of 16-bit talkers that fits a conference; only the finished
mixes are limited, so that subtracting oneself is exact (mix-minus, RFC 7667 section 3.6.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

GATE: Final = 16.0
"""RMS below which a leg is not mixed (-66 dBov)."""
RELEASE: Final = 0.8
"""How much of a leg's loudness is remembered a tick later: word ends stay in the mix."""
KNEE: Final = 24000.0
"""Samples above this are compressed towards full scale instead of wrapping or clipping."""
CEILING: Final = 32767.0

Rows = NDArray[np.int64]
Voice = NDArray[np.float32]
Samples = NDArray[np.int16]


@dataclass(slots=True)
class Mix:
    """One tick of all conferences of one rate.

    Attributes:
        conference: int64[c], ascending, the conferences in which somebody talks or something is played.
        common: int16[c, samples], the sum of a conference's talkers.
        start: int64[c], where each conference's talkers begin in the columns below.
        talker: int64[t], legs, by conference and then loudest first.
        minus: int16[t, samples], the common mix without that talker.
        level: int64[t], RFC 6465 levels of the talkers, 0 to 127 in -dBov.
        count: int64[c], how many of a conference's rows in these columns are talkers. Rows behind them are legs that
            do not talk and yet hear something of their own (`overlay`).
    """

    conference: Rows
    common: Samples
    start: Rows
    talker: Rows
    minus: Samples
    level: NDArray[np.int64]
    count: Rows


def loudness(voice: Voice) -> NDArray[np.float32]:
    """RMS of each row of float32[n, samples]."""
    power: NDArray[np.float32] = np.einsum("ij,ij->i", voice, voice)
    return np.asarray(np.sqrt(power / np.float32(voice.shape[1])), np.float32)


def dbov(rms: NDArray[np.float32]) -> NDArray[np.int64]:
    """RMS as a level of RFC 6464 and 6465: 0 for full scale to 127 for silence, in -dBov."""
    ratio = np.maximum(rms / np.float32(CEILING), np.float32(10.0**-6.35))
    return np.asarray(np.clip(np.rint(-20.0 * np.log10(ratio)), 0, 127), np.int64)


def loudest(conference: Rows, rms: NDArray[np.float32], limit: Rows) -> Rows:
    """Choose the talkers: of each conference the `limit` loudest above the gate.

    Args:
        conference: int64[n] of each candidate.
        rms: float32[n], its remembered loudness.
        limit: int64[n], how many its conference mixes.

    Returns:
        Positions among the candidates, by conference and then loudest first.
    """
    loud = np.flatnonzero(rms > GATE)
    order = loud[np.lexsort((-rms[loud], conference[loud]))]
    rank = np.arange(len(order)) - _run_starts(conference[order])
    return order[rank < limit[order]]


def mix(talker: Rows, conference: Rows, voice: Voice) -> Mix:
    """Sum the talkers of each conference.

    Args:
        talker: int64[t], leg rows, grouped by conference.
        conference: int64[t], ascending.
        voice: float32[t, samples].
    """
    first = np.ones(len(conference), bool)
    first[1:] = conference[1:] != conference[:-1]
    start = np.flatnonzero(first)
    total = np.add.reduceat(voice, start, axis=0) if len(start) else voice[:0]
    minus = total[np.cumsum(first) - 1] - voice
    count = np.diff(start, append=len(talker))
    return Mix(conference[start], limit(total), start, talker, limit(minus), dbov(loudness(voice)), count)


def limit(samples: Voice) -> Samples:
    """Bring sums back to 16 bits: unchanged up to the knee, bent above it, never wrapped."""
    if max(samples.max(initial=0.0), -samples.min(initial=0.0)) > KNEE:
        hot = np.flatnonzero(np.abs(samples).max(axis=1) > KNEE)
        loud = samples[hot]
        over = np.maximum(np.abs(loud) - KNEE, 0) / (CEILING - KNEE)
        bent = np.sign(loud) * (KNEE + (CEILING - KNEE) * np.tanh(over))
        samples = samples.copy()
        samples[hot] = np.where(over > 0, bent, loud)
    return samples.astype(np.int16)


def _run_starts(keys: Rows) -> Rows:
    """For sorted keys, the position at which each element's run of equal keys begins."""
    position = np.arange(len(keys))
    changed = np.ones(len(keys), bool)
    changed[1:] = keys[1:] != keys[:-1]
    return np.maximum.accumulate(np.where(changed, position, 0))
