"""Concealment: what to play where nothing came, so that it does not click.

The idea of ITU-T G.711 appendix I, for many legs at once: find the pitch period in the last 40 ms,
repeat it, fade to silence within 60 ms, and cross-fade when real sound returns. A periodic signal goes
on without a jump in value or slope; noise and consonants are shorter than the fade.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer import matching
from mixer.samples import EMPTY

HISTORY_MS: Final = 40
FADE_MS: Final = 60
HOLD_MS: Final = 10
"""Concealment keeps full level so long, then fades."""
BLEND_MS: Final = 4
"""Length of the cross-fade into returning sound."""
AUDIBLE: Final = 24.0
"""RMS below which a leg is quiet anyway (-63 dBov) and silence will do."""
LOUDEST: Final = 32767
SEARCHES: Final = 64
"""Pitch searches a tick at most; further legs repeat with a fixed period."""

Samples = NDArray[np.int16]


def mend(history: Samples, frames: Samples, missing: NDArray[np.bool_], lost: NDArray[np.int64], rate: int) -> Samples:
    """Fill what is missing in a tick.

    Args:
        history: int16[n, 40 ms], what was played before, EMPTY where the leg was silent.
        frames: int16[n, samples], the tick, EMPTY where `missing`.
        missing: bool[n, samples].
        lost: int64[n], samples missing in a row up to the tick, or as `run_at_end` says.
        rate: Hz.

    Returns:
        int16[n, samples] without EMPTY.
    """
    again = _goes_again(missing, lost)
    if not again.any():
        return _mend_once(history, frames, missing, lost, rate)
    # Sound returns and goes again within the tick: first into it, then out of it.
    column = np.arange(frames.shape[1])
    rows = again.any(axis=1)
    begin = column < np.where(rows, np.argmax(again, axis=1), 0)[:, None]
    frames, lost = frames.copy(), lost.copy()
    still = missing[rows] & begin[rows]
    into = _mend_once(history[rows], np.where(missing[rows], 0, frames[rows]), still, lost[rows], rate)
    frames[rows] = np.where(begin[rows], into, frames[rows])
    lost[rows] = 0
    return _mend_once(history, frames, missing & ~begin, lost, rate)


def _goes_again(missing: NDArray[np.bool_], lost: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where gaps begin behind sound, in ticks that began in a gap or in the cross-fade out of one."""
    starts = np.zeros_like(missing)
    starts[:, 1:] = missing[:, 1:] & ~missing[:, :-1]
    starts[(lost == 0) & ~missing[:, 0]] = False
    return starts


def _mend_once(
    history: Samples, frames: Samples, missing: NDArray[np.bool_], lost: NDArray[np.int64], rate: int
) -> Samples:
    past = np.where(history == EMPTY, 0, history).astype(np.float32)
    result = np.where(missing, 0, frames).astype(np.float32)
    substitute = np.zeros_like(result)
    if len(loud := np.flatnonzero(audible(history))):
        head = np.argmax(missing[loud], axis=1)  # sound present before the first gap of the tick
        joined = np.concatenate([past[loud], result[loud]], axis=1)
        width = past.shape[1]
        column = head[:, None] + np.arange(width)
        age = lost[loud, None] + column - width
        age[column >= width] = 0
        latest = _unfaded(joined[np.arange(len(loud))[:, None], column], age, rate)
        step = np.arange(frames.shape[1]) - head[:, None]
        # A gap that starts within the tick is a new one.
        gap = np.where(head > 0, 0, lost[loud])[:, None] + np.maximum(step, 0)
        substitute[loud] = _repeat(latest, step, rate) * _fade(gap, rate)
    if (blending := (lost < 0) & ~missing[:, 0]).any():
        substitute[blending] = _rest_of_blend(past[blending, -1], result[blending], lost[blending], rate)
    return np.clip(_blend_in(result, substitute, missing, lost, rate), -LOUDEST, LOUDEST).astype(np.int16)


def continuation(history: Samples, lost: NDArray[np.int64], count: int, rate: int) -> NDArray[np.float32]:
    """How each leg would go on if nothing came, at full level: float32[n, count], to compare with what does.

    Args: as for `mend`.
    """
    past = np.where(history == EMPTY, 0, history).astype(np.float32)
    age = lost[:, None] + np.arange(-past.shape[1], 0)
    return _repeat(_unfaded(past, age, rate), np.arange(count)[None, :], rate)


def audible(history: Samples) -> NDArray[np.bool_]:
    """Whether there is anything to go on with."""
    past = np.where(history == EMPTY, 0, history).astype(np.float32)
    return np.asarray(np.sqrt(np.mean(past * past, axis=1)) > AUDIBLE)


def run_at_end(missing: NDArray[np.bool_], lost: NDArray[np.int64], rate: int) -> NDArray[np.int64]:
    """The `lost` of the next tick: samples missing in a row up to the end of this one, int64[n].

    If sound has returned, but the cross-fade into it is not over: the samples since, negative.
    """
    width = missing.shape[1]
    gone = np.argmax(~missing[:, ::-1], axis=1)
    back = np.argmax(missing[:, ::-1], axis=1)
    blending = (back > 0) & (back < BLEND_MS * rate // 1000)
    run = np.where(missing.all(axis=1), np.maximum(lost, 0) + width, np.where(blending, -back, gone))
    return np.asarray(run, np.int64)


def _fade(samples: NDArray[np.int64], rate: int) -> NDArray[np.float64]:
    """Level of concealment after so many samples: 1 for HOLD_MS, then down to 0 at FADE_MS."""
    ms = samples * 1000.0 / rate
    return np.clip((FADE_MS - ms) / (FADE_MS - HOLD_MS), 0.0, 1.0)


def _unfaded(sound: NDArray[np.float32], age: NDArray[np.int64], rate: int) -> NDArray[np.float32]:
    """History that was itself invented has faded; undo that, or each period would start with a step."""
    return np.asarray(sound / np.maximum(_fade(age, rate), 0.05), np.float32)


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
    before = np.where(lost == 0, -ramp, np.minimum(lost, 0)) - 1
    last_gap = np.maximum.accumulate(np.where(missing, column, before[:, None]), axis=1)
    weight = np.clip((column - last_gap) / (ramp + 1), 0.0, 1.0).astype(np.float32)
    return real * weight + substitute * (1 - weight)


def _rest_of_blend(
    last: NDArray[np.float32], real: NDArray[np.float32], lost: NDArray[np.int64], rate: int
) -> NDArray[np.float32]:
    """What to blend from where the cross-fade began in the tick before. What was invented then shows only in the `last`
    sample, and real sound is in that already: how far it is off is ramped out."""
    ramp = BLEND_MS * rate // 1000
    off = last - (2 * real[:, 0] - real[:, 1])
    peak = np.maximum(np.abs(real).max(axis=1), np.abs(last))[:, None]
    return np.clip(real + (off / (1 + lost / (ramp + 1)))[:, None], -peak, peak).astype(np.float32)


def _repeat(latest: NDArray[np.float32], step: NDArray[np.int64], rate: int) -> NDArray[np.float32]:
    """The last pitch period of each row over and over, at `step` samples behind the row's end.

    A period is seldom a whole number of samples: what is missing to the next one at each join is ramped out.
    """
    period = _pitch(latest, rate)[:, None]
    end = latest.shape[1]
    ramp = BLEND_MS * rate // 1000
    gap = latest[:, -1:] - np.take_along_axis(latest, end - 1 - period, axis=1)
    again = np.take_along_axis(latest, end - period + step % period, axis=1)
    again = again + gap * np.clip(1 - (step % period + 1) / (ramp + 1), 0.0, None)
    peak = np.abs(latest).max(axis=1)[:, None]
    return np.clip(again, -peak, peak).astype(np.float32)


def _pitch(past: NDArray[np.float32], rate: int) -> NDArray[np.int64]:
    """The period, in samples, at which the end of each row repeats best."""
    some = past[:SEARCHES]
    match, longest = matching.MATCH_MS * rate // 1000, matching.LONGEST_MS * rate // 1000
    shortest = int(matching.SHORTEST_MS * rate / 1000)
    field = some[:, some.shape[1] - match - longest : some.shape[1] - shortest]
    offset, _ = matching.best(some[:, -match:], field, rate)
    period = np.full(len(past), longest, np.int64)
    period[: len(offset)] -= offset
    return period
