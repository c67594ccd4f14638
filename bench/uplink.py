"""Uplink: everything that all legs will say, made and encrypted before the run.

A talker says noise of its own, limited to the telephone band: any stretch of it is found again in a
mix, to the sample, by correlation. Everybody else is quiet in the plan's way (`bench.quiet`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bench import quiet
from bench.codec import Samples
from bench.plan import FIRST_ADDRESS, Plan
from bench.srtp import WorkRows, open_session, splice_mki

HEADER = 12
LEVEL = 0.05
"""RMS of a talker, full scale 1: -26 dB, so that eight at once stay clear of the limiter."""

_BANK = 32
_STEP = 4001
"""Talkers that share a sequence of the bank say it so many samples apart."""


def voice(plan: Plan, talker: int) -> Samples:
    """float32[ticks * rate / 50]: what the `talker`-th talker of the run says, at the rate of the plan's coder."""
    rate = plan.coder.rate
    sequence = noise(plan.ticks * rate // 50, rate, talker % _BANK)
    return np.roll(sequence, talker // _BANK * _STEP)


def talker_rank(plan: Plan) -> NDArray[np.intp]:
    """intp[legs]: which talker of the run a leg is, -1 for those who are silent."""
    talks = plan.talks()
    return np.where(talks, np.cumsum(talks) - 1, -1)


def order(plan: Plan) -> NDArray[np.intp]:
    """intp[legs]: legs in the order in which they send, burst after burst."""
    return np.argsort(plan.slice_of(), kind="stable")


def sources(plan: Plan) -> NDArray[np.uint32]:
    """uint32[legs]: source addresses, in sending order."""
    return (FIRST_ADDRESS + order(plan)).astype(np.uint32)


def first_sequence(plan: Plan) -> NDArray[np.int64]:
    """int64[legs]: below 2^15, as RFC 3711 wishes, and different for each leg."""
    return np.arange(plan.legs) * 2657 % 32768


@dataclass(frozen=True)
class Store:
    """What all legs send, legs in sending order."""

    octets: NDArray[np.uint8]
    """uint8[ticks, legs, largest]"""
    length: NDArray[np.int32]
    """int32[ticks, legs]"""


def packets(plan: Plan) -> NDArray[np.uint8]:
    """uint8[ticks, legs, size]: SRTP, legs in sending order, of a codec whose packets have all the same size."""
    return store(plan).octets


def store(plan: Plan) -> Store:
    """Every packet of the run, SRTP unless the plan is in clear."""
    rows = order(plan)
    said = _Said(plan, rows)
    sealed = plan.header + said.largest + plan.overhead
    made = Store(
        np.zeros((plan.ticks, plan.legs, sealed), np.uint8),
        np.zeros((plan.ticks, plan.legs), np.int32),
    )
    work = WorkRows(plan.legs, sealed)
    sessions = [] if plan.clear else [_uplink_session(plan, int(leg)) for leg in rows]
    for tick in range(plan.ticks):
        work.octets[:, : plan.header] = _headers(plan, rows, tick)
        work.octets[:, plan.header : plan.header + said.largest], payload = said.at(tick)
        work.length[:] = plan.header + payload
        if not plan.clear:
            work.protect(sessions)
            _name_keys(plan, work)
        made.octets[tick], made.length[tick] = work.octets, work.length
    return made


def _name_keys(plan: Plan, work: WorkRows) -> None:
    """Put MKIs into the rows."""
    mki = plan.mki_of("group uplink" if plan.uplink == "group" else "rx")
    for size in np.unique(work.length) if mki else ():
        rows = np.flatnonzero(work.length == size)
        some = work.octets[rows]
        work.length[rows] = splice_mki(some, int(size), mki, plan.parameters)
        work.octets[rows] = some


class _Said:
    """Payloads of all rows, tick by tick: the talkers' own, and one sequence that the others share, each somewhere
    else in it."""

    def __init__(self, plan: Plan, rows: NDArray[np.intp]) -> None:
        rank = talker_rank(plan)[rows]
        self._talks = np.flatnonzero(rank >= 0)
        self._rests = np.flatnonzero(rank < 0)
        self._phase = rows[self._rests] * 7
        own = [plan.coder.packets(voice(plan, int(rank[row]))) for row in self._talks]
        shared = quiet.payloads(plan)
        self.largest = max(len(payload) for one in (*own, shared) for payload in one)
        self._own = [quiet.matrix(one, self.largest) for one in own]
        self._shared = quiet.matrix(shared, self.largest)
        self._octets = np.zeros((len(rows), self.largest), np.uint8)
        self._length = np.zeros(len(rows), np.int32)

    def at(self, tick: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """uint8[rows, largest] and int32[rows], good until the next call."""
        octets, length = self._shared
        place = (tick + self._phase) % len(length)
        self._octets[self._rests], self._length[self._rests] = octets[place], length[place]
        for row, (octets, length) in zip(self._talks, self._own, strict=True):
            self._octets[row], self._length[row] = octets[tick], length[tick]
        return self._octets, self._length


def _headers(plan: Plan, rows: NDArray[np.intp], tick: int) -> NDArray[np.uint8]:
    """uint8[legs, header]: the fixed header of RFC 3550 section 5.1, and the level of RFC 6464 if the plan has it."""
    header = np.zeros((len(rows), plan.header), np.uint8)
    header[:, 0] = 0x80
    if plan.header > HEADER:
        header[:, 0] |= 0x10
        header[:, HEADER:] = quiet.level(plan.talks()[rows], LEVEL)
    header[:, 1] = plan.coder.payload_type | (0x80 if tick == 0 else 0)
    sequence = first_sequence(plan)[rows] + tick
    header[:, 2:4] = sequence.astype(">u2").view(np.uint8).reshape(-1, 2)
    timestamp = rows * 104_729 + tick * plan.coder.clock // 50
    header[:, 4:8] = timestamp.astype(">u4").view(np.uint8).reshape(-1, 4)
    ssrc = np.array([plan.ssrc(int(leg)) for leg in rows], ">u4")
    header[:, 8:12] = ssrc.view(np.uint8).reshape(-1, 4)
    return header


def _uplink_session(plan: Plan, leg: int) -> object:
    """A session a leg, even under a group key: libsrtp looks SSRCs up one by one."""
    conference = leg * plan.conferences // plan.legs
    secret = plan.group_uplink_key(conference) if plan.uplink == "group" else plan.rx_key(leg)
    return open_session(plan.parameters, secret, plan.ssrc(leg), plan.roc)


@cache
def noise(length: int, rate: int, number: int) -> Samples:
    """Noise between 200 and 3400 Hz, `LEVEL` loud."""
    rng = np.random.default_rng(1_000_003 + number)
    spectrum = np.fft.rfft(rng.standard_normal(length))
    frequency = np.fft.rfftfreq(length, 1 / rate)
    spectrum[(frequency < 200) | (frequency > 3400)] = 0
    noise = np.fft.irfft(spectrum, length)
    return np.asarray(noise * (LEVEL / noise.std()), np.float32)
