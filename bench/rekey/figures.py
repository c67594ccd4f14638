"""Figures of docs/rekeying.md as PNG files.

Knows: matplotlib. Must never know: how the numbers came about.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from bench.rekey import laws
from bench.rekey.costs import SHARE, SIZES
from bench.rekey.outcome import BIN_S
from bench.rekey.results import Results, focus_s, mixer_s
from bench.rekey.strategies import STRATEGIES
from bench.sweep import CM

PACKET_S: Final = 0.02
"""An exposure of nothing is drawn here: at most one packet."""


def draw(results: Results, directory: Path) -> list[Path]:
    """Draw all of them; returns their paths."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, size, paint in (
        ("rekey-pareto", (11, 4.4), _pareto),
        ("rekey-hour", (8, 7), _hour),
        ("rekey-limits", (10, 4), _limits),
        ("rekey-cohorts", (7, 4.2), _cohorts),
        ("rekey-policy", (6, 3.6), _policy),
    ):
        figure = plt.figure(figsize=size, dpi=120, layout="constrained")
        paint(figure, results)
        paths.append(directory / f"{name}.png")
        figure.savefig(paths[-1])
        plt.close(figure)
    return paths


def _pareto(figure: Any, results: Results) -> None:
    """Cost against exposure: down and left is better."""
    shown = [people for people in results.people if people >= 1000] or results.people
    for axes, people in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        for number, strategy in enumerate(STRATEGIES):
            for run in results.of(people, strategy.name)[:1]:
                cost = focus_s(results.costs, run) + mixer_s(results.costs, run)
                exposure = max(run.exposed.mean, PACKET_S)
                mark, colour = "s" if run.how == "model" else "o", f"C{number % 10}"
                face = "none" if number >= 10 else colour
                label = strategy.name if people == shown[0] else None
                axes.plot(exposure, max(cost, 1e-2), mark, color=colour, mfc=face, ms=8, label=label)
        axes.axvline(PACKET_S, color="grey", lw=0.5, ls=":")
        axes.set(xscale="log", yscale="log", title=f"{people:,} people", xlabel="mean exposure of a leaver, s")
        axes.margins(x=0.1, y=0.1)
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("CPU of focus and mixer for keys, s an hour")
    figure.legend(loc="outside right upper", fontsize=8, title="square: model", title_fontsize=8)


def _hour(figure: Any, results: Results) -> None:
    """A conference of an hour with its bursts."""
    people = max((one.people for one in results.outcomes if one.series), default=0)
    runs = {one.strategy: one.series for one in results.outcomes if one.series and one.people == people}
    members, rate, bridged, exposure = figure.subplots(4, 1, sharex=True)
    for strategy, series in runs.items():
        shown = int((results.churn.length + 120) / BIN_S)
        minutes = [step * BIN_S / 60 for step in range(len(series.members))][:shown]
        if strategy == "default":
            members.plot(minutes, series.members[:shown], "k-")
            bridged.plot(minutes, series.bridged[:shown], "C2")
        rate.plot(minutes, [max(0.1, n / BIN_S) for n in series.deliveries[:shown]], lw=1, label=strategy)
        ended = [(at, max(PACKET_S, s)) for at, s in zip(minutes, series.exposure, strict=False) if s]
        exposure.plot(*zip(*ended, strict=True) if ended else ((), ()), ".", ms=3, label=strategy)
    minutes_long = results.churn.length / 60
    members.set(ylabel="members", title=f"{people:,} people, {minutes_long:g} minutes, steps of {BIN_S:g} s")
    rate.set(ylabel="key deliveries\na second", yscale="log", ylim=(0.1, 1e9))
    bridged.set(ylabel="legs on own keys,\ndefault", yscale="symlog", ylim=(0, None))
    exposure.set(ylabel="longest exposure\nin the step, s", yscale="log", xlabel="minutes")
    rate.legend(fontsize=7, loc="upper center", ncols=4)
    for axes in (members, rate, bridged, exposure):
        axes.grid(alpha=0.3)


def _limits(figure: Any, results: Results) -> None:
    """The two limits on the pause between rekeys."""
    costs = results.costs
    left, right = figure.subplots(1, 2)
    names = [f"{one.name} ({one.how})" for one in costs.channels]
    for offset, suite in ((-0.2, CM), (0.2, next(suite for suite in costs.encrypt if suite != CM))):
        values = [laws.break_even(one.focus.us / 1e6, costs.c_enc(suite)) for one in costs.channels]
        left.barh([at + offset for at in range(len(values))], values, height=0.36, label=suite)
    left.set(yticks=range(len(names)), xscale="log", xlabel="s", title="Break-even T*: own keys are cheaper below")
    left.set_yticklabels(names, fontsize=7)
    left.legend(fontsize=7)
    for name, one in zip(names, costs.channels, strict=True):
        right.plot(SIZES, [laws.capacity(n, one.focus.us / 1e6, SHARE) for n in SIZES], "o-", ms=3, label=name)
    right.axhspan(1, 10, color="green", alpha=0.08, label="seconds")
    right.set(
        xscale="log", yscale="log", xlabel="members of one group", title=f"Shortest T that {SHARE:.0%} of a core can do"
    )
    right.legend(fontsize=6)
    for axes in (left, right):
        axes.grid(alpha=0.3)


def _cohorts(figure: Any, results: Results) -> None:
    """Cost by size of cohort."""
    axes = figure.subplots()
    runs = [run for run in results.sizes if run.size]
    sizes = [run.size for run in runs]
    focus = [focus_s(results.costs, run.outcome) for run in runs]
    mixer = [mixer_s(results.costs, run.outcome) for run in runs]
    axes.plot(sizes, [a + b for a, b in zip(focus, mixer, strict=True)], "ko-", label="together")
    axes.plot(sizes, focus, "o--", label="focus: deliveries")
    axes.plot(sizes, mixer, "o--", label="mixer: encryption")
    axes.axvline(256, color="grey", ls=":", label="default")
    people = runs[0].outcome.people if runs else 0
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="members of a cohort",
        ylabel="CPU, s an hour",
        title=f"{people:,} people, T = 2 s, no bridge",
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def _policy(figure: Any, results: Results) -> None:
    """The policy's own CPU."""
    axes = figure.subplots()
    members = [load.members for load in results.loads]
    axes.plot(members, [load.leave_us for load in results.loads], "o-", label="a leave")
    axes.plot(members, [load.rekey_us for load in results.loads], "o-", label="the rekey of its cohort of 256")
    axes.set(
        xscale="log", yscale="log", xlabel="members of the conference", ylabel="CPU of the policy, us", ylim=(1, 1000)
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
