"""Costs: what a packet, a message and a key take on this machine, and what follows for the pause between rekeys.

    python -m bench.rekey.costs [--quick] [--json]

Prints Markdown: every figure is the median of nine samples, with their range, in microseconds of CPU.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import sys
from typing import Final

import msgspec

from bench.processes import BenchError
from bench.rekey import channels, laws, making, media, tables
from bench.rekey.channels import Channel, ChannelError
from bench.rekey.cpu import Cpu
from bench.sweep import CM, GCM, machine
from control import logs
from mixer.suites import SuiteName

SHARE: Final = 0.2
"""Of a core that key deliveries may use."""
SIZES: Final = (100, 1_000, 10_000, 100_000, 1_000_000)
BATCH: Final = 256
"""Packets encrypted at a time: a bridged cohort."""


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """All that was measured."""

    machine: str
    day: str
    encrypt: dict[str, dict[str, Cpu]]
    """By suite: in a batch of 256, of one, and by pylibsrtp's own call."""
    send: Cpu
    channels: list[Channel]
    made: making.Made

    def c_enc(self, suite: str) -> float:
        """Seconds to encrypt a packet."""
        return self.encrypt[suite][f"batch of {BATCH}"].us / 1e6

    def channel(self, name: str) -> Channel:
        """One channel by name."""
        return next(channel for channel in self.channels if channel.name == name)

    def c_msg(self, name: str = "mikey") -> float:
        """Seconds to deliver a key."""
        return self.channel(name).focus.us / 1e6


def measure(*, quick: bool = False) -> Costs:
    """Measure everything; a minute and a half, or twenty seconds.

    Raises:
        ChannelError: if loopback loses messages.
        BenchError: if mixer or KMS do not come up.
    """
    samples = 3 if quick else 9
    suites: tuple[SuiteName, ...] = (CM, GCM)
    return Costs(
        machine=machine(),
        day=dt.datetime.now(dt.UTC).date().isoformat(),
        encrypt={suite: _encrypt(suite, samples) for suite in suites},
        send=media.send(samples=samples),
        channels=asyncio.run(channels.channels(members=64 if quick else BATCH, rekeys=samples)),
        made=asyncio.run(making.made(samples=samples)),
    )


def _encrypt(suite: SuiteName, samples: int) -> dict[str, Cpu]:
    return {
        f"batch of {BATCH}": media.encrypt(suite, BATCH, samples=samples),
        "batch of 16": media.encrypt(suite, 16, samples=samples),
        "batch of 1": media.encrypt(suite, 1, rounds=1000, samples=samples),
        "pylibsrtp": media.encrypt_plain(suite, samples=samples),
    }


def media_table(costs: Costs) -> str:
    """c_enc and c_snd."""
    rows = [
        [f"encrypt, {suite}, {how}", str(cpu), "measured"]
        for suite, by_way in costs.encrypt.items()
        for how, cpu in by_way.items()
    ]
    made = costs.made
    rows += [
        ["send one packet (`sendmmsg`)", str(costs.send), "measured"],
        ["one step of the ratchet", str(made.ratchet), "measured"],
        ["a key of the KMS, in process", str(made.registry), "measured"],
        [f"a key of the KMS, Unix socket, both ends ({made.kms_wait_us:.0f} us of waiting)", str(made.kms), "measured"],
    ]
    return tables.table(["", "us of CPU (range)", ""], rows, "lrl")


def channel_table(costs: Costs) -> str:
    """c_msg."""
    rows = [
        [
            one.text,
            str(one.focus),
            ", ".join(f"{part} {us:g}" for part, us in one.parts.items()),
            str(one.member) if one.member else "",
            f"{one.octets} + {one.answer_octets}",
            one.how,
        ]
        for one in costs.channels
    ]
    heads = ["channel", "focus, us a delivery", "of which", "member, us", "octets, key + ack", ""]
    return tables.table(heads, rows, "lrlrrl")


def break_even_table(costs: Costs) -> str:
    """T*: rekeying a group more often than this costs more than own keys."""
    rows = [
        [
            one.text,
            *(_time(laws.break_even(one.focus.us / 1e6, costs.c_enc(suite))) for suite in costs.encrypt),
            one.how,
        ]
        for one in costs.channels
    ]
    return tables.table(["channel", *costs.encrypt, ""], rows, "l" + "r" * len(costs.encrypt) + "l")


def capacity_table(costs: Costs) -> str:
    """The shortest T that a fifth of a core can deliver keys for, in one group."""
    rows = [[one.text, *(_time(laws.capacity(n, one.focus.us / 1e6, SHARE)) for n in SIZES)] for one in costs.channels]
    return tables.table(["channel", *(f"{n:,}" for n in SIZES)], rows, "l" + "r" * len(SIZES))


def report(costs: Costs) -> str:
    """All tables."""
    return "\n\n".join(
        (
            f"{costs.day}; {costs.machine}.",
            media_table(costs),
            channel_table(costs),
            "Break-even pause T\\*, by suite:",
            break_even_table(costs),
            f"Shortest pause that {SHARE:.0%} of a core can deliver for, by members of one group:",
            capacity_table(costs),
        )
    )


def _time(seconds: float) -> str:
    if seconds < 0.1:
        return f"{seconds * 1000:.3g} ms"
    return f"{seconds:.3g} s" if seconds < 120 else f"{seconds / 60:.3g} min"


def main() -> int:
    """Measure and print; returns the exit code."""
    logs.configure("warning", "console")
    p = argparse.ArgumentParser(description="Measure what rekeying is made of.")
    p.add_argument("--quick", action="store_true", help="three samples of each")
    p.add_argument("--json", action="store_true")
    options = p.parse_args()
    try:
        costs = measure(quick=options.quick)
    except (BenchError, ChannelError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(msgspec.json.encode(costs).decode() if options.json else report(costs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
