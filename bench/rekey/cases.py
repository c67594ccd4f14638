"""Cases: one strategy in one conference each, played in as many processes as there may be.

Knows: what a case is made of. Must never know: costs, pages.
"""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import msgspec

from bench.rekey.churn import Churn
from bench.rekey.outcome import Outcome
from bench.rekey.simulate import World
from bench.rekey.strategies import LARGEST, named, play


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy in one conference."""

    strategy: str
    churn: Churn
    seed: int
    c_msg: float
    world: dict[str, float]
    series: bool = False
    largest: int = LARGEST


def played(case: Case) -> Outcome:
    """Play a case: in a process of its own, if there are several."""
    world = World(**(case.world | {"c_msg": case.c_msg}))
    return play(named(case.strategy), case.churn, world, case.seed, series=case.series, largest=case.largest)


def play_all(todo: list[Case], jobs: int) -> list[Outcome]:
    """Their outcomes, in the same order."""
    if jobs == 1:
        return [_noted(case, played(case)) for case in todo]
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        return [_noted(case, outcome) for case, outcome in zip(todo, pool.map(played, todo), strict=True)]


def _noted(case: Case, outcome: Outcome) -> Outcome:
    what = f"{case.churn.people:,} people, seed {case.seed}, {outcome.strategy}"
    print(f"{what}: {outcome.deliveries:,} deliveries", file=sys.stderr, flush=True)
    return outcome
