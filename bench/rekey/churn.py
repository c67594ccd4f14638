"""Churn: who comes and goes when, in a conference that was made up.

Knows: a handful of distributions and a seed. Must never know: keys, policies.

No public trace of the joins and leaves of large conferences was found, so every parameter here is an assumption, and
all can be set. By default: 60 minutes; most people come around the beginning, some at any time; a tenth leaves early;
some drop out once and come back, as somebody else, for a key that was lost with a connection is not used again; at
the end all go within a minute.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray


class ChurnError(ValueError):
    """The parameters make no conference; the message says why."""


class Churn(msgspec.Struct, frozen=True, kw_only=True):
    """One conference. Times are in seconds, shares of the people invited.

    Raises:
        ChurnError: on construction.
    """

    people: int = 10_000
    length: float = 3600.0
    on_time: float = 0.8
    """Share that comes within |Normal(0, `join_spread`)| after the beginning; the others come at any time."""
    join_spread: float = 60.0
    leave_early: float = 0.1
    """Share that leaves at any time after it came."""
    drop: float = 0.15
    """Share that drops out once, at any time while it is there,"""
    away: float = 20.0
    """and comes back after so long, exponentially distributed; unless it would have left by then."""
    end_spread: float = 20.0
    """Who stays to the end leaves within |Normal(0, `end_spread`)| after it."""

    def __post_init__(self) -> None:
        if self.people < 1 or self.length <= 0:
            raise ChurnError("a conference has people and a length")
        if not all(0 <= share <= 1 for share in (self.on_time, self.leave_early, self.drop)):
            raise ChurnError("shares are between 0 and 1")
        if min(self.join_spread, self.away, self.end_spread) < 0:
            raise ChurnError("spreads are not negative")


@dataclass(frozen=True)
class Trace:
    """Joins and leaves in order of time. A stay is one member from its join to its leave; who comes back begins
    another stay."""

    time: NDArray[np.float64]
    """Of each event, s, rising."""
    stay: NDArray[np.int64]
    joins: NDArray[np.bool_]
    """True for a join, False for a leave."""

    def sizes(self) -> NDArray[np.int64]:
        """Members after each event."""
        return np.cumsum(np.where(self.joins, 1, -1))

    @property
    def stays(self) -> int:
        return len(self.time) // 2

    def member_seconds(self) -> float:
        """Time in the conference, over all members."""
        return float(np.sum(np.where(self.joins, -self.time, self.time)))


def generate(churn: Churn, seed: int) -> Trace:
    """One conference; the same again for the same seed."""
    rng = np.random.default_rng(seed)
    people, length = churn.people, churn.length
    comes = np.where(
        rng.random(people) < churn.on_time,
        np.abs(rng.normal(0, churn.join_spread, people)),
        rng.uniform(0, length, people),
    )
    goes = length + np.abs(rng.normal(0, churn.end_spread, people))
    comes = np.minimum(comes, length)
    early = rng.random(people) < churn.leave_early
    goes[early] = rng.uniform(comes[early], length)
    drops = rng.random(people) < churn.drop
    dropped = rng.uniform(comes, goes)
    back = dropped + rng.exponential(churn.away, people)
    again = drops & (back < goes)
    first_end = np.where(drops, dropped, goes)
    return _trace(np.concatenate([comes, back[again]]), np.concatenate([first_end, goes[again]]))


def _trace(begins: NDArray[np.float64], ends: NDArray[np.float64]) -> Trace:
    stays = np.arange(len(begins))
    time = np.concatenate([begins, ends])
    joins = np.arange(len(time)) < len(begins)
    stay = np.concatenate([stays, stays])
    # Of two events at one time a join comes first, so that nobody leaves before it came.
    order = np.lexsort((~joins, time))
    return Trace(time[order], stay[order], joins[order])


def add_options(p: argparse.ArgumentParser) -> None:
    """An option for every parameter but the number of people, which is swept."""
    group = p.add_argument_group("the conference")
    for field in msgspec.structs.fields(Churn):
        if field.name != "people":
            group.add_argument(f"--{field.name.replace('_', '-')}", type=float, default=field.default, help="see churn")


def from_options(options: argparse.Namespace, **changes: Any) -> Churn:
    """The conference that the command line describes.

    Raises:
        ChurnError: if there is none.
    """
    named = {field.name for field in msgspec.structs.fields(Churn)} - {"people"}
    return Churn(**({name: getattr(options, name) for name in named} | changes))
