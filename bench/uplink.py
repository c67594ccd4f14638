"""Uplink: everything that all legs will say, made and encrypted before the run.

A talker says noise of its own, limited to the telephone band: any stretch of it is found again in a
mix, to the sample, by correlation. Everybody else says silence.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

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
    """float32[ticks * samples]: what the `talker`-th talker of the run says."""
    sequence = _sequence(plan.ticks * plan.voice.samples(), plan.voice.rate, talker % _BANK)
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


def packets(plan: Plan) -> NDArray[np.uint8]:
    """uint8[ticks, legs, size]: SRTP, legs in sending order; all packets have the same size."""
    rows = order(plan)
    payload = plan.voice.samples() * plan.voice.width
    sealed = HEADER + payload + plan.parameters.tag + plan.mki
    store = np.zeros((plan.ticks, plan.legs, sealed), np.uint8)
    speech = _speech(plan, rows)
    work = WorkRows(plan.legs, sealed)
    sessions = [_uplink_session(plan, int(leg)) for leg in rows]
    for tick in range(plan.ticks):
        work.octets[:, :HEADER] = _headers(plan, rows, tick)
        work.octets[:, HEADER : HEADER + payload] = plan.voice.silence
        for row, octets in speech.items():
            work.octets[row, HEADER : HEADER + payload] = octets[tick]
        work.length[:] = HEADER + payload
        work.protect(sessions)
        kind = "group uplink" if plan.uplink == "group" else "rx"
        splice_mki(work.octets, sealed - plan.mki, plan.mki_of(kind), plan.parameters)  # type: ignore[arg-type]
        store[tick] = work.octets
    return store


def _speech(plan: Plan, rows: NDArray[np.intp]) -> dict[int, NDArray[np.uint8]]:
    """For each row that talks: uint8[ticks, payload]."""
    rank = talker_rank(plan)[rows]
    return {
        int(row): plan.voice.encode(voice(plan, int(rank[row]))).reshape(plan.ticks, -1)
        for row in np.flatnonzero(rank >= 0)
    }


def _headers(plan: Plan, rows: NDArray[np.intp], tick: int) -> NDArray[np.uint8]:
    """uint8[legs, 12]: the fixed header of RFC 3550 section 5.1."""
    header = np.zeros((len(rows), HEADER), np.uint8)
    header[:, 0] = 0x80
    header[:, 1] = plan.voice.payload_type | (0x80 if tick == 0 else 0)
    sequence = first_sequence(plan)[rows] + tick
    header[:, 2:4] = sequence.astype(">u2").view(np.uint8).reshape(-1, 2)
    timestamp = rows * 104_729 + tick * plan.voice.samples()
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
def _sequence(length: int, rate: int, number: int) -> Samples:
    """Noise between 200 and 3400 Hz, `LEVEL` loud."""
    rng = np.random.default_rng(1_000_003 + number)
    spectrum = np.fft.rfft(rng.standard_normal(length))
    frequency = np.fft.rfftfreq(length, 1 / rate)
    spectrum[(frequency < 200) | (frequency > 3400)] = 0
    noise = np.fft.irfft(spectrum, length)
    return np.asarray(noise * (LEVEL / noise.std()), np.float32)
