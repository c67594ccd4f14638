"""What a packet of any ptime holds: pieces of the ticks it spans, put together as one mix.

With a packet as long as a tick this is the tick's mix itself. A longer packet needs the ticks before;
whoever was mixed in any of them hears, for those ticks, the mix without itself, and the common mix for
the others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mixer.mixing import Mix

LONGEST_MS = 60

Rows = NDArray[np.int64]
Piece = tuple[NDArray[np.int16], NDArray[np.int16]]
"""Of one tick: what each conference hears, and what each talker."""


def due(ptime: int, tick_ms: int, frame: int) -> range:
    """Numbers of the packets that are complete when tick `frame` is mixed; packet k spans
    [k * ptime, (k + 1) * ptime) ms of the engine's time."""
    return range(frame * tick_ms // ptime, (frame + 1) * tick_ms // ptime)


def compose(mixes: Sequence[Mix], tick_ms: int, frame: int, begin_ms: int, ptime: int) -> Mix:
    """The mix of [begin_ms, begin_ms + ptime).

    Args:
        mixes: the last ticks' mixes, ending with that of tick `frame`.
    """
    first_tick = begin_ms // tick_ms
    last_tick = (begin_ms + ptime - 1) // tick_ms
    spanned = [
        mixes[len(mixes) - 1 - (frame - t)] if frame - t < len(mixes) else None
        for t in range(first_tick, last_tick + 1)
    ]
    present = [mix for mix in spanned if mix is not None]
    if len(spanned) == 1 and ptime == tick_ms:
        return present[0]
    joined = _join(spanned, present)
    per_ms = present[0].common.shape[1] // tick_ms
    cut = slice((begin_ms - first_tick * tick_ms) * per_ms, (begin_ms - first_tick * tick_ms + ptime) * per_ms)
    joined.common, joined.minus = joined.common[:, cut], joined.minus[:, cut]
    if joined.side is not None and joined.minus_side is not None:
        joined.side, joined.minus_side = joined.side[:, cut], joined.minus_side[:, cut]
    return joined


def _join(spanned: list[Mix | None], present: list[Mix]) -> Mix:
    conference = np.unique(np.concatenate([mix.conference for mix in present]))
    everybody = np.concatenate([mix.talker for mix in present])
    talks = np.concatenate([_talk(mix) for mix in present])
    # Who talks in one of the ticks is a talker of the packet, at the level of that tick.
    order = np.argsort(~talks, kind="stable")
    talker, where = np.unique(everybody[order], return_index=True)
    where = order[where]
    home = np.concatenate([_homes(mix) for mix in present])[where]
    level = np.concatenate([mix.level for mix in present])[where]
    talks = talks[where]
    order = np.lexsort((level, ~talks, home))

    def lay(pieces: list[Piece | None]) -> Piece:
        return _lay(spanned, pieces, conference, talker, home, order)

    common, minus = lay([None if mix is None else (mix.common, mix.minus) for mix in spanned])
    start = np.searchsorted(home[order], conference)
    count = np.bincount(np.searchsorted(conference, home[talks]), minlength=len(conference))
    joined = Mix(conference, common, start, talker[order], minus, level[order], count)
    if any(mix.side is not None for mix in present):
        joined.side, joined.minus_side = lay([None if mix is None else _side(mix) for mix in spanned])
    return joined


def _lay(
    spanned: list[Mix | None], pieces: list[Piece | None], conference: Rows, talker: Rows, home: Rows, order: Rows
) -> Piece:
    """Put pieces of sound beside each other: of each conference, and of each talker in that order."""
    width = next(piece[0].shape[1] for piece in pieces if piece is not None)
    common = np.zeros((len(conference), len(spanned), width), np.int16)
    minus = np.zeros((len(talker), len(spanned), width), np.int16)
    for at, (mix, piece) in enumerate(zip(spanned, pieces, strict=True)):
        if mix is None or piece is None:
            continue
        common[np.searchsorted(conference, mix.conference), at] = piece[0]
        minus[:, at] = common[np.searchsorted(conference, home), at]
        minus[np.searchsorted(talker, mix.talker), at] = piece[1]
    whole = len(spanned) * width
    return common.reshape(-1, whole), minus[order].reshape(-1, whole)


def _side(mix: Mix) -> Piece | None:
    return None if mix.side is None or mix.minus_side is None else (mix.side, mix.minus_side)


def _homes(mix: Mix) -> Rows:
    """The conference of each talker."""
    return np.repeat(mix.conference, _widths(mix))


def _talk(mix: Mix) -> NDArray[np.bool_]:
    """Which rows are those of talkers."""
    place = np.arange(len(mix.talker)) - np.repeat(mix.start, _widths(mix))
    result: NDArray[np.bool_] = place < np.repeat(mix.count, _widths(mix))
    return result


def _widths(mix: Mix) -> NDArray[np.int64]:
    """How many rows each conference has."""
    return np.diff(mix.start, append=len(mix.talker))
