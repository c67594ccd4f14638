"""Judging: what members lost, what leavers could still have read, and when each key was first heard.

Knows: packets that `replay` has opened, and what the focus did when. Must never know: sockets, or what the focus
believes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench import downlink, verdict
from bench.continuity import continuity
from bench.rekey.liveplan import TALKERS, Live
from bench.rekey.replay import MKI, OWN, Heard, Message, open_all, replay
from bench.srtp import strip_mki
from control.rekey.epochs import generation_of, step_of
from mixer.suites import SUITES

_SAMPLE: Final = 8
"""Listeners whose ears are examined, besides the talkers."""


@dataclass
class Capture:
    """What arrived, in order, and what was said."""

    octets: NDArray[np.uint8]
    length: NDArray[np.int32]
    destination: NDArray[np.int64]
    arrival_ns: NDArray[np.int64]
    messages: list[Message]
    said_ns: NDArray[np.int64]
    late_ms: NDArray[np.float64]
    overflowed: bool


class Happened(msgspec.Struct, frozen=True):
    """What the focus did: CLOCK_REALTIME in ns."""

    window_ns: tuple[int, int]
    """From when on, and until when, everything must be heard."""
    left: list[tuple[int, int, int]]
    """(leg, when the focus let it go, when the mixer said that it had removed it)"""
    joined: list[int]


class Leaver(msgspec.Struct, frozen=True):
    """What one who left could still have read, had it been able to capture the packets of others."""

    leg: int
    packets: int
    """Of its cohort's stream, under a key that it had, after the focus let it go."""
    packets_removed: int
    """The same after the mixer said that it had removed it."""
    ms: float
    """From when the focus let it go until the last of them."""
    sent_to_it: int
    """Packets to itself after the mixer said so."""
    own: int
    """Packets to listeners under own keys in the second after it left: what the bridge cost."""


class Epoch(msgspec.Struct, frozen=True):
    """A group key in use: when the first member heard it, and when the last one did for the first time."""

    epoch: int
    ssrc: int
    members: int
    first_ns: int
    last_ns: int


class LiveVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the members found."""

    packets: int
    """RTP, of all members, from the beginning."""
    group: int
    own: int
    unreadable: int
    """For want of the key."""
    forged: int
    """That did not authenticate, or were no copy of what the others got."""
    lost: int
    """In the window, of those who were there all the time, and of others while they were."""
    duplicates: int
    disordered: int
    largest_gap_ms: float
    rtcp: int
    stray: int
    leavers: list[Leaver]
    epochs: list[Epoch]
    late_ms: verdict.Spread
    problems: list[str]


def judge(live: Live, capture: Capture, happened: Happened) -> LiveVerdict:
    """Judge a run."""
    plan = live.plan()
    got = downlink.arrivals(plan, capture.octets, capture.length, capture.destination, capture.arrival_ns)
    mki = strip_mki(got.octets, got.length, MKI, SUITES[live.suite])
    heard = replay(live, got, mki, capture.messages)
    origin = open_all(live, heard)
    problems = heard.problems
    if capture.overflowed:
        problems.append("more packets came than the members could keep")
    lost, duplicates, disordered, gap = _continuity(live, heard, origin, happened)
    stay = sorted(set(range(live.members)) - {leg for leg, _, _ in happened.left})
    listeners = stay[TALKERS :: max(1, len(stay) // _SAMPLE)]
    problems += verdict.listen(plan, got, origin, capture.said_ns, happened.window_ns, [*stay[:TALKERS], *listeners])
    return LiveVerdict(
        packets=len(origin),
        group=int((mki < OWN).sum()),
        own=int((mki >= OWN).sum()),
        unreadable=int((heard.key < 0).sum()),
        forged=int(((origin < 0) & (heard.key >= 0)).sum()),
        lost=lost,
        duplicates=duplicates,
        disordered=disordered,
        largest_gap_ms=gap,
        rtcp=got.rtcp,
        stray=got.stray,
        leavers=[_leaver(heard, *left) for left in happened.left],
        epochs=list(_epochs(heard)),
        late_ms=verdict.spread(capture.late_ms),
        problems=problems,
    )


# -- losses ---------------------------------------------------------------------------------------


def _continuity(live: Live, heard: Heard, origin: NDArray[np.intp], happened: Happened) -> tuple[int, int, int, float]:
    """(lost, twice, out of order, the longest pause in ms) of packets that could be read."""
    got, read = heard.got, origin >= 0
    spans: list[tuple[set[int], tuple[int, int]]] = []
    begin, end = happened.window_ns
    absent = {leg for leg, _, _ in happened.left}
    spans.append((set(range(live.members)) - absent, (begin, end)))
    spans += [({leg}, (begin, ns)) for leg, ns, _ in happened.left]
    for leg in happened.joined:
        arrived = got.arrival_ns[read & (got.leg == leg)]
        spans.append(({leg}, (int(arrived[0]) if len(arrived) else begin, end)))
    total = [0, 0, 0]
    gap = 0.0
    for legs, window in spans:
        rows = np.flatnonzero(read & np.isin(got.leg, list(legs)))
        flow = continuity(
            got.leg[rows], got.ssrc[rows], got.sequence[rows], got.arrival_ns[rows], legs=live.legs, window_ns=window
        )
        total[0] += int(flow.lost_by_leg[list(legs)].sum())
        total[1] += flow.duplicates
        total[2] += flow.disordered
        gap = max(gap, flow.largest_gap_ms)
    return total[0], total[1], total[2], round(gap, 1)


# -- exposure and switches ------------------------------------------------------------------------


def _leaver(heard: Heard, leg: int, left_ns: int, removed_ns: int) -> Leaver:
    got, mine = heard.got, heard.got.leg == leg
    streams = np.unique(got.ssrc[mine & (heard.mki < OWN)])
    after = (got.arrival_ns > left_ns) & (heard.mki < OWN) & np.isin(got.ssrc, streams)
    held = heard.generations[leg]
    names, which = np.unique(heard.mki[after], return_inverse=True)
    could = np.array([held.get(generation_of(int(name)), 256) <= step_of(int(name)) for name in names], np.bool_)
    rows = np.flatnonzero(after)[could[which]] if len(names) else np.zeros(0, np.intp)
    second = (got.arrival_ns > left_ns) & (got.arrival_ns < left_ns + 1_000_000_000)
    return Leaver(
        leg=leg,
        packets=_packets(got, rows),
        packets_removed=_packets(got, rows[got.arrival_ns[rows] > removed_ns]),
        ms=round(float(got.arrival_ns[rows].max() - left_ns) / 1e6, 1) if len(rows) else 0.0,
        sent_to_it=int((mine & (got.arrival_ns > removed_ns)).sum()),
        own=int((second & (heard.mki >= OWN) & (got.leg >= TALKERS)).sum()),
    )


def _packets(got: downlink.Arrivals, rows: NDArray[np.intp]) -> int:
    """Distinct packets of common streams, however many members were sent each."""
    return len(np.unique(got.ssrc[rows] << 16 | got.sequence[rows]))


def _epochs(heard: Heard) -> Iterator[Epoch]:
    got = heard.got
    for name in np.unique(heard.mki[heard.mki < OWN]).tolist():
        rows = np.flatnonzero(heard.mki == name)
        _, first = np.unique(got.leg[rows], return_index=True)
        times = got.arrival_ns[rows[first]]
        yield Epoch(name, int(got.ssrc[rows[0]]), len(first), int(times.min()), int(times.max()))
