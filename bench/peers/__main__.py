"""Our mixer and Janus's AudioBridge under the same load, one after the other, each alone on one core.

    apt-get install janus
    python -m bench.peers --publish                     # G.711 and Opus, some minutes: the table of docs/benchmarks.md
    python -m bench.peers --codec PCMU --janus 20 60 --mrfp 500 --seconds 2

Each mixer is given larger sizes until its legs no more hear what they should, or not in time. Legs a core are from
its CPU at the largest size that it holds.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from bench.capacity import plan_of
from bench.peers.measuring import of_janus, of_mrfp
from bench.peers.results import Found, Row, report
from bench.plan import Plan, PlanError
from bench.processes import BenchError
from bench.rekey import tables
from bench.sweep import PAGE, machine
from control.client import ControlError

_JANUS: Final = {"opus": [20, 50, 77, 100]}
_JANUS_G711: Final = [20, 60, 100, 200, 350, 500]
_MRFP: Final = {"opus": [500, 1000, 1600, 2000]}
_MRFP_G711: Final = [500, 1000, 2000, 3000, 4000]
_KEYS: Final[tuple[dict[str, Any], ...]] = (
    {"keying": "group"},
    {"keying": "unique"},
    {"keying": "unique", "clear": True},
)


def parser() -> argparse.ArgumentParser:
    """All options."""
    p = argparse.ArgumentParser(description="Janus and mrfp.", formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("--codec", nargs="+", choices=("PCMU", "PCMA", "opus"), default=["PCMU", "opus"])
    p.add_argument("--janus", nargs="*", type=int, help="sizes; if omitted up to where it breaks")
    p.add_argument("--mrfp", nargs="*", type=int, help="likewise")
    p.add_argument("--quiet", help="what those send who do not talk, see bench.capacity")
    p.add_argument("--talkers", type=int, default=3)
    p.add_argument("--seconds", type=float, default=5.0, help="measured, after the warm-up")
    p.add_argument("--warmup", type=float, default=2.0, help="seconds before")
    p.add_argument("--pinned-only", action="store_true", help="do not let Janus have all cores once")
    p.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    p.add_argument("--publish", action="store_true", help="the table, into docs/benchmarks.md too")
    return p


async def compare(options: argparse.Namespace, codec: str) -> list[Row]:
    """Every mixer at every size.

    Raises:
        BenchError: if one cannot be measured at all.
    """
    common = {"conferences": 1, "codec": codec}
    theirs = options.janus if options.janus is not None else _JANUS.get(codec, _JANUS_G711)
    ours = options.mrfp if options.mrfp is not None else _MRFP.get(codec, _MRFP_G711)
    clear = {"keying": "unique", "clear": True}
    rows = await climb(of_janus, [plan_of(options, legs=legs, **common, **clear) for legs in theirs])
    if rows and not options.pinned_only:
        held = max((row.legs for row in rows if not row.faults()), default=rows[0].legs)
        rows.append(await of_janus(plan_of(options, legs=held, **common, **clear), pinned=False))
    for keys in _KEYS:
        rows += await climb(of_mrfp, [plan_of(options, legs=legs, **common, **keys) for legs in ours])
    return rows


async def climb(measure: Callable[[Plan], Awaitable[Row]], plans: list[Plan]) -> list[Row]:
    """One mixer, size by size, up to the first that it does not hold."""
    rows: list[Row] = []
    for plan in plans:
        rows.append(await measure(plan))
        row = rows[-1]
        remark = "; ".join(row.faults()) or "holds"
        print(f"{row.mixer}, {row.media}, {row.codec}, {row.legs} legs: {row.cpu_us} us, {remark}", file=sys.stderr)
        if row.faults():
            break
    return rows


def main() -> int:
    """Run as the command line says; returns the exit code."""
    options = parser().parse_args()
    rows: list[Row] = []
    try:
        for codec in options.codec:
            rows += asyncio.run(compare(options, codec))
    except (BenchError, PlanError, ControlError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    found = Found(machine=machine(), day=dt.datetime.now(dt.UTC).date().isoformat(), rows=rows)
    print(report(found))
    if options.json:
        print(msgspec.json.encode(found).decode())
    if options.publish:
        PAGE.write_text(tables.fill(PAGE.read_text(encoding="utf-8"), "peers", report(found)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
