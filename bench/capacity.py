"""What a leg costs: one load, one mixer, one floor, one line of JSON.

    python -m bench.capacity --legs 2000 --conferences 1 --keying group --codec PCMU \\
        --suite AES_CM_128_HMAC_SHA1_80 --talkers 3 --seconds 5 --json
    python -m bench.capacity --legs 1000 --codec opus --quiet level127

The generator plays the same packets at the floor (`bench.floor`) and at the daemon (`mrfp serve`), each
alone on one core, and what comes back is judged. CPU is the process's own user and system time over the
steady window. `lost` counts both ways: what legs did not hear, and what the mixer did not accept.

Exits with 1 if any leg heard something wrong or anything that was not authentic, or if so much was lost
that the CPU used is not that of the whole work.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import statistics
import sys
import time
from typing import Any, get_args

import msgspec

from bench.coder import Quiet
from bench.plan import Plan, PlanError
from bench.populate import populate
from bench.processes import (
    GENERATOR_CORE,
    MEASURED_CORE,
    BenchError,
    Child,
    Daemon,
    child,
    daemon,
    machine_cpu_ns,
)
from bench.verdict import Spread, Verdict
from control.client import ControlError
from mixer import port
from mixer.suites import SuiteName

_OTHERS = 0.25
"""Cores that other programs may use before the numbers are doubted. A kernel's interrupts are in it."""

_UNHEARD = 0.02
"""Share of lost packets from which the CPU used says nothing: a mixer that skips ticks looks cheap."""

_WITH_DTX = ("opus", "AMR", "AMR-WB")


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The line that is printed. `*_per_leg_tick` is per leg and 20 ms."""

    legs: int
    conferences: int
    keying: str
    codec: str
    suite: str
    cpu_us_per_leg_tick: float
    floor_us_per_leg_tick: float
    ratio_to_floor: float
    legs_per_core: int
    decodes_per_tick: float
    encodes_per_tick: float
    encrypts_per_tick: float
    late_ticks: int
    lateness_ms: Spread
    mouth_to_ear_ms: Spread
    lost: int
    auth_failures: int
    rss_mib: float
    stages_us: dict[str, float]
    quiet: str = "silence"


async def measure(plan: Plan) -> tuple[Result, Verdict]:
    """One run: floor, then mixer, with the same packets.

    Raises:
        BenchError: if a process fails.
    """
    async with child("generator", GENERATOR_CORE, "-m", "bench.load") as load:
        load.tell(msgspec.json.encode(plan).decode())
        heard_at = int(await load.expect("ready", 60 + plan.legs * plan.ticks / 20_000))
        floor_us = await _floor(plan, load)
        async with daemon(legs=max(plan.legs, 64)) as mixer:
            await populate(mixer, plan, heard_at)
            return await _mixer(plan, load, mixer, floor_us)


async def _floor(plan: Plan, load: Child) -> float:
    rows = str(plan.legs * 2 + 256)
    async with child("floor", MEASURED_CORE, "-m", "bench.floor", "--rows", rows) as floor:
        load.tell(f"go {await floor.line(20)} blind")
        cpu_us, _ = await _window(plan, load, floor)
        received = msgspec.json.decode(await load.line(120))["received"]
    if received < 0.9 * plan.legs * plan.ticks:
        print(f"floor: only {received} of {plan.legs * plan.ticks} packets came back", file=sys.stderr)
    return cpu_us


async def _window(plan: Plan, load: Child, measured: Child) -> tuple[float, float]:
    """CPU of a process over the steady window, us a leg and 20 ms; and the window's length in seconds."""
    await load.expect("steady", 30 + plan.warmup)
    begin, before = time.monotonic(), measured.cpu_ns()
    await load.expect("done", 30 + plan.seconds)
    seconds, used = time.monotonic() - begin, measured.cpu_ns() - before
    return used / 1000 / (seconds * 50 * plan.legs), seconds


async def _mixer(plan: Plan, load: Child, mixer: Daemon, floor_us: float) -> tuple[Result, Verdict]:
    start = await mixer.client.node_info()
    load.tell(f"go {mixer.port}")
    await load.expect("steady", 30 + plan.warmup)
    before = await mixer.client.node_info()
    begin, cpu, others = time.monotonic(), mixer.child.cpu_ns(), _others_ns(mixer.child, load)
    await load.expect("done", 30 + plan.seconds)
    seconds = time.monotonic() - begin
    cpu_us = (mixer.child.cpu_ns() - cpu) / 1000 / (seconds * 50 * plan.legs)
    _warn_if_busy((_others_ns(mixer.child, load) - others) / 1e9 / seconds)
    after = await mixer.client.node_info()
    verdict = msgspec.json.decode(await load.line(300), type=Verdict)
    end = await mixer.client.node_info()
    ticks = max(1, after.frame - before.frame)
    unheard = max(0, verdict.sent - (end.accepted - start.accepted))
    result = Result(
        legs=plan.legs,
        conferences=plan.conferences,
        keying=plan.keying,
        codec=plan.codec,
        suite=plan.suite,
        cpu_us_per_leg_tick=round(cpu_us, 2),
        floor_us_per_leg_tick=round(floor_us, 2),
        ratio_to_floor=round(cpu_us / floor_us, 2),
        legs_per_core=int(20_000 / cpu_us),
        decodes_per_tick=round((after.decodes - before.decodes) / ticks, 2),
        encodes_per_tick=round((after.encodes - before.encodes) / ticks, 2),
        encrypts_per_tick=round((after.encrypts - before.encrypts) / ticks, 2),
        late_ticks=after.late_ticks - before.late_ticks + after.skipped_ticks - before.skipped_ticks,
        lateness_ms=Spread(*(round(getattr(after.lateness_ms, part), 2) for part in Spread.__struct_fields__)),
        mouth_to_ear_ms=verdict.mouth_to_ear_ms,
        lost=verdict.lost + unheard,
        auth_failures=verdict.auth_failures + end.drops.get("auth_failed", 0),
        rss_mib=round(mixer.child.rss_kib() / 1024, 1),
        stages_us={stage: round(us, 1) for stage, us in after.stages_us.items()},
        quiet=plan.quiet,
    )
    return result, verdict


def _others_ns(*ours: Child) -> int:
    return machine_cpu_ns() - sum(child.cpu_ns() for child in ours)


def _warn_if_busy(cores: float) -> None:
    if cores > _OTHERS:
        print(
            f"other programs used {cores:.2f} cores while this was measured: the numbers are too high",
            file=sys.stderr,
        )


def median(results: list[Result]) -> Result:
    """Medians of several runs; of losses, late ticks and failures the worst run, which a median hides."""
    worst = {name: max(getattr(r, name) for r in results) for name in ("late_ticks", "lost", "auth_failures")}
    plain = {
        name: round(statistics.median(getattr(r, name) for r in results), 2)
        for name in Result.__struct_fields__
        if isinstance(getattr(results[0], name), int | float) and name not in worst
    }
    times = {
        name: Spread(
            *(
                round(statistics.median(getattr(getattr(r, name), part) for r in results), 2)
                for part in Spread.__struct_fields__
            )
        )
        for name in ("lateness_ms", "mouth_to_ear_ms")
    }
    stages = {
        stage: round(statistics.median(r.stages_us.get(stage, 0.0) for r in results), 1)
        for stage in results[0].stages_us
    }
    whole = {name: int(plain[name]) for name in ("legs", "conferences", "legs_per_core")}
    changes: dict[str, Any] = plain | whole | worst | times
    return msgspec.structs.replace(results[0], **changes, stages_us=stages)


def complaints(plan: Plan, verdict: Verdict, result: Result) -> list[str]:
    """Why a run does not count."""
    found = list(verdict.problems)
    if result.auth_failures:
        found.append(f"{result.auth_failures} packets were not authentic")
    unheard = verdict.lost / max(1, verdict.lost + verdict.received)
    if unheard > _UNHEARD:
        found.append(f"{unheard:.0%} was not heard: the mixer is overloaded, and its CPU that of less work")
    if verdict.late_ms.p99 > 10:
        print(
            f"the generator itself was late (p99 {verdict.late_ms.p99} ms): this machine is too busy for "
            f"{plan.legs} legs",
            file=sys.stderr,
        )
    return found


def describe(result: Result, verdict: Verdict) -> str:
    """A run in words."""
    r, v = result, verdict
    return (
        f"{r.legs} legs in {r.conferences} conferences, {r.keying} keys, {r.codec} ({r.quiet}), {r.suite}\n"
        f"  CPU          {r.cpu_us_per_leg_tick} us a leg and tick, {r.ratio_to_floor} times the kernel's "
        f"{r.floor_us_per_leg_tick}: {r.legs_per_core} legs a core\n"
        f"  each tick    {r.decodes_per_tick} decodes, {r.encodes_per_tick} encodes, {r.encrypts_per_tick} encrypts\n"
        f"  lateness     p50 {r.lateness_ms.p50} ms, p99 {r.lateness_ms.p99} ms, max {r.lateness_ms.max} ms; "
        f"{r.late_ticks} late ticks\n"
        f"  mouth to ear p50 {r.mouth_to_ear_ms.p50} ms, p99 {r.mouth_to_ear_ms.p99} ms, "
        f"max {r.mouth_to_ear_ms.max} ms\n"
        f"  packets      {v.received} heard, {r.lost} lost either way, {v.duplicates} twice, "
        f"{v.disordered} out of order, {v.gaps} gaps over 30 ms (largest {v.largest_gap_ms} ms), "
        f"{r.auth_failures} not authentic, {v.rtcp} RTCP\n"
        f"  content      faintest talker {v.heard_db} dB, own voice {v.self_db} dB, "
        f"unexplained {v.rest_db} dB\n"
        f"  memory       {r.rss_mib} MiB\n"
        f"  stages (us)  {', '.join(f'{name} {us}' for name, us in r.stages_us.items())}\n"
        f"  generator    late p50 {v.late_ms.p50} ms, p99 {v.late_ms.p99} ms"
    )


def parser(description: str) -> argparse.ArgumentParser:
    """The options that make a plan."""
    shape = argparse.ArgumentDefaultsHelpFormatter
    p = argparse.ArgumentParser(description=description, formatter_class=shape)
    p.add_argument("--legs", type=int, default=2000, help="over all conferences")
    p.add_argument("--conferences", type=int, default=1)
    p.add_argument("--keying", choices=("group", "unique"), default="group", help="of what the legs hear")
    p.add_argument("--uplink", choices=("group", "unique"), default="unique", help="of what the legs say")
    p.add_argument("--codec", choices=get_args(port.CodecName), default="PCMU")
    p.add_argument(
        "--rate",
        type=int,
        choices=(0, 8000, 16000, 48000),
        default=0,
        help="of the mix and of L16, Hz; 0: as the codec",
    )
    p.add_argument("--bitrate", type=int, default=32000, help="of Opus, both ways")
    p.add_argument("--complexity", type=int, default=5, help="of the Opus that legs hear")
    p.add_argument("--suite", choices=get_args(SuiteName), default="AES_CM_128_HMAC_SHA1_80")
    p.add_argument("--talkers", type=int, default=3, help="in each conference")
    p.add_argument(
        "--quiet", choices=get_args(Quiet), help="what the others send; if omitted dtx, or silence in codecs without"
    )
    p.add_argument("--clear", action="store_true", help="plain RTP, with --keying unique")
    p.add_argument("--mki", type=int, default=0, help="octets of MKI, 0 to 4")
    p.add_argument("--roc", type=int, default=0, help="rollover counter at which the legs join")
    p.add_argument("--seconds", type=float, default=5.0, help="measured, after the warm-up")
    p.add_argument("--warmup", type=float, default=1.5, help="seconds before")
    p.add_argument("--slices", type=int, default=20, help="bursts in 20 ms over which the legs are spread")
    p.add_argument("--repeat", type=int, default=1, help="runs of which medians are printed")
    p.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    return p


def plan_of(options: argparse.Namespace, **changes: Any) -> Plan:
    """A checked plan with fresh keys.

    Raises:
        PlanError: if the options contradict each other.
    """
    fields = {name: value for name, value in vars(options).items() if name in Plan.__struct_fields__} | changes
    if fields.get("quiet") is None:
        fields["quiet"] = "dtx" if fields.get("codec") in _WITH_DTX else "silence"
    plan = Plan(**fields, seed=secrets.token_hex(16))
    plan.check()
    return plan


def main() -> int:
    """Measure as the command line says; returns the exit code."""
    options = parser("Measure what a leg costs.").parse_args()
    results, wrong = [], []
    try:
        for _ in range(options.repeat):
            plan = plan_of(options)
            result, verdict = asyncio.run(measure(plan))
            results.append(result)
            wrong += complaints(plan, verdict, result)
            if not options.json or options.repeat > 1:
                print(describe(result, verdict), file=sys.stderr if options.json else sys.stdout)
    except (BenchError, PlanError, ControlError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    for problem in wrong:
        print(f"WRONG: {problem}", file=sys.stderr)
    if options.json:
        print(msgspec.json.encode(median(results)).decode())
    elif options.repeat > 1:
        print(f"medians of {options.repeat} runs:\n{msgspec.json.encode(median(results)).decode()}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
