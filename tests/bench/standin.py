"""A mixer of plain loops, for testing the checker: it may be told to do wrong.

It works on a plan's own voices, off line: every leg hears the sum of the others, `DELAY` packets late.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench import uplink
from bench.codec import Samples
from bench.plan import FIRST_ADDRESS, TICK_NS, Plan
from bench.srtp import PacketSession

DELAY = 2
HOP_NS = 5_000_000
BEGIN_NS = 1_700_000_000_000_000_000
ROOM = 440


@dataclass
class Faults:
    """What the stand-in does wrong."""

    self_db: float | None = None
    """Legs hear themselves so loud."""
    unheard: set[int] = field(default_factory=set)
    """Legs that are in nobody's mix."""
    constant: float = 0.0
    """This is added to every sample that anybody hears."""
    foreign: bool = False
    """The other conferences are in the mix too."""
    skip: set[tuple[int, int]] = field(default_factory=set)
    """(leg, tick) that are not sent."""
    twice: set[tuple[int, int]] = field(default_factory=set)
    flip: set[tuple[int, int]] = field(default_factory=set)
    """(leg, tick) in which one bit is wrong."""


@dataclass
class Capture:
    """What `downlink.arrivals` and `judge` want."""

    octets: NDArray[np.uint8]
    length: NDArray[np.int32]
    destination: NDArray[np.int64]
    arrival_ns: NDArray[np.int64]
    said_ns: NDArray[np.int64]
    window_ns: tuple[int, int]


def said_ns(plan: Plan) -> NDArray[np.int64]:
    """int64[ticks, slices]: bursts exactly on time."""
    burst = np.arange(plan.slices) * TICK_NS // plan.slices
    return BEGIN_NS + np.arange(plan.ticks)[:, None] * TICK_NS + burst


def mix(plan: Plan, faults: Faults | None = None) -> Capture:
    """Run the plan through the stand-in."""
    faults = faults or Faults()
    packets: list[tuple[bytes, int, int]] = []
    streams = {leg: _Stream(plan, leg) for leg in range(plan.legs)}
    voices = _voices(plan)
    heard = {leg: _heard(plan, leg, voices, faults) for leg in range(plan.legs)}
    common: dict[tuple[int, int, bytes], bytes] = {}
    for tick in range(DELAY, plan.ticks):
        at = BEGIN_NS + tick * TICK_NS + HOP_NS
        for leg in range(plan.legs):
            sealed = streams[leg].seal(tick, heard[leg][tick - DELAY], common)
            if (leg, tick) in faults.flip:
                sealed = sealed[:20] + bytes([sealed[20] ^ 1]) + sealed[21:]
            copies = 0 if (leg, tick) in faults.skip else 2 if (leg, tick) in faults.twice else 1
            packets += [(sealed, FIRST_ADDRESS + leg, at)] * copies
    octets = np.zeros((len(packets), ROOM), np.uint8)
    for row, (packet, _, _) in enumerate(packets):
        octets[row, : len(packet)] = np.frombuffer(packet, np.uint8)
    warm = round(plan.warmup * 50)
    return Capture(
        octets=octets,
        length=np.array([len(packet) for packet, _, _ in packets], np.int32),
        destination=np.array([address for _, address, _ in packets]),
        arrival_ns=np.array([at for _, _, at in packets]),
        said_ns=said_ns(plan),
        window_ns=(BEGIN_NS + warm * TICK_NS, BEGIN_NS + plan.ticks * TICK_NS),
    )


class _Stream:
    """What one leg hears, sealed: the common mix under a group key, its own under its own."""

    def __init__(self, plan: Plan, leg: int) -> None:
        self._plan = plan
        self._leg = leg
        self._conference = int(plan.conference()[leg])
        listens = not plan.talks()[leg]
        self._shared = plan.keying == "group" and listens
        grouped = plan.keying == "group" and (listens or plan.style == "ssrc")
        self._ssrc = 0x2000 + self._conference if self._shared else 0x3000 + leg
        self._session = PacketSession(
            plan.suite,
            plan.group_key(self._conference) if grouped else plan.tx_key(leg),
            ssrc=self._ssrc,
            mki=plan.mki_of("group" if grouped else "tx"),
        )

    def seal(self, tick: int, payload: bytes, common: dict[tuple[int, int, bytes], bytes]) -> bytes:
        coder = self._plan.coder
        header = bytes([0x80, coder.payload_type]) + (100 + tick).to_bytes(2, "big")
        header += (tick * coder.clock // 50).to_bytes(4, "big") + self._ssrc.to_bytes(4, "big")
        packet = header + payload
        if self._plan.clear:
            return packet
        if not self._shared:
            return self._session.protect(packet)
        name = (self._conference, tick, packet)
        if name not in common:
            common[name] = self._session.protect(packet)
        return common[name]


def _voices(plan: Plan) -> dict[int, Samples]:
    rank = uplink.talker_rank(plan)
    said = {int(leg): uplink.voice(plan, int(rank[leg])) for leg in np.flatnonzero(plan.talks())}
    return {leg: _through(plan, samples) for leg, samples in said.items()}


def _through(plan: Plan, samples: Samples) -> Samples:
    """What the codec makes of it."""
    return plan.coder.sound([np.frombuffer(packet, np.uint8) for packet in plan.coder.packets(samples)])


def _heard(plan: Plan, leg: int, voices: dict[int, Samples], faults: Faults) -> list[bytes]:
    """Payloads, one a tick."""
    conference = plan.conference()
    total = np.full(plan.ticks * plan.coder.rate // 50, faults.constant, np.float32)
    for talker, said in voices.items():
        near = faults.foreign or conference[talker] == conference[leg]
        if talker == leg and faults.self_db is not None:
            total += said * np.float32(10 ** (faults.self_db / 20))
        elif talker != leg and near and talker not in faults.unheard:
            total += said
    return plan.coder.packets(total)
