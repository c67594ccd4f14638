"""The load generator: a process that is thousands of SRTP legs.

    python -m bench.load            plan in JSON on the first line of standard input

Speaks with its parent by lines. It prints `ready <port>` when every packet of the run is encrypted and
its socket is open, waits for `go <port of the mixer>` (or a port for each leg, with commas between),
prints `steady` and `done` at both ends of the window that counts, and then a verdict in JSON.
`go <port> blind` skips the judgement: a bare echo has no mix to judge. It may be told to go again: the
same packets at another port.

While it runs it does two things only, sendmmsg of what was made before and recvmmsg into what will be
read after, each burst at its absolute time.
"""

from __future__ import annotations

import gc
import sys
import time

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench import downlink, uplink
from bench.plan import TICK_NS, Plan, PlanError, load_plan
from bench.sockets import Inbox, Loopback, Outbox
from bench.verdict import judge

_TAIL_NS = 300_000_000
"""How long it goes on listening after its last packet."""

_HEAD_NS = 50_000_000
_CSRC_AND_EXTENSION = 96
"""Octets that the mixer's packets may have beyond header and payload: 15 CSRCs and levels."""


def main() -> None:
    plan = load_plan(sys.stdin.readline())
    loopback = Loopback()
    store = uplink.store(plan)
    largest = uplink.HEADER + plan.coder.largest + plan.overhead + _CSRC_AND_EXTENSION
    inbox = Inbox(round(plan.legs * (plan.ticks + 100) * 1.02), largest)
    _say(f"ready {loopback.port}")
    for line in sys.stdin:
        words = line.split()
        if len(words) < 2 or words[0] != "go":
            break
        inbox.count = 0
        loopback.discard()
        outbox = Outbox(store.octets, store.length, uplink.sources(plan), ports(plan, words[1]))
        gc.disable()
        said_ns, late_ms, window_ns = run(plan, loopback, outbox, inbox)
        gc.enable()
        if inbox.full:
            print("load: more packets arrived than were sent; the rest was not looked at", file=sys.stderr)
        if "blind" in words:
            _say(msgspec.json.encode({"received": inbox.count}).decode())
            continue
        n = inbox.count
        got = downlink.arrivals(plan, inbox.octets[:n], inbox.length[:n], inbox.destination(), inbox.arrival_ns())
        _say(msgspec.json.encode(judge(plan, got, said_ns, window_ns, late_ms)).decode())


def run(
    plan: Plan, loopback: Loopback, outbox: Outbox, inbox: Inbox
) -> tuple[NDArray[np.int64], NDArray[np.float64], tuple[int, int]]:
    """Send every packet at its time, and keep what arrives.

    Returns:
        int64[ticks, slices]: CLOCK_REALTIME in ns when each burst was sent.
        float64[ticks * slices]: how late each was, in ms.
        The window that counts: CLOCK_REALTIME of its first and last moment.
    """
    edges = np.searchsorted(np.sort(plan.slice_of()), np.arange(plan.slices + 1)).tolist()
    said_ns = np.zeros((plan.ticks, plan.slices), np.int64)
    late_ns = np.zeros((plan.ticks, plan.slices), np.int64)
    warm = round(plan.warmup * 50)
    begin = time.monotonic_ns() + _HEAD_NS
    steady_ns = 0
    for tick in range(plan.ticks):
        if tick == warm:
            _say("steady")
            steady_ns = time.time_ns()
        for burst in range(plan.slices):
            due = begin + tick * TICK_NS + burst * TICK_NS // plan.slices
            late_ns[tick, burst] = inbox.wait_until(due, loopback.fd)
            said_ns[tick, burst] = time.time_ns()
            outbox.send(loopback.fd, tick, edges[burst], edges[burst + 1] - edges[burst])
    _say("done")
    done_ns = time.time_ns()
    end = time.monotonic_ns() + _TAIL_NS
    while time.monotonic_ns() < end:
        inbox.drain(loopback.fd)
        time.sleep(0.005)
    return said_ns, late_ns.ravel() / 1e6, (steady_ns, done_ns)


def ports(plan: Plan, text: str) -> NDArray[np.intp]:
    """intp[legs]: where each row of the outbox goes, from one port for all or one for each leg.

    Raises:
        PlanError: if they are not as many.
    """
    given = np.array([int(word) for word in text.split(",")])
    if len(given) not in (1, plan.legs):
        raise PlanError(f"{len(given)} ports for {plan.legs} legs: give one, or one for each")
    return np.broadcast_to(given, plan.legs)[uplink.order(plan)]


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
