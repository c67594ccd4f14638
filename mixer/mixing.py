"""The mix: the sum of a conference's talkers, and for each of those the sum without itself.

All conferences of one rate are mixed in the same expressions; rows of one conference lie together.
Sums are float32, exact for any number of 16-bit talkers that fits a conference; only the finished
mixes are limited, so that subtracting oneself is exact (mix-minus, RFC 7667 section 3.6.1).

Who hears stereo hears the same mix and beside it its side, the voices weighted by where their legs are:

    left = mid + side, right = mid - side, with mid the mono mix, and side the sum of -position * voice

so left and right are (1 - position) and (1 + position) times a voice, and their mean is what mono listeners hear.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer.limiter import Limiter

FULL_SCALE: Final = 32767.0
FADE_MS: Final = 5
"""How long a voice takes that begins or ends amid its sound."""

Rows = NDArray[np.int64]
Voice = NDArray[np.float32]
Samples = NDArray[np.int16]
Levels = NDArray[np.float32]


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
        side: int16[c, samples], half the difference of left and right; None if nobody hears stereo.
        minus_side: int16[t, samples], the same without that talker.
    """

    conference: Rows
    common: Samples
    start: Rows
    talker: Rows
    minus: Samples
    level: NDArray[np.int64]
    count: Rows
    side: Samples | None = None
    minus_side: Samples | None = None


def loudness(voice: Voice) -> Levels:
    """RMS of each row of float32[n, samples]."""
    power: NDArray[np.float32] = np.einsum("ij,ij->i", voice, voice)
    return np.asarray(np.sqrt(power / np.float32(voice.shape[1])), np.float32)


def dbov(rms: Levels) -> NDArray[np.int64]:
    """RMS as a level of RFC 6464 and 6465: 0 for full scale to 127 for silence, in -dBov."""
    ratio = np.maximum(rms / np.float32(FULL_SCALE), np.float32(10.0**-6.35))
    return np.asarray(np.clip(np.rint(-20.0 * np.log10(ratio)), 0, 127), np.int64)


def fade(voice: Voice, enters: NDArray[np.bool_], leaves: NDArray[np.bool_], tick_ms: int) -> None:
    """Fade rows of float32[n, samples] in or out, in place. Both are bool[n]."""
    if not (enters.any() or leaves.any()):
        return
    width = voice.shape[1]
    rising = np.minimum(np.arange(width, dtype=np.float32) * np.float32(tick_ms / FADE_MS / width), 1.0)
    voice[enters] *= rising
    voice[leaves] *= 1 - rising


def mix(talker: Rows, conference: Rows, voice: Voice, limiter: Limiter, position: Levels | None = None) -> Mix:
    """Sum the talkers of each conference.

    Args:
        talker: int64[t], leg rows, grouped by conference.
        conference: int64[t], ascending.
        voice: float32[t, samples].
        limiter: of the conferences of this rate.
        position: float32[t], where each is, -1 left to 1 right; None to leave stereo away.
    """
    first = np.ones(len(conference), bool)
    first[1:] = conference[1:] != conference[:-1]
    start, place = np.flatnonzero(first), np.cumsum(first) - 1
    side = None if position is None else _sums(voice * -position[:, None], start, place)
    home = np.concatenate([np.arange(len(start)), place])
    limited, limited_side = limiter.limit(conference[start], home, _sums(voice, start, place), side)
    common, minus = np.split(limited, [len(start)])
    count = np.diff(start, append=len(talker))
    result = Mix(conference[start], common, start, talker, minus, dbov(loudness(voice)), count)
    if limited_side is not None:
        result.side, result.minus_side = np.split(limited_side, [len(start)])
    return result


def _sums(voice: Voice, start: Rows, place: Rows) -> Voice:
    """The sum of each conference, and behind these, for each talker, that of the others: float32[c + t, samples]."""
    total = np.add.reduceat(voice, start, axis=0) if len(start) else voice[:0]
    return np.concatenate([total, total[place] - voice])
