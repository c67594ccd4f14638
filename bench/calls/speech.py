"""Everything that the phones of a timetable will say, encrypted before the run: each call under a key of its own.

Knows: SRTP, a batch at a time. Must never know: sockets or SIP.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bench import uplink
from bench.calls.timetable import Timetable
from bench.codec import codec
from bench.plan import FIRST_ADDRESS, Plan
from bench.srtp import WorkRows, open_session

SLICES: Final = 20
"""In so many bursts are the packets of all slots spread over 20 ms."""
PCMU: Final = 0


def order(table: Timetable) -> NDArray[np.intp]:
    """intp[slots]: slots in the order in which they send, burst after burst."""
    return np.argsort(np.arange(table.slots) % SLICES, kind="stable")


def sources(table: Timetable) -> NDArray[np.uint32]:
    """uint32[slots]: source addresses, in sending order."""
    return (FIRST_ADDRESS + order(table)).astype(np.uint32)


def packets(table: Timetable) -> NDArray[np.uint8]:
    """uint8[ticks, slots, size]: SRTP of 20 ms, slots in sending order; empty where nobody calls."""
    voice = codec("PCMU", 8000)
    rows, talking = order(table), table.talking()[:, order(table)]
    payload = voice.samples() * voice.width
    size = uplink.HEADER + payload + table.parameters.tag
    store = np.zeros((table.ticks, table.slots, size), np.uint8)
    said, work = _said(table, rows), WorkRows(table.slots, size)
    sessions: dict[int, Any] = {}
    for tick in range(table.ticks):
        active = np.flatnonzero(talking[tick] >= 0)
        calls = [int(call) for call in talking[tick, active]]
        sessions = {call: sessions.get(call) or _session(table, call) for call in calls}
        work.octets[: len(active), : uplink.HEADER] = _headers(table, rows[active], calls, tick)
        work.octets[: len(active), uplink.HEADER : uplink.HEADER + payload] = voice.silence
        for place, row in enumerate(active):
            if int(row) in said:
                work.octets[place, uplink.HEADER : uplink.HEADER + payload] = said[int(row)][tick]
        work.length[:] = uplink.HEADER + payload
        work.protect([sessions[call] for call in calls])
        store[tick, active] = work.octets[: len(active)]
    return store


def _session(table: Timetable, call: int) -> Any:
    return open_session(table.parameters, table.key(call), table.ssrc(call))


def _said(table: Timetable, rows: NDArray[np.intp]) -> dict[int, NDArray[np.uint8]]:
    """For each row that talks: uint8[ticks, payload]."""
    plan = Plan(legs=table.slots, seconds=table.ticks / 50, warmup=0.0)
    talkers = [(row, int(slot)) for row, slot in enumerate(rows) if table.talks(int(slot))]
    return {row: plan.voice.encode(uplink.voice(plan, slot)).reshape(plan.ticks, -1) for row, slot in talkers}


def _headers(table: Timetable, slots: NDArray[np.intp], calls: list[int], tick: int) -> NDArray[np.uint8]:
    """uint8[active, 12]: the fixed header of RFC 3550 section 5.1. A sequence goes on from call to call of a slot."""
    header = np.zeros((len(slots), uplink.HEADER), np.uint8)
    header[:, 0], header[:, 1] = 0x80, PCMU
    header[:, 2:4] = (slots * 2657 % 32768 + tick).astype(">u2").view(np.uint8).reshape(-1, 2)
    header[:, 4:8] = (slots * 104_729 + tick * 160).astype(">u4").view(np.uint8).reshape(-1, 4)
    header[:, 8:12] = np.array([table.ssrc(call) for call in calls], ">u4").view(np.uint8).reshape(-1, 4)
    return header
