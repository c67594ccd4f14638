"""A flood: what does it cost to be sent rubbish?

    python -m bench.flood --rate 100000 --seconds 5 [--json]

Random datagrams, truncated and forged RTP and RTCP (some with an SSRC that a leg has), STUN, DTLS and ZRTP
are sent to the shared port of a real daemon in which a conference waits. It fails if a tick was late, if
anything was accepted, if a leg moved, or if the mixer's count of fates is not that of what it received.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import secrets
import socket
import struct
import sys
import time
from typing import Final

import msgspec

from bench.processes import GENERATOR_CORE, BenchError, Daemon, daemon
from control.client import ControlError
from control.messages import Lateness, NodeInfo
from mixer.port import ConferenceCreate, ConferenceShow, Key, LegAdd
from mixer.secret import Secret

SLICE_S: Final = 0.005
KINDS: Final = 4096
"""Different datagrams."""
LEGS: Final = 20
LATE_MS: Final = 10.0


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a flood."""

    rate: int
    sent: int
    received: int
    accepted: int
    drops: dict[str, int]
    cpu_us_per_datagram: float
    late_ticks: int
    lateness_ms: Lateness
    faults: int
    moved: int
    """Legs whose address changed."""


def rubbish(ssrcs: list[int]) -> bytes:
    """One datagram that nobody should believe."""
    size = random.randrange(400)
    body = random.randbytes(size)
    kind = random.randrange(8)
    ssrc = random.choice([*ssrcs, secrets.randbits(32)])
    if kind == 0:
        return body
    if kind in (1, 2, 3):
        return struct.pack("!BBHII", 0x80 | random.randrange(64), random.randrange(128), 7, 9, ssrc) + body
    if kind in (4, 5):
        return struct.pack("!BBHI", 0x80, random.choice((200, 201, 203, 204)), size // 4, ssrc) + body
    return bytes([random.choice((0, 1, 16, 20, 22, 64, 200))]) + body


def pour(port: int, rate: int, seconds: float, datagrams: list[bytes]) -> int:
    """Send them, evenly; returns how many."""
    sent, each = 0, max(1, int(rate * SLICE_S))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.connect(("127.0.0.1", port))
        begin = time.monotonic()
        for number in range(int(seconds / SLICE_S)):
            while (ahead := begin + number * SLICE_S - time.monotonic()) > 0:
                time.sleep(ahead)
            for datagram in datagrams[sent % KINDS : sent % KINDS + each]:
                out.send(datagram)
                sent += 1
    return sent


async def flood(rate: int, seconds: float) -> Result:
    """Flood a fresh daemon.

    Raises:
        BenchError: if it can't be started.
    """
    async with daemon(legs=64) as mixer:
        ssrcs = await _populate(mixer)
        datagrams = [rubbish(ssrcs) for _ in range(KINDS)]
        before, where = await mixer.client.call(NodeInfo()), await _addresses(mixer)
        cpu = mixer.child.cpu_ns()
        os.sched_setaffinity(0, {GENERATOR_CORE} & os.sched_getaffinity(0) or os.sched_getaffinity(0))
        sent = await asyncio.to_thread(pour, mixer.port, rate, seconds, datagrams)
        await asyncio.sleep(0.2)
        cpu = mixer.child.cpu_ns() - cpu
        after = await mixer.client.call(NodeInfo())
        moved = sum(a != b for a, b in zip(where, await _addresses(mixer), strict=True))
    return Result(
        rate=rate,
        sent=sent,
        received=after.received - before.received,
        accepted=after.accepted - before.accepted,
        drops={name: count - before.drops.get(name, 0) for name, count in after.drops.items()},
        cpu_us_per_datagram=round(cpu / 1000 / max(1, after.received - before.received), 2),
        late_ticks=after.late_ticks - before.late_ticks,
        lateness_ms=after.lateness_ms,
        faults=after.faults,
        moved=moved,
    )


async def _populate(mixer: Daemon) -> list[int]:
    """A conference of legs: half of them known by address and SSRC, half by nothing but a key."""
    await mixer.client.call(ConferenceCreate(conference="flooded"))
    ssrcs = []
    for number in range(LEGS):
        known = number % 2 == 0
        ssrc = secrets.randbits(31) + 1
        ssrcs.append(ssrc)
        leg = LegAdd(
            conference="flooded",
            leg=f"leg-{number}",
            rx=Key(secret=Secret(secrets.token_bytes(30))),
            tx=Key(secret=Secret(secrets.token_bytes(30))),
            ssrc=ssrc if known else None,
            remote=f"127.0.0.1:{9000 + number}" if known else None,
        )
        await mixer.client.call(leg)
    return ssrcs


async def _addresses(mixer: Daemon) -> list[str]:
    shown = await mixer.client.call(ConferenceShow(conference="flooded"))
    return [leg.address for leg in shown.legs]


def complaints(result: Result) -> list[str]:
    """What is not as it must be."""
    wrong = []
    if result.received != sum(result.drops.values()) + result.accepted:
        wrong.append("not every datagram has a fate")
    if result.accepted or result.moved or result.faults:
        wrong.append(f"{result.accepted} accepted, {result.moved} legs moved, {result.faults} faults")
    if result.late_ticks:
        wrong.append(f"{result.late_ticks} ticks began over {LATE_MS:.0f} ms late")
    return wrong


def main() -> int:
    """Flood as the command line says; returns the exit code."""
    options = argparse.ArgumentParser(description="Send rubbish to a mixer.")
    options.add_argument("--rate", type=int, default=100_000, help="datagrams a second")
    options.add_argument("--seconds", type=float, default=5.0)
    options.add_argument("--json", action="store_true")
    asked = options.parse_args()
    try:
        result = asyncio.run(flood(asked.rate, asked.seconds))
    except (BenchError, ControlError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    for line in complaints(result):
        print(f"WRONG: {line}", file=sys.stderr)
    print(msgspec.json.encode(result).decode() if asked.json else msgspec.to_builtins(result))
    return 1 if complaints(result) else 0


if __name__ == "__main__":
    sys.exit(main())
