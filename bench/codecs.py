"""What a codec costs: one conference in G.711 and in Opus, by turns, and the quotient of the two.

    python -m bench.codecs --repeat 3 --publish     # some minutes: the table of docs/benchmarks.md
    python -m bench.codecs --legs 100 --seconds 2

Each round measures all cases once, so that what the machine does meanwhile falls on all of them; quotients are
taken round by round, and the median of them is shown. Of the last case, in which every leg sends sound and says
nothing of its level, every packet has to be decoded: it is measured with fewer legs, each of which is dearer.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import statistics
import sys
from pathlib import Path
from typing import Final

import msgspec

from bench.capacity import Result, complaints, measure, median, plan_of
from bench.plan import PlanError
from bench.processes import BenchError
from bench.rekey import tables
from bench.sweep import PAGE, machine
from control.client import ControlError

TARGET: Final = 1.5
"""Times the CPU a leg of G.711 that Opus may take when only talkers have to be decoded."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table: what all legs speak, and what those send who do not talk."""

    codec: str
    quiet: str
    base: str = ""
    """The codec and way to be quiet against which it is held; none if it is not."""
    many: bool = True
    """With `--legs` legs, else with `--sound-legs`."""
    target: float | None = None

    @property
    def name(self) -> str:
        return f"{self.codec}, {self.quiet}"


CASES: Final = (
    Case(codec="PCMU", quiet="silence"),
    Case(codec="opus", quiet="dtx", base="PCMU, silence", target=TARGET),
    Case(codec="PCMU", quiet="level127"),
    Case(codec="opus", quiet="level127", base="PCMU, level127", target=TARGET),
    Case(codec="PCMU", quiet="sound", many=False),
    Case(codec="opus", quiet="sound", base="PCMU, sound", many=False),
)


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A case, its runs' median, and how it compares."""

    case: Case
    result: Result
    ratio: float | None
    """Median over the rounds of CPU a leg against that of `case.base`."""
    wrong: list[str]

    @property
    def reached(self) -> bool:
        """Whether it holds what is asked of it."""
        return not self.wrong and (self.case.target is None or (self.ratio or 0.0) <= self.case.target)


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """All cases, and the machine."""

    machine: str
    day: str
    repeat: int
    measured: list[Measured]


def run(options: argparse.Namespace) -> list[Measured]:
    """Measure all cases, round by round.

    Raises:
        BenchError: if a process fails.
    """
    rounds: list[dict[str, Result]] = []
    wrong: dict[str, list[str]] = {case.name: [] for case in CASES}
    for number in range(options.repeat):
        rounds.append({})
        for case in CASES:
            legs = options.legs if case.many else options.sound_legs
            plan = plan_of(options, codec=case.codec, quiet=case.quiet, legs=legs, conferences=1)
            result, verdict = asyncio.run(measure(plan))
            rounds[-1][case.name] = result
            wrong[case.name] += complaints(plan, verdict, result)
            print(f"round {number + 1}: {case.name}: {result.cpu_us_per_leg_tick} us", file=sys.stderr, flush=True)
    return summary(rounds, wrong)


def summary(rounds: list[dict[str, Result]], wrong: dict[str, list[str]]) -> list[Measured]:
    """Medians, and quotients within each round."""
    return [
        Measured(
            case=case,
            result=median([one[case.name] for one in rounds]),
            ratio=_ratio(rounds, case),
            wrong=wrong[case.name],
        )
        for case in CASES
    ]


def _ratio(rounds: list[dict[str, Result]], case: Case) -> float | None:
    if not case.base:
        return None
    quotients = [one[case.name].cpu_us_per_leg_tick / one[case.base].cpu_us_per_leg_tick for one in rounds]
    return round(statistics.median(quotients), 2)


def report(found: Found) -> str:
    """Markdown: where and when, a row a case, where the time goes, and what went wrong."""
    runs = "one run each" if found.repeat == 1 else f"medians of {found.repeat} runs by turns"
    parts = [f"{found.day}; {found.machine}; {runs}.", tables.table(_HEADS, map(_row, found.measured), _ALIGN)]
    parts.append("Where the time of a tick goes, in microseconds:")
    parts.append(_stages(found.measured))
    wrong = [f"- {one.case.name}: {problem}" for one in found.measured for problem in one.wrong]
    return "\n\n".join([*parts, *(["\n".join(wrong)] if wrong else [])])


def _row(one: Measured) -> list[str]:
    r = one.result
    target = "" if one.case.target is None else f", at most {one.case.target}"
    return [
        r.codec,
        r.quiet,
        str(r.legs),
        f"{r.cpu_us_per_leg_tick:g}",
        f"{r.floor_us_per_leg_tick:g}",
        str(r.legs_per_core),
        "" if one.ratio is None else f"{one.ratio:g} times {one.case.base}{target}",
        f"{r.encodes_per_tick:g} / {r.encrypts_per_tick:g}",
        f"{r.late_ticks}, {r.lateness_ms.p99:g}",
        str(r.lost),
        "holds" if one.reached else "does not hold",
    ]


def _stages(measured: list[Measured]) -> str:
    names = list(dict.fromkeys(stage for one in measured for stage in one.result.stages_us))
    rows = [[name, *(f"{one.result.stages_us.get(name, 0.0):g}" for one in measured)] for name in names]
    heads = ["stage", *(f"{one.case.name} ({one.result.legs})" for one in measured)]
    return tables.table(heads, rows, "l" + "r" * len(measured))


_HEADS: Final = (
    "codec",
    "quiet legs send",
    "legs",
    "us a leg and tick",
    "floor",
    "legs a core",
    "CPU a leg",
    "encodes / encrypts a tick",
    "late ticks, p99 ms",
    "lost",
    "",
)
_ALIGN: Final = "llrrrrlrrrl"


def parser() -> argparse.ArgumentParser:
    """All options."""
    p = argparse.ArgumentParser(description="Codecs.", formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("--legs", type=int, default=1000, help="of the conference in which few talk")
    p.add_argument("--sound-legs", type=int, default=200, help="of the conference in which all send sound")
    p.add_argument("--keying", choices=("group", "unique"), default="group")
    p.add_argument("--talkers", type=int, default=3)
    p.add_argument("--bitrate", type=int, default=32000, help="of Opus, both ways")
    p.add_argument("--complexity", type=int, default=5, help="of the Opus that legs hear")
    p.add_argument("--seconds", type=float, default=5.0, help="measured, after the warm-up")
    p.add_argument("--warmup", type=float, default=1.5, help="seconds before")
    p.add_argument("--repeat", type=int, default=1, help="rounds")
    p.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    p.add_argument("--publish", action="store_true", help="the table, into docs/benchmarks.md too")
    return p


def main() -> int:
    """Measure as the command line says; returns the exit code: 1 if anything is wrong or a target is missed."""
    options = parser().parse_args()
    try:
        measured = run(options)
    except (BenchError, PlanError, ControlError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    day = dt.datetime.now(dt.UTC).date().isoformat()
    found = Found(machine=machine(), day=day, repeat=options.repeat, measured=measured)
    print(report(found))
    if options.json:
        print(msgspec.json.encode(found).decode())
    if options.publish:
        publish(PAGE, report(found))
    return 0 if all(one.reached for one in measured) else 1


def publish(page: Path, text: str) -> None:
    """Put the table in its place on the page."""
    page.write_text(tables.fill(page.read_text(encoding="utf-8"), "codecs", text), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
