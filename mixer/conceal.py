"""Concealment: what to play where nothing came, so that it does not click.

The idea of ITU-T G.711 appendix I, for many legs at once: find the pitch period in the last 40 ms,
repeat it, fade to silence within 60 ms, and cross-fade when real sound returns. A periodic signal goes
on without a jump in value or slope; noise and consonants are shorter than the fade.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from mixer.codecs import EMPTY

HISTORY_MS: Final = 40
FADE_MS: Final = 60
HOLD_MS: Final = 10
"""Concealment keeps full level so long, then fades."""
BLEND_MS: Final = 4
"""Length of the cross-fade into returning sound."""
SHORTEST_MS: Final = 2.5
LONGEST_MS: Final = 15
MATCH_MS: Final = 10
"""Pitch is searched by comparing the last so many ms with what came before."""
SEARCH_RATE: Final = 8000
AUDIBLE: Final = 24.0
"""RMS below which a leg is quiet anyway (-63 dBov) and silence will do."""
SEARCHES: Final = 64
"""Pitch searches a tick at most; further legs repeat with a fixed period."""

Samples = NDArray[np.int16]


def mend(history: Samples, frames: Samples, missing: NDArray[np.bool_], lost: NDArray[np.int64], rate: int) -> Samples:
    """Fill what is missing in a tick.

    Args:
        history: int16[n, 40 ms], what was played before, EMPTY where the leg was silent.
        frames: int16[n, samples], the tick, EMPTY where `missing`.
        missing: bool[n, samples].
        lost: int64[n], samples missing in a row up to the tick.
        rate: Hz.

    Returns:
        int16[n, samples] without EMPTY.
    """
    past = np.where(history == EMPTY, 0, history).astype(np.float32)
    result = np.where(missing, 0, frames).astype(np.float32)
    audible = np.flatnonzero(np.sqrt(np.mean(past * past, axis=1)) > AUDIBLE)
    if not len(audible):
        return _blend_in(result, np.zeros_like(result), missing, lost, rate).astype(np.int16)
    substitute = np.zeros_like(result)
    head = np.argmax(missing[audible], axis=1)  # sound present before the first gap of the tick
    joined = np.concatenate([past[audible], result[audible]], axis=1)
    width = past.shape[1]
    column = head[:, None] + np.arange(width)
    # History that was itself invented has faded; undo that, or each period would start with a step.
    age = lost[audible, None] + column - width
    age[column >= width] = 0
    latest = joined[np.arange(len(audible))[:, None], column] / np.maximum(_fade(age, rate), 0.05)
    period = _pitch(latest, rate)
    step = np.arange(frames.shape[1]) - head[:, None]
    at = width - period[:, None] + step % period[:, None]
    # A gap that starts within the tick is a new one.
    gap = np.where(head > 0, 0, lost[audible])[:, None] + np.maximum(step, 0)
    substitute[audible] = np.take_along_axis(latest, at, axis=1) * _fade(gap, rate)
    return _blend_in(result, substitute, missing, lost, rate).astype(np.int16)


def run_at_end(missing: NDArray[np.bool_], lost: NDArray[np.int64]) -> NDArray[np.int64]:
    """Samples missing in a row up to the end of a tick, `lost` carried over if all of it is missing."""
    width = missing.shape[1]
    tail = np.argmax(~missing[:, ::-1], axis=1)
    return np.asarray(np.where(missing.all(axis=1), lost + width, tail), np.int64)


def cross_fade(first: Samples, second: Samples) -> Samples:
    """Go from one tick to another within their length; silence where either is EMPTY in part."""
    down = np.linspace(1, 0, first.shape[1], dtype=np.float32)
    mixed = first * down + second * (1 - down)
    return np.where((first == EMPTY) | (second == EMPTY), second, mixed.astype(np.int16))


def _fade(samples: NDArray[np.int64], rate: int) -> NDArray[np.float64]:
    """Level of concealment after so many samples: 1 for HOLD_MS, then down to 0 at FADE_MS."""
    ms = samples * 1000.0 / rate
    return np.clip((FADE_MS - ms) / (FADE_MS - HOLD_MS), 0.0, 1.0)


def _blend_in(
    real: NDArray[np.float32],
    substitute: NDArray[np.float32],
    missing: NDArray[np.bool_],
    lost: NDArray[np.int64],
    rate: int,
) -> NDArray[np.float32]:
    """Substitute where sound is missing, real sound elsewhere, and a ramp after each gap."""
    ramp = BLEND_MS * rate // 1000
    width = missing.shape[1]
    column = np.arange(width)
    last_gap = np.maximum.accumulate(np.where(missing, column, np.where(lost[:, None] > 0, -1, -ramp - 1)), axis=1)
    weight = np.clip((column - last_gap) / (ramp + 1), 0.0, 1.0).astype(np.float32)
    return real * weight + substitute * (1 - weight)


def _pitch(past: NDArray[np.float32], rate: int) -> NDArray[np.int64]:
    """The period, in samples, at which the end of each row repeats best (normalised correlation).

    Searched at 8 kHz whatever the rate: a period of 2.5 to 15 ms needs no more.
    """
    factor = rate // SEARCH_RATE
    coarse = past[:SEARCHES].reshape(len(past[:SEARCHES]), -1, factor).mean(axis=2)
    match = MATCH_MS * SEARCH_RATE // 1000
    shortest, longest = int(SHORTEST_MS * SEARCH_RATE / 1000), LONGEST_MS * SEARCH_RATE // 1000
    target = coarse[:, -match:]
    start = coarse.shape[1] - match - longest
    candidates = sliding_window_view(coarse[:, start : coarse.shape[1] - shortest], match, axis=1)
    energy = np.einsum("nlm,nlm->nl", candidates, candidates) + 1.0
    score = np.einsum("nlm,nm->nl", candidates, target) / np.sqrt(energy)
    lag = longest - np.argmax(score, axis=1)
    period = np.full(len(past), longest * factor, np.int64)
    period[: len(lag)] = _refine(past[:SEARCHES], lag * factor, factor)
    return period


def _refine(past: NDArray[np.float32], lag: NDArray[np.int64], factor: int) -> NDArray[np.int64]:
    """The best period within one coarse step of `lag`, at the full rate."""
    if factor == 1:
        return lag
    match = past.shape[1] // 4
    offsets = np.arange(-factor, factor + 1)
    base = past.shape[1] - match - lag[:, None, None] - offsets[None, :, None] + np.arange(match)
    candidates = past[np.arange(len(past))[:, None, None], base]
    target = past[:, None, -match:]
    score = (candidates * target).sum(axis=2) / np.sqrt((candidates**2).sum(axis=2) + 1.0)
    return np.asarray(lag + offsets[np.argmax(score, axis=1)], np.int64)
