"""The sweep: curves of cost against size, and the table of docs/benchmarks.md.

    python -m bench.sweep [--quick] [--repeat 3]

Runs `bench.capacity` point by point, keeps every result in out/sweep.json, draws docs/img/*.png and
writes the table between the two markers of docs/benchmarks.md, each number with its command.
`--redraw` makes them again from the results kept.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import os
import platform
import sys
from pathlib import Path
from typing import Final

import msgspec

from bench.capacity import Result, complaints, measure, median, parser, plan_of
from bench.plan import PlanError
from bench.processes import BenchError
from control.client import ControlError

ROOT: Final = Path(__file__).resolve().parent.parent
KEPT: Final = ROOT / "out" / "sweep.json"
PAGE: Final = ROOT / "docs" / "benchmarks.md"
IMAGES: Final = ROOT / "docs" / "img"
BEGIN: Final = "<!-- sweep: begin (written by python -m bench.sweep) -->"
END: Final = "<!-- sweep: end -->"

CM: Final = "AES_CM_128_HMAC_SHA1_80"
GCM: Final = "AEAD_AES_128_GCM"
_SIZES: Final = (100, 300, 1000, 1500, 2000, 3000)
_QUICK_SIZES: Final = (100, 300)


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One result and the command that made it."""

    curve: str
    command: str
    result: Result


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What a sweep found, and on which machine."""

    machine: str
    day: str
    repeat: int
    points: list[Point]
    failed: list[str] = []
    """Commands that this machine did not hold, and what was wrong."""


def commands(quick: bool) -> list[tuple[str, str]]:
    """Every point of the sweep: the curve it belongs to, and the options of `bench.capacity`."""
    sizes = _QUICK_SIZES if quick else _SIZES
    made = [
        (f"{keying}, {name}", f"--legs {legs} --keying {keying} --suite {suite}")
        for name, suite in (("AES-CM", CM), ("AES-GCM", GCM))
        for keying in ("group", "unique")
        for legs in sizes
    ]
    many = (30,) if quick else (100, 300, 600)
    made += [
        ("conferences of 3, unique", f"--legs {3 * n} --conferences {n} --keying unique --suite {CM}") for n in many
    ]
    if not quick:
        made += [
            ("other", f"--legs 2000 --keying group --suite {CM} --mki 4"),
            ("other", "--legs 2000 --keying unique --suite AES_256_CM_HMAC_SHA1_80"),
            ("other", f"--legs 2000 --keying group --uplink group --suite {CM}"),
            ("other", f"--legs 2000 --keying group --codec PCMA --suite {CM}"),
            ("other", f"--legs 500 --keying group --codec L16 --rate 16000 --suite {GCM}"),
        ]
    return made


def run(quick: bool, repeat: int, seconds: float) -> Kept:
    """Measure every point; one that the machine does not hold is kept as that.

    Raises:
        BenchError: if a process fails.
    """
    points: list[Point] = []
    failed: list[str] = []
    for curve, options in commands(quick):
        text = f"{options} --talkers 3 --seconds {seconds:g}"
        arguments = parser("").parse_args(text.split())
        results: list[Result] = []
        wrong: list[str] = []
        for _ in range(repeat):
            plan = plan_of(arguments)
            result, verdict = asyncio.run(measure(plan))
            wrong += complaints(plan, verdict, result)
            results.append(result)
        if wrong:
            failed.append(f"{text}: {wrong[0]}")
            print(f"not held: {failed[-1]}", flush=True)
            continue
        point = Point(curve=curve, command=f"python -m bench.capacity {text}", result=median(results))
        points.append(point)
        r = point.result
        print(f"{text}: {r.cpu_us_per_leg_tick} us, {r.ratio_to_floor} times the floor", flush=True)
    day = dt.datetime.now(dt.UTC).date().isoformat()
    return Kept(machine=machine(), day=day, repeat=repeat, points=points, failed=failed)


def machine() -> str:
    """Where it ran."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, CPython {platform.python_version()}, loopback"


def table(kept: Kept) -> str:
    """The Markdown table."""
    runs = "one run each" if kept.repeat == 1 else f"medians of {kept.repeat} runs"
    lines = [
        f"{kept.day}; {kept.machine}; {runs}.",
        "",
        "| legs | conf. | keys | codec | suite | us a leg and tick | floor | ratio | legs a core "
        "| encodes / encrypts a tick | late ticks, p99 ms | mouth to ear p50 / p99 ms | lost |",
        "|--:|--:|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for point in kept.points:
        r = point.result
        lines.append(
            f"| {r.legs} | {r.conferences} | {r.keying} | {r.codec} | {r.suite} | {r.cpu_us_per_leg_tick} | "
            f"{r.floor_us_per_leg_tick} | {r.ratio_to_floor} | {r.legs_per_core} | "
            f"{r.encodes_per_tick:g} / {r.encrypts_per_tick:g} | {r.late_ticks}, {r.lateness_ms.p99:g} | "
            f"{r.mouth_to_ear_ms.p50:g} / {r.mouth_to_ear_ms.p99:g} | {r.lost} |"
        )
    if kept.failed:
        lines += ["", "Not held by this machine (the content check failed, as it must for a mixer out of breath):", ""]
        lines += [f"- `{line}`" for line in kept.failed]
    lines += ["", "The commands, in the same order:", "", "```", *(p.command for p in kept.points), "```"]
    return "\n".join(lines)


def into_page(page: str, text: str) -> str:
    """The page with `text` between the markers.

    Raises:
        BenchError: if the markers are not there.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise BenchError(f"{PAGE.name} has lost its markers {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def draw(kept: Kept, directory: Path) -> list[Path]:
    """Draw the curves as PNG files; returns their paths."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    directory.mkdir(parents=True, exist_ok=True)
    curves: dict[str, list[Result]] = {}
    for point in kept.points:
        if point.curve != "other":
            curves.setdefault(point.curve, []).append(point.result)
    pictures = {
        "cost.png": ("us of CPU a leg and tick", "cpu_us_per_leg_tick"),
        "ratio.png": ("times the kernel's floor", "ratio_to_floor"),
    }
    paths = []
    for name, (label, attribute) in pictures.items():
        figure, axes = plt.subplots(figsize=(7, 4.2), dpi=120)
        for curve, results in curves.items():
            axes.plot([r.legs for r in results], [getattr(r, attribute) for r in results], "o-", label=curve)
        if name == "cost.png":
            floor = sorted((r.legs, r.floor_us_per_leg_tick) for rs in curves.values() for r in rs)
            axes.plot(*zip(*floor, strict=True), "k.", alpha=0.4, label="floor: bare recvmmsg + sendmmsg")
        axes.set(xlabel="legs", ylabel=label, ylim=(0, None), title="3 talkers, G.711, 20 ms")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
        figure.tight_layout()
        figure.savefig(directory / name)
        plt.close(figure)
        paths.append(directory / name)
    return paths


def main() -> int:
    """Sweep as the command line says; returns the exit code."""
    p = argparse.ArgumentParser(description="Draw the curves of docs/benchmarks.md.")
    p.add_argument("--quick", action="store_true", help="a few small points, into out/ only")
    p.add_argument("--repeat", type=int, default=1, help="runs a point, of which medians are taken")
    p.add_argument("--seconds", type=float, default=5.0, help="measured in each run")
    p.add_argument("--redraw", action="store_true", help="from out/sweep.json, without measuring")
    options = p.parse_args()
    try:
        if options.redraw:
            kept = msgspec.json.decode(KEPT.read_bytes(), type=Kept)
        else:
            kept = run(options.quick, options.repeat, options.seconds)
        _publish(kept, quick=options.quick)
    except (BenchError, PlanError, ControlError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


def _publish(kept: Kept, *, quick: bool) -> None:
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_bytes(msgspec.json.encode(kept))
    print(table(kept))
    if quick:
        draw(kept, KEPT.parent)
        return
    draw(kept, IMAGES)
    PAGE.write_text(into_page(PAGE.read_text(encoding="utf-8"), table(kept)), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
