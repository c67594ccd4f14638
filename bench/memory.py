"""What a leg weighs: resident memory of the daemon with and without legs.

    python -m bench.memory --legs 2000 --keying unique --json

All legs are under traffic when memory is read: buffers that nobody has used yet are not yet there.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

import msgspec

from bench.capacity import parser, plan_of
from bench.plan import Plan, PlanError
from bench.populate import populate
from bench.processes import GENERATOR_CORE, BenchError, child, daemon
from control.client import ControlError


class Weight(msgspec.Struct, frozen=True, kw_only=True):
    """Resident memory of the daemon."""

    legs: int
    keying: str
    suite: str
    base_mib: float
    """Before there is any conference."""
    loaded_mib: float
    kib_per_leg: float


async def weigh(plan: Plan) -> Weight:
    """Load a fresh daemon with the plan's legs and compare.

    Raises:
        BenchError: if a process fails.
    """
    async with child("generator", GENERATOR_CORE, "-m", "bench.load") as load:
        load.tell(msgspec.json.encode(plan).decode())
        heard_at = int(await load.expect("ready", 60 + plan.legs * plan.ticks / 20_000))
        async with daemon(legs=max(plan.legs, 64)) as mixer:
            base = mixer.child.rss_kib()
            await populate(mixer, plan, heard_at)
            load.tell(f"go {mixer.port} blind")
            await load.expect("steady", 30 + plan.warmup)
            await load.expect("done", 30 + plan.seconds)
            loaded = mixer.child.rss_kib()
    return Weight(
        legs=plan.legs,
        keying=plan.keying,
        suite=plan.suite,
        base_mib=round(base / 1024, 1),
        loaded_mib=round(loaded / 1024, 1),
        kib_per_leg=round((loaded - base) / plan.legs, 1),
    )


def main() -> int:
    """Weigh as the command line says; returns the exit code."""
    options: argparse.Namespace = parser("Measure what a leg weighs.").parse_args()
    try:
        weight = asyncio.run(weigh(plan_of(options)))
    except (BenchError, PlanError, ControlError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(msgspec.json.encode(weight).decode())
    else:
        print(
            f"{weight.legs} legs, {weight.keying} keys, {weight.suite}: {weight.base_mib} MiB without them, "
            f"{weight.loaded_mib} MiB with, {weight.kib_per_leg} KiB a leg"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
