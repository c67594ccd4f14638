"""Continuity: what a run of arriving packets lacks, repeats or delays.

A leg hears one stream at a time, but which one may change from packet to packet (the common mix while
it listens, its own while it talks, a new SSRC at a key switch). So arrivals are cut into segments of
one leg and one SSRC: within a segment the sequence numbers tell what is lost, between segments and at
both ends of the window the clock does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GAP_MS = 30.0
"""Between two packets of a leg: beyond it, a listener's buffer starts to notice."""


@dataclass(frozen=True)
class Continuity:
    """Counts over all legs in the window."""

    packets: int
    lost: int
    duplicates: int
    disordered: int
    gaps: int
    """Pauses longer than `GAP_MS` between a leg's packets."""
    lost_by_leg: NDArray[np.int64]
    """int64[legs]"""
    largest_gap_ms: float


def continuity(
    leg: NDArray[np.intp],
    ssrc: NDArray[np.int64],
    sequence: NDArray[np.int64],
    arrival_ns: NDArray[np.int64],
    *,
    legs: int,
    window_ns: tuple[int, int],
    ptime_ns: int = 20_000_000,
) -> Continuity:
    """Judge the packets that arrived in the window, given in order of arrival, one row a packet."""
    inside = (arrival_ns >= window_ns[0]) & (arrival_ns < window_ns[1])
    rows = np.flatnonzero(inside)
    rows = rows[np.argsort(leg[rows], kind="stable")]
    leg, ssrc, sequence, arrival_ns = leg[rows], ssrc[rows], sequence[rows], arrival_ns[rows]

    same_leg = leg[1:] == leg[:-1]
    same_stream = same_leg & (ssrc[1:] == ssrc[:-1])
    step = (sequence[1:] - sequence[:-1] + 0x8000 & 0xFFFF) - 0x8000
    pause = arrival_ns[1:] - arrival_ns[:-1]

    lost = np.zeros(legs, np.int64)
    duplicates = _within_segments(lost, leg, same_stream, step)
    switches = same_leg & ~same_stream
    np.add.at(lost, leg[1:][switches], _missed(pause[switches], ptime_ns))
    _at_the_ends(lost, leg, arrival_ns, same_leg, window_ns, ptime_ns)
    pauses = pause[same_leg]
    return Continuity(
        packets=len(rows),
        lost=int(lost.sum()),
        duplicates=duplicates,
        disordered=int((same_stream & (step < 0)).sum()),
        gaps=int((pauses > GAP_MS * 1e6).sum()),
        lost_by_leg=lost,
        largest_gap_ms=float(pauses.max() / 1e6) if len(pauses) else 0.0,
    )


def lateness_ms(
    leg: NDArray[np.intp],
    ssrc: NDArray[np.int64],
    sequence: NDArray[np.int64],
    arrival_ns: NDArray[np.int64],
    *,
    window_ns: tuple[int, int],
    ptime_ns: int = 20_000_000,
) -> NDArray[np.float64]:
    """How much later than the earliest of its leg and SSRC each packet of the window came, with the time between
    them taken off that their sequence numbers stand for."""
    rows = np.flatnonzero((arrival_ns >= window_ns[0]) & (arrival_ns < window_ns[1]))
    rows = rows[np.lexsort((ssrc[rows], leg[rows]))]
    if not len(rows):
        return np.zeros(0)
    leg, ssrc, sequence, arrival_ns = leg[rows], ssrc[rows], sequence[rows], arrival_ns[rows]
    first = np.flatnonzero(np.concatenate(([True], (leg[1:] != leg[:-1]) | (ssrc[1:] != ssrc[:-1]))))
    count = np.diff(first, append=len(rows))
    ordinal = (sequence - np.repeat(sequence[first], count) + 0x8000 & 0xFFFF) - 0x8000
    transit = arrival_ns - ordinal * ptime_ns
    return np.asarray((transit - np.repeat(np.minimum.reduceat(transit, first), count)) / 1e6)


def _within_segments(
    lost: NDArray[np.int64], leg: NDArray[np.intp], same_stream: NDArray[np.bool_], step: NDArray[np.int64]
) -> int:
    """Add what each segment's span of sequence numbers lacks; returns how many came twice.

    A segment that runs from 7 to 12 has six numbers; those not seen are lost, in whatever order the
    others came.
    """
    if not len(leg):
        return 0
    segment = np.concatenate(([0], np.cumsum(~same_stream)))
    position = np.concatenate(([0], np.cumsum(np.where(same_stream, step, 0))))
    ordered = np.lexsort((position, segment))
    segment, position = segment[ordered], position[ordered]
    first = np.flatnonzero(np.concatenate(([True], segment[1:] != segment[:-1])))
    last = np.concatenate((first[1:], [len(segment)])) - 1
    repeated = np.concatenate(([False], (position[1:] == position[:-1]) & (segment[1:] == segment[:-1])))
    distinct = np.add.reduceat(~repeated, first, dtype=np.int64)
    np.add.at(lost, leg[ordered][first], position[last] - position[first] + 1 - distinct)
    return int(repeated.sum())


def _missed(pause_ns: NDArray[np.int64], ptime_ns: int) -> NDArray[np.int64]:
    """Packets that a pause swallowed. A late packet is not a lost one: under 1.75 ptimes, none."""
    return np.where(pause_ns > 1.75 * ptime_ns, np.rint(pause_ns / ptime_ns) - 1, 0).astype(np.int64)


def _at_the_ends(
    lost: NDArray[np.int64],
    leg: NDArray[np.intp],
    arrival_ns: NDArray[np.int64],
    same_leg: NDArray[np.bool_],
    window_ns: tuple[int, int],
    ptime_ns: int,
) -> None:
    """Add what is missing before a leg's first packet and after its last, or all of it."""
    first = np.full(len(lost), window_ns[1])
    last = np.full(len(lost), window_ns[0])
    if len(leg):
        first[leg[np.concatenate(([True], ~same_leg))]] = arrival_ns[np.concatenate(([True], ~same_leg))]
        last[leg[np.concatenate((~same_leg, [True]))]] = arrival_ns[np.concatenate((~same_leg, [True]))]
    silent = first == window_ns[1]
    lost += np.where(silent, 0, _missed(first - window_ns[0], ptime_ns))
    lost += np.where(silent, 0, _missed(window_ns[1] - last, ptime_ns))
    lost += np.where(silent, (window_ns[1] - window_ns[0]) // ptime_ns, 0)
