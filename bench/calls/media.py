"""The media of all phones of a timetable, in a process of its own.

    python -m bench.calls.media         timetable in JSON on the first line of standard input

Prints `ready <port>`; told `go <port of the mixer> <CLOCK_MONOTONIC in ns>` it begins at that moment, and prints `done`
at the end; told `judge <file>` with the courses of all calls in it, it prints what they heard, in JSON.

While it runs it only sends what was made before, and takes in what will be looked at after.
"""

from __future__ import annotations

import gc
import sys
import time
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.calls import speech
from bench.calls.heard import Arrivals, judge
from bench.calls.timetable import Course, Timetable
from bench.plan import FIRST_ADDRESS, TICK_NS
from bench.sockets import Inbox, Loopback, Outbox

LOOK: Final = 16
"""Octets of a packet that are kept: its header is all that is looked at."""
_TAIL_S: Final = 0.5


def main() -> None:
    table = msgspec.json.decode(sys.stdin.readline(), type=Timetable)
    loopback, store = Loopback(), speech.packets(table)
    inbox = Inbox(round((table.concurrent * 1.3 + 100) * (table.ticks + 200)), LOOK)
    _say(f"ready {loopback.port}")
    words = sys.stdin.readline().split()
    if len(words) != 3 or words[0] != "go":
        return
    loopback.discard()
    outbox = Outbox(store, store.shape[2], speech.sources(table), int(words[1]))
    gc.disable()
    late_ms = run(table, loopback, outbox, inbox, int(words[2]))
    gc.enable()
    _say("done")
    words = sys.stdin.readline().split()
    if len(words) == 2 and words[0] == "judge":
        courses = msgspec.json.decode(Path(words[1]).read_bytes(), type=list[Course])
        sent, late = int((table.talking() >= 0).sum()), float(np.percentile(late_ms, 99))
        heard = judge(table, courses, _arrivals(inbox))
        _say(msgspec.json.encode(msgspec.structs.replace(heard, sent=sent, late_ms=round(late, 2))).decode())


def run(table: Timetable, loopback: Loopback, outbox: Outbox, inbox: Inbox, begin_ns: int) -> NDArray[np.float64]:
    """Send every packet at its time, and keep what arrives; returns how late each burst was, in ms."""
    talking = table.talking()[:, speech.order(table)] >= 0
    slices = np.sort(np.arange(table.slots) % speech.SLICES)
    edges = np.searchsorted(slices, np.arange(speech.SLICES + 1)).tolist()
    late_ns = np.zeros((table.ticks, speech.SLICES), np.int64)
    for tick in range(table.ticks):
        for burst in range(speech.SLICES):
            due = begin_ns + tick * TICK_NS + burst * TICK_NS // speech.SLICES
            late_ns[tick, burst] = inbox.wait_until(due, loopback.fd)
            first, end = edges[burst], edges[burst + 1]
            outbox.send_some(loopback.fd, tick, first + np.flatnonzero(talking[tick, first:end]))
    end_ns = time.monotonic_ns() + round(_TAIL_S * 1e9)
    while time.monotonic_ns() < end_ns:
        inbox.drain(loopback.fd)
        time.sleep(0.005)
    return late_ns.ravel() / 1e6


def _arrivals(inbox: Inbox) -> Arrivals:
    """What came, without RTCP."""
    rows = np.flatnonzero((inbox.octets[: inbox.count, 1] & 0x7F) == speech.PCMU)
    header = inbox.octets[rows, :12].astype(np.int64)
    return Arrivals(
        slot=inbox.destination()[rows] - FIRST_ADDRESS,
        ssrc=header[:, 8] << 24 | header[:, 9] << 16 | header[:, 10] << 8 | header[:, 11],
        sequence=header[:, 2] << 8 | header[:, 3],
        at_ns=inbox.arrival_ns()[rows],
    )


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
