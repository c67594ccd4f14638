"""What the phones of a timetable heard: was a packet there for each 20 ms of each call?

Knows: who was in a call when, and which packets came when. Must never know: keys. What is *in* the packets is judged by
callers of their own (`sample`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.calls.timetable import Course, Timetable
from bench.continuity import continuity
from bench.plan import TICK_NS

BEGIN_NS: Final = 100_000_000
"""So long after the answer media may begin, for to a caller that has proved nothing nothing is sent before its ACK.

What is missing after that counts as lost."""


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """All calls together."""

    calls: int
    """That were judged: up, and over by our BYE."""
    packets: int
    lost: int
    """Missing, from the first packet (at the latest `BEGIN_NS` after the answer) to the BYE."""
    deaf: int
    """Calls in which less than half was heard."""
    longest_gap_ms: float
    sent: int = 0
    """Packets that the phones said."""
    late_ms: float = 0.0
    """How late the generator itself was, 99 of 100 times less."""


@dataclass(frozen=True)
class Arrivals:
    """RTP packets that came, one row each, in any order."""

    slot: NDArray[np.int64]
    ssrc: NDArray[np.int64]
    sequence: NDArray[np.int64]
    at_ns: NDArray[np.int64]
    """CLOCK_REALTIME."""


def judge(table: Timetable, courses: Sequence[Course], came: Arrivals) -> Heard:
    """Look at every call that was up and hung up: from the answer to the BYE."""
    order = np.lexsort((came.at_ns, came.slot))
    edges = np.searchsorted(came.slot[order], np.arange(table.slots + 1))
    found = [
        _one(one, came, order[edges[slot] : edges[slot + 1]])
        for one in courses
        if one.up_ns and one.bye_ns
        for slot in (table.slot(one.call),)
    ]
    return Heard(
        calls=len(found),
        packets=sum(packets for packets, _, _, _ in found),
        lost=sum(lost for _, lost, _, _ in found),
        deaf=sum(deaf for _, _, deaf, _ in found),
        longest_gap_ms=round(max((gap for _, _, _, gap in found), default=0.0), 1),
    )


def _one(course: Course, came: Arrivals, rows: NDArray[np.intp]) -> tuple[int, int, bool, float]:
    """Packets, lost ones, whether it was nearly deaf, and the longest gap."""
    first, last = np.searchsorted(came.at_ns[rows], (course.up_ns, course.bye_ns))
    rows = rows[first:last]
    expected = (course.bye_ns - course.up_ns) // TICK_NS
    if not len(rows):
        return 0, expected, expected > 0, expected * TICK_NS / 1e6
    window = min(course.up_ns + BEGIN_NS, int(came.at_ns[rows[0]])), course.bye_ns
    alone = np.zeros(len(rows), np.intp)
    had = continuity(alone, came.ssrc[rows], came.sequence[rows], came.at_ns[rows], legs=1, window_ns=window)
    return had.packets, had.lost, 2 * had.packets < expected, had.largest_gap_ms
