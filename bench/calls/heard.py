"""What the phones of a timetable heard: was a packet there for each 20 ms of each call?

Knows: who was in a call when, and which packets came when. Must never know: keys. What is *in* the packets is judged by
callers of their own (`sample`).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.calls.timetable import Course, Timetable
from bench.plan import TICK_NS


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """All calls together."""

    calls: int
    """That were judged: up, and over by our BYE."""
    packets: int
    lost: int
    """Missing, from the answer to the BYE."""
    deaf: int
    """Calls in which less than half was heard."""
    longest_gap_ms: float
    sent: int = 0
    """Packets that the phones said."""
    late_ms: float = 0.0
    """How late the generator itself was, 99 of 100 times less."""


def judge(table: Timetable, courses: Sequence[Course], slot: NDArray[np.int64], arrival_ns: NDArray[np.int64]) -> Heard:
    """Args: `slot` and `arrival_ns` of each RTP packet that came."""
    by_slot = np.argsort(slot, kind="stable")
    edges = np.searchsorted(slot[by_slot], np.arange(table.slots + 1))
    times = [np.sort(arrival_ns[by_slot[edges[n] : edges[n + 1]]]) for n in range(table.slots)]
    packets = lost = deaf = judged = 0
    gap = 0
    for course in courses:
        if not course.up_ns or not course.bye_ns:
            continue
        mine = times[table.slot(course.call)]
        mine = mine[(mine >= course.up_ns) & (mine <= course.bye_ns)]
        # A packet may be up to half a tick late at either end and is not lost.
        expected = max(0, (course.bye_ns - course.up_ns - TICK_NS // 2) // TICK_NS)
        judged, packets = judged + 1, packets + len(mine)
        lost += max(0, expected - len(mine))
        deaf += 2 * len(mine) < expected
        gap = max(gap, int(np.diff(mine, prepend=course.up_ns, append=course.bye_ns).max()))
    return Heard(calls=judged, packets=packets, lost=lost, deaf=deaf, longest_gap_ms=round(gap / 1e6, 1))
