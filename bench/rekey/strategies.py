"""The strategies that are compared: by name, as settings of the policy or as a model.

Knows: what each is, and which is which. Must never know: results.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgspec

from bench.rekey import models
from bench.rekey.churn import Churn, generate
from bench.rekey.outcome import Outcome
from bench.rekey.simulate import Simulation, World
from control.rekey.settings import RekeySettings

LARGEST: Final = 100_000_000
"""Deliveries beyond which a strategy that has a model is not played with the policy."""

MakeModel: TypeAlias = Callable[..., models.Model]


@dataclass(frozen=True)
class Strategy:
    """One way to rekey."""

    name: str
    text: str
    settings: dict[str, Any] | None = None
    """Of the real policy; None for what is a model only."""
    model: MakeModel | None = None
    """What it is, or is like, as a model; None if it is played in any size."""
    options: tuple[tuple[str, Any], ...] = ()
    """Of the model."""

    def policy_settings(self, world: World) -> RekeySettings:
        """Settings of the policy; it is told what a message costs."""
        return msgspec.convert((self.settings or {}) | {"delivery_s": world.c_msg}, RekeySettings)


ONE_GROUP: Final[dict[str, Any]] = {"mode": "group", "cohort_target": 0, "bridge_max": 0, "t_leave_closing": 0.0}


def throttled(pause: float) -> Strategy:
    """One group, no bridge, so many seconds from one rekey to the next."""
    return Strategy(
        f"group T={pause:g}",
        f"one group, ratchet on join, a leave rekeys no sooner than {pause:g} s after the last time",
        settings=ONE_GROUP | {"t_leave_min": pause},
        model=models.Throttle,
        options=(("pause", pause),),
    )


def cohorts(size: int, pause: float = 2.0) -> Strategy:
    """Cohorts of a size, no bridge."""
    settings = ONE_GROUP | {"cohort_target": size, "t_leave_min": pause}
    return Strategy(f"cohorts {size}", f"cohorts of {size}, T = {pause:g} s, no bridge", settings=settings)


STRATEGIES: Final = (
    Strategy("unique", "own keys for all: nothing is rekeyed", model=models.Unique),
    Strategy("none", "one group key for the whole conference", model=models.Model),
    Strategy("naive", "a new key for all at every join and leave", model=models.Naive),
    *map(throttled, (1.0, 2.0, 5.0, 30.0)),
    Strategy("debounce 5", "one group, a rekey waits for 5 s without a leave", model=models.Debounce),
    Strategy("tree d=4", "one group with a key tree of degree 4, a rekey for each leave", model=models.Tree),
    cohorts(256),
    Strategy("default", "cohorts of 256, T = 2 s, bridge of 1500 legs; own keys below 256 members", settings={}),
    Strategy("bridge all", "the default with a bridge of any number of legs", settings={"bridge_max": 10**9}),
)
BY_NAME: Final = {strategy.name: strategy for strategy in STRATEGIES}


def named(name: str) -> Strategy:
    """A strategy by its name; cohorts may have any size.

    Raises:
        KeyError: if there is none.
    """
    kind, _, size = name.partition(" ")
    return cohorts(int(size)) if kind == "cohorts" else BY_NAME[name]


def modelled(strategy: Strategy, churn: Churn, world: World, seed: int, *, series: bool = False) -> Outcome:
    """One strategy in one conference, as a model."""
    assert strategy.model is not None, "a strategy that has one"
    model = strategy.model(generate(churn, seed), world, seed, end=churn.length, **dict(strategy.options))
    return msgspec.structs.replace(model.run(strategy.name, series=series), people=churn.people)


def play(
    strategy: Strategy,
    churn: Churn,
    world: World,
    seed: int,
    *,
    series: bool = False,
    largest: int = LARGEST,
    ratchets: bool = True,
) -> Outcome:
    """One strategy in one conference: with the policy if there is one and it is not too much, else as a model."""
    if strategy.model is not None:
        outcome = modelled(strategy, churn, world, seed, series=series)
        if strategy.settings is None or outcome.deliveries > largest:
            return outcome
    trace = generate(churn, seed)
    simulation = Simulation(strategy.policy_settings(world), trace, world, seed, ratchets, end=churn.length)
    return msgspec.structs.replace(simulation.run(strategy.name, series=series), people=churn.people)
