"""Results: everything that a run of `bench.rekey` found, and what it costs, as one value and as tables.

Knows: how counts become seconds of CPU. Must never know: how anything was measured.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Final

import msgspec

from bench.rekey import laws, scaling, tables
from bench.rekey.churn import Churn
from bench.rekey.costs import Costs
from bench.rekey.outcome import Outcome
from bench.rekey.strategies import STRATEGIES
from bench.rekey.tables import number, seconds
from bench.sweep import CM

DEGREE: Final = 4
"""Of the key trees."""
_SHARES: Final = ("1 %", "5 %", "25 %", "50 %")


class ChannelRun(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy over one key channel."""

    channel: str
    c_msg: float
    outcome: Outcome


class SizeRun(msgspec.Struct, frozen=True, kw_only=True):
    """The policy with cohorts of one size."""

    size: int
    outcome: Outcome


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    command: str
    took_s: float
    costs: Costs
    churn: Churn
    world: dict[str, float]
    outcomes: list[Outcome]
    channels: list[ChannelRun]
    sizes: list[SizeRun]
    loads: list[scaling.Load]
    models: list[Outcome]
    """What models say of cases that were played, to compare."""

    def of(self, people: int, strategy: str) -> list[Outcome]:
        """All seeds of one case."""
        return [one for one in self.outcomes if one.people == people and one.strategy == strategy]

    @property
    def people(self) -> list[int]:
        return sorted({one.people for one in self.outcomes})


def mixer_s(costs: Costs, outcome: Outcome) -> float:
    """CPU of the mixer for encrypting the mix, s: every leg on an own key and every cohort, 50 times a second."""
    return (outcome.leg_s + outcome.cohort_s) * laws.PPS * costs.c_enc(CM)


def focus_s(costs: Costs, outcome: Outcome, channel: str = "mikey") -> float:
    """CPU of the focus for deliveries, s."""
    return outcome.deliveries * costs.c_msg(channel)


def strategy_table(results: Results, people: int) -> str:
    """All strategies in a conference of so many."""
    costs = results.costs
    octets = costs.channel("mikey").octets + costs.channel("mikey").answer_octets
    rows = []
    for strategy in STRATEGIES:
        runs = results.of(people, strategy.name)
        if not runs:
            continue
        mean = _means(runs)
        rows.append(
            [
                strategy.name,
                "/".join(sorted({run.how for run in runs})),
                number(mean(lambda run: run.epochs)),
                number(mean(lambda run: run.deliveries)),
                number(mean(lambda run: run.deliveries * octets / 1e6)),
                seconds(mean(lambda run: focus_s(costs, run))),
                seconds(mean(lambda run: mixer_s(costs, run))),
                number(max(run.peak for run in runs)),
                seconds(max(run.behind_s for run in runs)),
                number(max(run.most_legs for run in runs)),
                _exposure(runs, lambda run: (run.steady.mean, run.steady.p95, run.steady.max)),
                _exposure(runs, lambda run: (run.exposed.mean, run.exposed.p95, run.exposed.max)),
            ]
        )
    heads = ["strategy", "", "keys", "deliveries", "MB", "focus, CPU s", "mixer, CPU s", "peak a second", "behind, s"]
    heads += ["most legs on own keys"]
    heads += ["exposure before the end: mean, p95, max s", "of all"]
    return tables.table(heads, rows, "ll" + "r" * 10)


def _means(runs: list[Outcome]) -> Callable[[Callable[[Outcome], float]], float]:
    return lambda value: statistics.mean(value(run) for run in runs)


def _exposure(runs: list[Outcome], value: Callable[[Outcome], tuple[float, float, float]]) -> str:
    mean, p95, worst = zip(*(value(run) for run in runs), strict=True)
    return f"{seconds(statistics.mean(mean))}, {seconds(statistics.mean(p95))}, {seconds(max(worst))}"


def channel_table(results: Results) -> str:
    """The same conference over other channels."""
    rows = []
    for run in results.channels:
        one = run.outcome
        rows.append(
            [
                results.costs.channel(run.channel).text,
                f"{run.c_msg * 1e6:.0f}",
                one.strategy,
                number(one.deliveries),
                number(one.repeats),
                seconds(one.deliveries * run.c_msg),
                seconds(one.behind_s),
                seconds(mixer_s(results.costs, one)),
                f"{seconds(one.steady.mean)}, {seconds(one.steady.max)}",
                f"{seconds(one.exposed.mean)}, {seconds(one.exposed.max)}",
            ]
        )
    heads = ["channel", "us a delivery", "strategy", "deliveries", "of which repeats", "focus, CPU s", "behind, s"]
    heads += ["mixer, CPU s", "exposure before the end: mean, max s", "of all"]
    return tables.table(heads, rows, "lrlrrrrrrr")


def size_table(results: Results) -> str:
    """Cohorts of different sizes, measured and by the law."""
    rows = [
        [
            f"{run.size:,}" if run.size else "one group",
            number(run.outcome.deliveries),
            seconds(focus_s(results.costs, run.outcome)),
            seconds(mixer_s(results.costs, run.outcome)),
            seconds(focus_s(results.costs, run.outcome) + mixer_s(results.costs, run.outcome)),
            seconds(run.outcome.behind_s),
            seconds(run.outcome.policy_cpu_s),
            f"{seconds(run.outcome.steady.mean)}, {seconds(run.outcome.exposed.max)}",
        ]
        for run in results.sizes
    ]
    heads = ["cohort", "deliveries", "focus, CPU s", "mixer, CPU s", "together", "behind, s", "policy, CPU s"]
    return tables.table([*heads, "exposure: mean before the end, max of all, s"], rows, "rrrrrrrr")


def policy_table(results: Results) -> str:
    """What the policy takes."""
    rows = [
        [f"{load.members:,}", f"{load.leave_us:.1f}", f"{load.rekey_us:.0f}", f"{load.rekey_us / load.cohort:.2f}"]
        for load in results.loads
    ]
    heads = ["members", "a leave, us", f"the rekey of {results.loads[0].cohort} that follows, us", "of it a member, us"]
    return tables.table(heads, rows, "rrrr")


def agreement_table(results: Results) -> str:
    """The policy and its model side by side, for what was played with the policy."""
    pairs = [
        (one, model)
        for model in results.models
        for one in results.of(model.people, model.strategy)
        if one.how == "policy" and one.seed == model.seed
    ]
    rows = [
        [
            one.strategy,
            f"{one.deliveries:,}",
            f"{model.deliveries:,}",
            f"{model.deliveries / one.deliveries - 1:+.2%}",
            f"{one.exposed.mean:.3f}",
            f"{model.exposed.mean:.3f}",
        ]
        for one, model in pairs
    ]
    heads = ["strategy", "deliveries, policy", "model", "", "mean exposure, policy, s", "model, s"]
    return tables.table(heads, rows, "lrrrrr")


def tree_table() -> str:
    """Key trees in closed form: what a leave takes, and when a tree is no better than a list."""
    rows = []
    for members in (1024, 4096, 16_384, 65_536):
        single, _ = laws.tree_messages(members, DEGREE)
        batches = [
            f"{laws.tree_batch(members, round(members * share), DEGREE) / (members * (1 - share)):.2f}"
            for share in (0.01, 0.05, 0.25, 0.5)
        ]
        rows.append([f"{members:,}", str(single), f"{members - 1:,}", *batches, f"{members - 1:,}"])
    heads = ["members", "keys, tree", "keys, list", *(f"{share} leave at once: tree / list" for share in _SHARES)]
    return tables.table([*heads, "datagrams over unicast, either"], rows, "r" * 8)
