"""Judging: everything that all members were ever sent, opened with the keys that they had at that moment.

Knows: captured packets and key messages, with times. Must never know: sockets, or what the focus believes.

Each member is played again: its key messages and its packets in the order in which they came, through a `Member` that
starts with nothing. A packet is read if that member has the key that the packet's MKI names when it arrives, and it
authenticates. What is under a group key is decrypted once; every copy must equal the original octet by octet, and every
member's key of an epoch must be the same, which is the same proof.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench import downlink, verdict
from bench.continuity import continuity
from bench.rekey.liveplan import CONFERENCE, FOCUS, TALKERS, Live
from bench.srtp import open_session, strip_mki, unprotect_rows
from control.member import Member
from control.rekey.epochs import generation_of, step_of
from mixer.secret import Secret
from mixer.suites import SUITES

MKI: Final = 4
OWN: Final = 0x8000_0000
_CHUNK: Final = 1 << 14
_SAMPLE: Final = 8
"""Listeners whose ears are examined, besides the talkers."""


class Message(NamedTuple):
    """A key message that a member took."""

    leg: int
    ns: int
    octets: bytes


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


@dataclass
class _Heard:
    """RTP rows, with what each member could make of them."""

    got: downlink.Arrivals
    mki: NDArray[np.uint32]
    key: NDArray[np.int64]
    """Which of `secrets`, -1 for none."""
    secrets: list[Secret]
    generations: list[dict[int, int]]
    """Of each member: the lowest step of each generation that it was ever sent."""
    problems: list[str]


def judge(live: Live, capture: Capture, happened: Happened) -> LiveVerdict:
    """Judge a run."""
    plan = live.plan()
    got = downlink.arrivals(plan, capture.octets, capture.length, capture.destination, capture.arrival_ns)
    mki = strip_mki(got.octets, got.length, MKI, SUITES[live.suite])
    heard = _replay(live, got, mki, capture.messages)
    origin = _open(live, heard)
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


# -- every member once more -----------------------------------------------------------------------


def _replay(live: Live, got: downlink.Arrivals, mki: NDArray[np.uint32], messages: list[Message]) -> _Heard:
    heard = _Heard(got, mki, np.full(len(mki), -1, np.int64), [], [], [])
    known: dict[bytes, int] = {}
    taken: dict[int, list[Message]] = {}
    for message in messages:
        taken.setdefault(message.leg, []).append(message)
    rows_of = np.split(np.argsort(got.leg, kind="stable"), np.cumsum(np.bincount(got.leg, minlength=live.legs))[:-1])
    for leg in range(live.legs):
        member = Member(live.name(leg), live.psk(leg), focus=FOCUS, conference=CONFERENCE)
        member.own(live.own_mki(leg), Secret(live.plan().tx_key(leg)), live.suite)
        heard.generations.append({})
        _replay_one(heard, member, rows_of[leg], taken.get(leg, []), known)
        member.close()
    return heard


def _replay_one(
    heard: _Heard, member: Member, rows: NDArray[np.intp], messages: list[Message], known: dict[bytes, int]
) -> None:
    """Packets of one member: wherever the MKI changes it must have the key by then."""
    names, times = heard.mki[rows], heard.got.arrival_ns[rows]
    starts = np.flatnonzero(np.concatenate(([True], names[1:] != names[:-1]))) if len(rows) else np.zeros(0, np.intp)
    ends = np.append(starts[1:], len(rows))
    pending = iter(messages)
    message = next(pending, None)
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        now_ns, name = int(times[start]), int(names[start]).to_bytes(MKI)
        while message is not None and message.ns <= now_ns:
            _take(heard, member, message)
            message = next(pending, None)
        member.advance(now=now_ns / 1e9)
        key = member.key(name)
        if key is None:
            continue
        heard.key[rows[start:end]] = _number(heard, known, name, key.secret)
        member.used(name, now=now_ns / 1e9)
    while message is not None:
        _take(heard, member, message)
        message = next(pending, None)


def _take(heard: _Heard, member: Member, message: Message) -> None:
    member.receive(message.octets, now=message.ns / 1e9)
    generation, step = generation_of(member.epoch), step_of(member.epoch)
    held = heard.generations[-1]
    held[generation] = min(step, held.get(generation, step))


def _number(heard: _Heard, known: dict[bytes, int], name: bytes, secret: Secret) -> int:
    """One number for each key: two members with different keys of one name cannot both be right."""
    number = known.get(name)
    if number is None:
        number = known[name] = len(heard.secrets)
        heard.secrets.append(Secret(secret.reveal()))
    elif heard.secrets[number] != secret:
        heard.problems.append(f"two members have different keys under the MKI {name.hex()}")
        return -1
    return number


# -- authenticity ---------------------------------------------------------------------------------


def _open(live: Live, heard: _Heard) -> NDArray[np.intp]:
    """Decrypt in place; for each row the row with its clear text, -1 if it is not authentic or has no key."""
    got, rows = heard.got, np.arange(len(heard.key))
    origin = np.where(heard.key >= 0, rows, -1)
    grouped = np.flatnonzero((heard.key >= 0) & (heard.mki < OWN))
    if len(grouped):
        origin[grouped] = _originals(got, grouped)
    first = np.flatnonzero(origin == rows)
    stream = np.unique(np.stack([heard.key[first], got.ssrc[first]], axis=1), axis=0, return_inverse=True)
    sessions = [
        open_session(SUITES[live.suite], heard.secrets[int(key)].reveal(), ssrc=None) for key, _ in stream[0].tolist()
    ]
    status = unprotect_rows([sessions[which] for which in stream[1].ravel().tolist()], got.octets, got.length, first)
    good = np.zeros(len(rows), np.bool_)
    good[first] = status == 0
    return np.where((origin >= 0) & good[origin], origin, -1)


def _originals(got: downlink.Arrivals, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """The first row with the same SSRC and sequence number; -1 for one that is no copy of it."""
    _, first, which = np.unique(got.ssrc[rows] << 16 | got.sequence[rows], return_index=True, return_inverse=True)
    original = rows[first[which]]
    same = got.length[rows] == got.length[original]
    columns = np.arange(got.octets.shape[1])
    for start in range(0, len(rows), _CHUNK):
        some = slice(start, start + _CHUNK)
        beyond = columns >= got.length[rows[some]][:, None]
        same[some] &= ((got.octets[rows[some]] == got.octets[original[some]]) | beyond).all(axis=1)
    return np.where(same, original, -1)


# -- losses ---------------------------------------------------------------------------------------


def _continuity(live: Live, heard: _Heard, origin: NDArray[np.intp], happened: Happened) -> tuple[int, int, int, float]:
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


def _leaver(heard: _Heard, leg: int, left_ns: int, removed_ns: int) -> Leaver:
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


def _epochs(heard: _Heard) -> Iterator[Epoch]:
    got = heard.got
    for name in np.unique(heard.mki[heard.mki < OWN]).tolist():
        rows = np.flatnonzero(heard.mki == name)
        _, first = np.unique(got.leg[rows], return_index=True)
        times = got.arrival_ns[rows[first]]
        yield Epoch(name, int(got.ssrc[rows[0]]), len(first), int(times.min()), int(times.max()))
