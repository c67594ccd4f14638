"""How many calls a second a focus takes, while conferences go on.

    python -m bench.calls [--rate 50] [--concurrent 500] [--seconds 30] [--find] [--json]

Mixer, KMS and focus run on one core (`--layout shared`), and the phones with their media on the other; with `split` the
mixer shares the phones' core instead. Calls arrive by chance, last ten seconds each (`--concurrent` / `--rate`), and
have G.711 in SRTP both ways all the time. Exits with 1 if the rate does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import secrets
import statistics
import sys
from pathlib import Path
from typing import Final, get_args

import msgspec

from bench.calls.measuring import measure
from bench.calls.results import Result, Runs, report
from bench.calls.stack import Keying, Layout
from bench.calls.timetable import Timetable
from bench.processes import BenchError
from bench.rekey import tables
from bench.sweep import machine
from control import logs

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
FIND_SECONDS: Final = 10.0
CLOSE: Final = 1.1
"""A search ends when the lowest rate that fails is so little above the highest that holds."""


def timetable(options: argparse.Namespace, rate: float, seconds: float) -> Timetable:
    """One run of the command line."""
    return Timetable(
        rate=rate,
        concurrent=options.concurrent,
        seconds=seconds,
        arrivals="even" if options.even else "poisson",
        room_size=options.room_size,
        seed=options.seed or secrets.token_hex(8),
    )


def run(options: argparse.Namespace) -> list[Result]:
    """Everything that was asked for, the median of each by its set-up p99."""
    if options.find:
        return [one for keying in options.keying for one in find(options, keying)]
    found = []
    for keying in options.keying:
        runs = [_once(options, keying, options.rate, options.seconds) for _ in range(options.repeat)]
        middle = statistics.median_low([one.set_up.invite_ms.p99 for one in runs])
        found += runs if options.all else [next(one for one in runs if one.set_up.invite_ms.p99 == middle)]
    return found


def find(options: argparse.Namespace, keying: Keying) -> list[Result]:
    """The highest rate that holds, and the lowest that does not."""
    holds: Result | None = None
    fails: Result | None = None
    rate = options.rate
    while holds is None or fails is None or fails.rate > holds.rate * CLOSE:
        one = _once(options, keying, round(rate, 1), FIND_SECONDS)
        if one.complaints():
            fails = one
        else:
            holds = one
        if holds is not None:
            rate = holds.rate * 2 if fails is None else (holds.rate * fails.rate) ** 0.5
        else:
            rate /= 2
            if rate < 1:
                break
    return [one for one in (holds, fails) if one is not None]


def _once(options: argparse.Namespace, keying: Keying, rate: float, seconds: float) -> Result:
    print(f"{rate:g} INVITEs a second, {keying} keys ...", file=sys.stderr, flush=True)
    one = asyncio.run(measure(timetable(options, rate, seconds), keying, options.layout))
    print(f"  {'; '.join(one.complaints()) or 'holds'}", file=sys.stderr, flush=True)
    return one


def parser() -> argparse.ArgumentParser:
    """All options."""
    p = argparse.ArgumentParser(description="Calls a second.", formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("--rate", type=float, default=50.0, help="INVITEs a second")
    p.add_argument("--concurrent", type=int, default=500, help="calls up")
    p.add_argument("--seconds", type=float, default=30.0, help="the window that counts")
    p.add_argument("--keying", nargs="+", choices=get_args(Keying), default=["unique", "group"])
    p.add_argument("--layout", choices=get_args(Layout), default="shared", help="what shares the focus's core")
    p.add_argument("--even", action="store_true", help="arrivals at equal pauses, not by chance")
    p.add_argument("--room-size", type=int, default=20, help="calls in a room")
    p.add_argument("--repeat", type=int, default=1, help="runs of each; the median by set-up p99 is shown")
    p.add_argument("--all", action="store_true", help="show all of them")
    p.add_argument("--find", action="store_true", help="the highest rate that holds, by windows of ten seconds")
    p.add_argument("--seed", default="", help="of the arrivals and keys; by chance if omitted")
    p.add_argument("--json", action="store_true")
    p.add_argument("--publish", action="store_true", help="the table, into docs/benchmarks.md too")
    return p


def publish(runs: Runs, *, found: bool) -> None:
    """Put a table in its place on the page: of a rate that holds, or of the search for the highest."""
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(tables.fill(page, "calls-found" if found else "calls", report(runs)), encoding="utf-8")


def main() -> int:
    """Run as the command line says; returns the exit code."""
    options = parser().parse_args()
    logs.configure("error", "console")
    try:
        runs = run(options)
    except (BenchError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    found = Runs(machine=machine(), day=dt.datetime.now(dt.UTC).date().isoformat(), runs=runs)
    print(msgspec.json.encode(found).decode() if options.json else report(found))
    if options.publish:
        publish(found, found=options.find)
    return 1 if not options.find and any(one.complaints() for one in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
