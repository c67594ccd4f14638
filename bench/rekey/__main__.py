"""Measure, play and draw: everything in docs/rekeying.md but live media.

    python -m bench.rekey [--quick] [--jobs 2] [--seeds 3] [--redraw]

Keeps every result in out/rekey.json, draws docs/img/rekey-*.png, and writes the tables of docs/rekeying.md between
their markers. `--quick` plays small conferences and writes into out/ only; `--redraw` makes tables and figures again
from the results kept. The parameters of the conference and of the network are options too.
"""

from __future__ import annotations

import argparse
import functools
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Final

import msgspec

from bench.processes import BenchError
from bench.rekey import churn, costs, figures, results, scaling, tables
from bench.rekey.cases import Case, play_all
from bench.rekey.channels import ChannelError
from bench.rekey.churn import ChurnError
from bench.rekey.results import ChannelRun, Results, SizeRun
from bench.rekey.simulate import World
from bench.rekey.strategies import STRATEGIES, modelled
from control import logs

ROOT: Final = Path(__file__).resolve().parent.parent.parent
KEPT: Final = ROOT / "out" / "rekey.json"
PAGE: Final = ROOT / "docs" / "rekeying.md"
IMAGES: Final = ROOT / "docs" / "img"

PEOPLE: Final = (100, 1_000, 10_000, 100_000)
ONCE: Final = 100_000
"""From so many people on, one seed has to do."""
SHOWN: Final = ("naive", "group T=5", "default", "bridge all")
"""Whose course is drawn."""
COHORTS: Final = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)


def cases(options: argparse.Namespace, c_msg: float) -> list[Case]:
    """Every strategy in every size and seed, the longest first so that no process ends alone."""
    made = []
    world = world_of(options)
    for people in sorted(options.people, reverse=True):
        conference = churn.from_options(options, people=people)
        for seed in range(1, 2 if people >= ONCE else options.seeds + 1):
            for strategy in STRATEGIES:
                shown = seed == 1 and strategy.name in SHOWN and people < ONCE
                made.append(
                    Case(strategy=strategy.name, churn=conference, seed=seed, c_msg=c_msg, world=world, series=shown)
                )
    return made


def world_of(options: argparse.Namespace) -> dict[str, float]:
    """The network of the command line, without the cost of a message."""
    return {name: getattr(options, name) for name in ("kms", "mixer", "rtt", "loss")}


def run(options: argparse.Namespace) -> Results:
    """Measure costs, then play.

    Raises:
        BenchError, ChannelError, ChurnError: if something cannot be measured or played.
    """
    begun = time.monotonic()
    conference = churn.from_options(options, people=options.middle)
    world = world_of(options)
    _say("costs ...")
    measured = costs.measure(quick=options.quick)
    loads = [scaling.measure(members, leaves=100 if options.quick else 300) for members in options.loads]
    c_msg = round(measured.c_msg(), 6)
    case = Case(strategy="default", churn=conference, seed=1, c_msg=c_msg, world=world, largest=sys.maxsize)
    todo = cases(options, c_msg)
    by_channel = [
        msgspec.structs.replace(case, strategy=strategy, c_msg=round(channel.focus.us / 1e6, 6))
        for channel in measured.channels
        for strategy in ("default", "group T=30")
    ]
    by_size = [
        msgspec.structs.replace(case, strategy=f"cohorts {size}" if size else "group T=2")
        for size in (*options.cohorts, 0)
    ]
    outcomes = play_all([*todo, *by_channel, *by_size], options.jobs)
    after = outcomes[len(todo) :]
    names = [channel.name for channel in measured.channels for _ in range(2)]
    return Results(
        command="python -m bench.rekey" + "".join(f" {word}" for word in sys.argv[1:]),
        took_s=round(time.monotonic() - begun, 1),
        costs=measured,
        churn=conference,
        world=asdict(World(**(world | {"c_msg": c_msg}))),
        outcomes=outcomes[: len(todo)],
        channels=[
            ChannelRun(channel=name, c_msg=case.c_msg, outcome=one)
            for name, case, one in zip(names, by_channel, after, strict=False)
        ],
        sizes=[
            SizeRun(size=size, outcome=one)
            for size, one in zip((*options.cohorts, 0), after[len(by_channel) :], strict=True)
        ],
        models=[
            modelled(strategy, conference, World(**(world | {"c_msg": c_msg})), 1)
            for strategy in STRATEGIES
            if strategy.settings is not None and strategy.model is not None
        ],
        loads=loads,
    )


def parts(found: Results) -> dict[str, Callable[[], str]]:
    """The parts of the page that are written here, by marker."""
    tables_of: dict[str, Callable[[], str]] = {
        "made by": lambda: (
            f"`{found.command}`, {found.costs.day}, {found.took_s:.0f} s; {found.costs.machine}. "
            f"World: {', '.join(f'{name} {value:g}' for name, value in found.world.items())}."
        ),
        "media costs": lambda: costs.media_table(found.costs),
        "channel costs": lambda: costs.channel_table(found.costs),
        "break-even": lambda: costs.break_even_table(found.costs),
        "capacity": lambda: costs.capacity_table(found.costs),
        "channels": lambda: results.channel_table(found),
        "cohort sizes": lambda: results.size_table(found),
        "policy": lambda: results.policy_table(found),
        "models": lambda: results.agreement_table(found),
        "trees": results.tree_table,
    }
    for people in found.people:
        tables_of[f"strategies {people}"] = functools.partial(results.strategy_table, found, people)
    return tables_of


def publish(found: Results, *, quick: bool) -> None:
    """Keep, print, draw, and unless it is a quick run write the page."""
    KEPT.parent.mkdir(exist_ok=True)
    (KEPT.parent / "rekey-quick.json" if quick else KEPT).write_bytes(msgspec.json.encode(found))
    page = "" if quick else PAGE.read_text(encoding="utf-8")
    for name, make in parts(found).items():
        print(f"\n## {name}\n\n{make()}")
        if not quick:
            page = tables.fill(page, name, make())
    figures.draw(found, KEPT.parent if quick else IMAGES)
    if not quick:
        PAGE.write_text(page, encoding="utf-8")


def parser() -> argparse.ArgumentParser:
    """All options."""
    p = argparse.ArgumentParser(
        description="What rekeying costs.", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    p.add_argument("--quick", action="store_true", help="small conferences, into out/ only")
    p.add_argument("--redraw", action="store_true", help="from out/rekey.json, without measuring")
    p.add_argument("--jobs", type=int, default=2, help="processes that play at a time")
    p.add_argument("--seeds", type=int, default=3, help="conferences of each size")
    p.add_argument("--people", type=int, nargs="+", default=list(PEOPLE))
    p.add_argument("--middle", type=int, default=10_000, help="people where one size has to do")
    p.add_argument("--cohorts", type=int, nargs="+", default=list(COHORTS), help="sizes to compare")
    p.add_argument("--loads", type=int, nargs="+", default=list(scaling.SIZES), help="sizes for the policy's own CPU")
    churn.add_options(p)
    group = p.add_argument_group("the world, in seconds")
    for name in ("kms", "mixer", "rtt", "loss"):
        group.add_argument(f"--{name}", type=float, default=getattr(World(), name))
    return p


def options_of(arguments: list[str]) -> argparse.Namespace:
    """The options, smaller if it is to be quick."""
    options = parser().parse_args(arguments)
    if options.quick:
        options.people, options.middle, options.seeds, options.jobs = [100, 600], 600, 1, 1
        options.cohorts, options.loads = [64, 256], [512, 2048]
    return options


def main() -> int:
    """Run as the command line says; returns the exit code."""
    options = options_of(sys.argv[1:])
    logs.configure("warning", "console")
    try:
        found = msgspec.json.decode(KEPT.read_bytes(), type=Results) if options.redraw else run(options)
        publish(found, quick=options.quick)
    except (BenchError, ChannelError, ChurnError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
