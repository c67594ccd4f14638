"""One mixer at one size: its CPU over the steady window, and what its legs heard."""

from __future__ import annotations

import time
from typing import Final

import msgspec

from bench.peers import janus
from bench.peers.results import Row
from bench.plan import Plan
from bench.populate import populate
from bench.processes import GENERATOR_CORE, MEASURED_CORE, Child, child, daemon, machine_cpu_ns
from bench.verdict import Verdict

_FLOW: Final = 20_000
"""Packets a second that the generator encrypts beforehand, at least."""


async def of_janus(plan: Plan, *, pinned: bool = True) -> Row:
    """Janus, on one core or on all.

    Raises:
        BenchError: it is not installed, refuses, or ends.
    """
    async with child("generator", GENERATOR_CORE, "-m", "bench.load") as load:
        heard_at = await _ready(plan, load)
        async with janus.janus(MEASURED_CORE if pinned else None) as running:
            ports = await janus.populate(running, plan, heard_at)
            return await _observe(plan, load, running.child, ports, f"Janus{'' if pinned else ', not pinned'}")


async def of_mrfp(plan: Plan) -> Row:
    """Our own, keyed as the plan says.

    Raises:
        BenchError: a process fails.
    """
    async with child("generator", GENERATOR_CORE, "-m", "bench.load") as load:
        heard_at = await _ready(plan, load)
        async with daemon(legs=max(plan.legs, 64)) as mixer:
            await populate(mixer, plan, heard_at)
            return await _observe(plan, load, mixer.child, [mixer.port], "mrfp")


async def _ready(plan: Plan, load: Child) -> int:
    load.tell(msgspec.json.encode(plan).decode())
    return int(await load.expect("ready", 60 + plan.legs * plan.ticks / _FLOW))


async def _observe(plan: Plan, load: Child, mixer: Child, ports: list[int], name: str) -> Row:
    load.tell(f"go {','.join(map(str, ports))}")
    await load.expect("steady", 30 + plan.warmup)
    begin, cpu, others = time.monotonic(), mixer.cpu_ns(), _others_ns(mixer, load)
    await load.expect("done", 30 + plan.seconds)
    seconds = time.monotonic() - begin
    used, foreign = (mixer.cpu_ns() - cpu) / 1e9, (_others_ns(mixer, load) - others) / 1e9
    verdict = msgspec.json.decode(await load.line(300), type=Verdict)
    return Row(
        mixer=name,
        media="RTP in clear" if plan.clear else f"SRTP, {plan.keying} keys",
        codec=plan.codec,
        quiet=plan.quiet,
        legs=plan.legs,
        cpu_us=round(used * 1e6 / (seconds * 50 * plan.legs), 2),
        cores=round(used / seconds, 2),
        rss_mib=round(mixer.rss_kib() / 1024, 1),
        other_cores=round(max(0.0, foreign / seconds), 2),
        verdict=verdict,
    )


def _others_ns(*ours: Child) -> int:
    return machine_cpu_ns() - sum(one.cpu_ns() for one in ours)
