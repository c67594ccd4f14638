"""Replay: every member once more, with its key messages and packets in the order in which they came.

Knows: `Member`, libsrtp, what arrived when. Must never know: what the focus believes.

A packet is read if its member has the key that the MKI names when it arrives, and it authenticates. What is under a
group key is decrypted once; every copy must equal the original octet by octet, and every member's key of an epoch must
be the same, which is the same proof.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench import downlink
from bench.copies import originals
from bench.rekey.liveplan import CONFERENCE, FOCUS, Live
from bench.srtp import open_session, unprotect_rows
from control.member import Member
from control.rekey.epochs import generation_of, step_of
from mixer.secret import Secret
from mixer.suites import SUITES

MKI: Final = 4
OWN: Final = 0x8000_0000
"""MKIs of own keys are not below it."""


class Message(NamedTuple):
    """A key message that a member took."""

    leg: int
    ns: int
    octets: bytes


@dataclass
class Heard:
    """RTP rows, with what each member could make of them."""

    got: downlink.Arrivals
    mki: NDArray[np.uint32]
    key: NDArray[np.int64]
    """Which of `secrets`, -1 for none."""
    secrets: list[Secret]
    generations: list[dict[int, int]]
    """Of each member: the lowest step of each generation that it was ever sent."""
    problems: list[str]


def replay(live: Live, got: downlink.Arrivals, mki: NDArray[np.uint32], messages: list[Message]) -> Heard:
    """Which key each packet was readable with, if any."""
    heard = Heard(got, mki, np.full(len(mki), -1, np.int64), [], [], [])
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
    heard: Heard, member: Member, rows: NDArray[np.intp], messages: list[Message], known: dict[bytes, int]
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


def _take(heard: Heard, member: Member, message: Message) -> None:
    member.receive(message.octets, now=message.ns / 1e9)
    generation, step = generation_of(member.epoch), step_of(member.epoch)
    held = heard.generations[-1]
    held[generation] = min(step, held.get(generation, step))


def _number(heard: Heard, known: dict[bytes, int], name: bytes, secret: Secret) -> int:
    """One number for each key: two members with different keys of one name cannot both be right."""
    number = known.get(name)
    if number is None:
        number = known[name] = len(heard.secrets)
        heard.secrets.append(Secret(secret.reveal()))
    elif heard.secrets[number] != secret:
        heard.problems.append(f"two members have different keys under the MKI {name.hex()}")
        return -1
    return number


def open_all(live: Live, heard: Heard) -> NDArray[np.intp]:
    """Decrypt in place; for each row the row with its clear text, -1 if it is not authentic or has no key."""
    got, rows = heard.got, np.arange(len(heard.key))
    origin = np.where(heard.key >= 0, rows, -1)
    grouped = np.flatnonzero((heard.key >= 0) & (heard.mki < OWN))
    if len(grouped):
        origin[grouped] = originals(got.octets, got.length, grouped, got.ssrc[grouped] << 16 | got.sequence[grouped])
    first = np.flatnonzero(origin == rows)
    stream = np.unique(np.stack([heard.key[first], got.ssrc[first]], axis=1), axis=0, return_inverse=True)
    sessions = [
        open_session(SUITES[live.suite], heard.secrets[int(key)].reveal(), ssrc=None) for key, _ in stream[0].tolist()
    ]
    status = unprotect_rows([sessions[which] for which in stream[1].ravel().tolist()], got.octets, got.length, first)
    good = np.zeros(len(rows), np.bool_)
    good[first] = status == 0
    return np.where((origin >= 0) & good[origin], origin, -1)
