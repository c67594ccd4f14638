"""The models of bench.rekey against closed forms and against the policy; and the whole of it once, small."""

from __future__ import annotations

import random
import re
from itertools import combinations
from math import exp
from pathlib import Path

import msgspec
import numpy as np
import pytest

from bench.rekey import __main__ as whole
from bench.rekey import churn, costs, laws, models, scaling, strategies, tables
from bench.rekey.cases import Case, play_all
from bench.rekey.churn import Churn, ChurnError, Trace
from bench.rekey.compact import CompactError, End
from bench.rekey.outcome import Meter, Outcome
from bench.rekey.results import Results
from bench.rekey.simulate import Simulation, World
from bench.sweep import CM
from control.rekey.settings import RekeySettings

AT_ONCE = World(kms=0.0, mixer=0.0, rtt=0.0, loss=0.0, c_msg=0.0)
"""A world in which nothing takes time but what is to be looked at."""


def poisson(rate: float, count: int, seed: int) -> Trace:
    """So many members are there from the beginning, and leave at a rate."""
    clock, now, times = random.Random(seed), 10.0, []
    for _ in range(count):
        now += clock.expovariate(rate)
        times.append(now)
    return Trace(
        time=np.concatenate([np.zeros(count), times]),
        stay=np.concatenate([np.arange(count), np.arange(count)]),
        joins=np.arange(2 * count) < count,
    )


# -- closed forms ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "degree", "single", "multi", "stored"),
    [(2048, 2, 21, 11, 12), (131_072, 2, 33, 17, 18), (177_147, 3, 32, 22, 12)],
)
def test_key_trees_as_in_table_1_of_rfc_2627(members: int, degree: int, single: int, multi: int, stored: int) -> None:
    assert laws.tree_messages(members, degree) == (single, multi)
    assert laws.tree_depth(members, degree) + 1 == stored


def test_a_batch_of_leaves_in_a_key_tree_counted_out() -> None:
    """All ways in which 2 or 5 of 16 can leave, each with its tree drawn node by node."""
    for leavers in (1, 2, 5):
        counts = []
        for gone in combinations(range(16), leavers):
            keys = 0
            for size in (16, 4):
                for node in range(0, 16, size):
                    if not any(node <= member < node + size for member in gone):
                        continue
                    children = range(node, node + size, size // 4)
                    keys += sum(any(m not in gone for m in range(child, child + size // 4)) for child in children)
            counts.append(keys)
        assert laws.tree_batch(16, leavers, 4) == pytest.approx(sum(counts) / len(counts))
    assert laws.tree_batch(4096, 1, 4) == pytest.approx(23)
    star = 4096 * 0.75
    assert laws.tree_batch(4096, 1024, 4) == pytest.approx(star, rel=0.02), "a quarter leaves: a list is as good"


@pytest.mark.parametrize("members", [100, 100_000])
def test_at_the_break_even_pause_both_ways_cost_the_same(members: int) -> None:
    c_msg, c_enc = 40e-6, 0.8e-6
    pause = laws.break_even(c_msg, c_enc)
    assert members * c_msg / pause == pytest.approx(members * laws.PPS * c_enc)
    assert pause == pytest.approx(1.0)
    assert laws.capacity(members, c_msg, 0.2) == pytest.approx(members * c_msg * 5)


def test_a_group_too_large_never_gets_a_key_that_no_leaver_has() -> None:
    """On both sides of the limit: newcomers get onto the group key, or all but those of the beginning never do."""
    conference, world = Churn(people=1000, length=1200.0, leave_early=0.5, drop=1.0), World(c_msg=10e-3)
    trace = churn.generate(conference, 1)
    middle = (trace.time > 300) & (trace.time < 1100)
    sizes = trace.sizes()[middle]
    leaves = float((middle & ~trace.joins).sum()) / 800 / float(sizes.mean())
    assert laws.largest_group(leaves, world.c_msg) < sizes.mean() / 2.5
    large = strategies.play(strategies.named("group T=2"), conference, world, 1)
    assert large.leg_s > trace.member_seconds() / 4
    quick = World(c_msg=1e-5)
    assert laws.largest_group(leaves, quick.c_msg) > 5 * sizes.mean()
    small = strategies.play(strategies.named("group T=2"), conference, quick, 1)
    assert small.leg_s < trace.member_seconds() / 50


@pytest.mark.parametrize("leaves", [7e-5, 1e-3])
def test_no_other_cohort_is_cheaper_than_the_best(leaves: float) -> None:
    price = {"c_msg": 40e-6, "c_enc": 0.8e-6}
    best = laws.best_cohort(leaves, **price)
    for members in (10_000, 1_000_000):
        cheapest = laws.cohort_cost(members, best, leaves * members, 0.0, **price)
        for size in (best / 2, best * 0.9, best * 1.1, best * 2):
            assert laws.cohort_cost(members, size, leaves * members, 0.0, **price) > cheapest


@pytest.mark.parametrize("load", [0.1, 1.0, 5.0])
def test_the_throttle_obeys_its_law(load: float) -> None:
    pause, count = 2.0, 20_000
    trace = poisson(load / pause, count, 1)
    outcome = models.Throttle(trace, AT_ONCE, 1, pause=pause).run("throttle")
    seconds = float(trace.time[-1]) - 10.0
    rotations = seconds / RekeySettings().epoch_max_age
    assert outcome.epochs / seconds == pytest.approx(
        laws.throttle_rate(load / pause, pause), rel=0.02 + rotations / count
    )
    assert outcome.exposed.mean == pytest.approx(laws.throttle_wait(load / pause, pause), rel=0.05)
    assert outcome.exposed.max <= pause


@pytest.mark.parametrize("leaves", [0.2, 0.5])
def test_a_debounce_starves_as_its_law_says(leaves: float) -> None:
    """The first leaver after each rekey waits for (e^(lambda D) - 1) / lambda on average, minus nothing."""
    quiet, first = 5.0, []
    for seed in range(600):
        trace = poisson(leaves, 400, seed)
        debounce = models.Debounce(trace, AT_ONCE, 1, quiet=quiet)
        debounce.run("debounce")
        first.append(debounce.first_wait)
    # The first leave itself opens the wait, and the gap of D seconds after the last one closes it.
    assert np.mean(first) == pytest.approx(laws.debounce_wait(leaves, quiet), rel=0.1)
    assert laws.debounce_wait(300.0, quiet) == float("inf")
    assert laws.debounce_wait(0.5, 5.0) == pytest.approx((exp(2.5) - 1) / 0.5)


# -- conferences ----------------------------------------------------------------------------------


def test_everybody_who_comes_goes_and_the_seed_decides_who() -> None:
    trace = churn.generate(Churn(people=500), 7)
    sizes = trace.sizes()
    assert sizes[-1] == 0
    assert (sizes >= 0).all()
    assert (np.diff(trace.time) >= 0).all()
    assert (np.bincount(trace.stay) == 2).all()
    assert trace.stays > 500, "some drop out and come back"
    again, other = churn.generate(Churn(people=500), 7), churn.generate(Churn(people=500), 8)
    assert np.array_equal(trace.time, again.time)
    assert not np.array_equal(trace.time[:100], other.time[:100])


def test_the_parameters_shape_the_conference() -> None:
    quiet = churn.generate(Churn(people=400, drop=0.0, leave_early=0.0, on_time=1.0), 1)
    assert quiet.stays == 400
    assert (quiet.time[~quiet.joins] >= 3600).all()
    short = churn.generate(Churn(people=400, length=600.0), 1)
    assert short.time[-1] < 800
    assert short.member_seconds() < quiet.member_seconds() / 4
    for wrong in ({"people": 0}, {"drop": 1.5}, {"away": -1.0}):
        with pytest.raises(ChurnError):
            Churn(**wrong)


@pytest.mark.parametrize("name", ["group T=1", "group T=5", "group T=30"])
def test_the_model_of_a_throttle_is_the_policy(name: str) -> None:
    strategy, conference, world = strategies.named(name), Churn(people=400), World()
    played = strategies.play(strategy, conference, world, 3)
    model = strategies.modelled(strategy, conference, world, 3)
    assert (played.how, model.how) == ("policy", "model")
    assert model.deliveries == pytest.approx(played.deliveries, rel=0.01)
    assert model.epochs == pytest.approx(played.epochs, rel=0.02)
    assert model.exposed.mean == pytest.approx(played.exposed.mean, rel=0.06)
    assert strategies.play(strategy, conference, world, 3, largest=10).how == "model"


def test_the_naive_strategy_sends_everything_to_everybody() -> None:
    conference = Churn(people=200)
    trace = churn.generate(conference, 1)
    naive = strategies.play(strategies.named("naive"), conference, World(), 1)
    assert naive.deliveries == int(trace.sizes().sum())
    assert naive.epochs == 2 * trace.stays
    none = strategies.play(strategies.named("none"), conference, World(), 1)
    assert none.deliveries == trace.stays
    assert none.exposed.max > 3000
    unique = strategies.play(strategies.named("unique"), conference, World(), 1)
    assert unique.deliveries == 0
    assert unique.leg_s == pytest.approx(trace.member_seconds())


def test_the_bridge_covers_a_leave_at_once_and_own_keys_cost_nothing_else() -> None:
    conference = Churn(people=700)
    bridged = strategies.play(strategies.named("default"), conference, World(), 1)
    without = strategies.play(strategies.named("cohorts 256"), conference, World(), 1)
    assert bridged.exposed.leavers > 500
    assert bridged.exposed.max == 0.0
    assert without.exposed.max > 1.0
    assert bridged.leg_s > without.leg_s
    small = strategies.play(strategies.named("default"), Churn(people=100), World(), 1)
    assert small.deliveries == small.exposed.leavers == 0, "below 256 there is nothing to rekey"


def test_cohorts_are_cheaper_than_one_group_and_the_naive_way_is_absurd() -> None:
    conference, cost = Churn(people=1500), {}
    for name in ("naive", "group T=2", "cohorts 256", "debounce 5"):
        cost[name] = strategies.play(strategies.named(name), conference, World(), 1)
    assert cost["naive"].deliveries > 4 * cost["group T=2"].deliveries > 12 * cost["cohorts 256"].deliveries
    assert cost["debounce 5"].exposed.mean > 10 * cost["cohorts 256"].exposed.mean


def test_a_network_that_loses_is_answered_by_repeats() -> None:
    conference, strategy = Churn(people=400), strategies.named("group T=5")
    clean = strategies.play(strategy, conference, World(loss=0.0), 1)
    lossy = strategies.play(strategy, conference, World(loss=0.1), 1)
    assert clean.repeats == 0
    first = lossy.deliveries - lossy.repeats
    assert lossy.repeats == pytest.approx(first * 0.19 / 0.81, rel=0.15)
    assert lossy.exposed.mean > clean.exposed.mean


def test_a_focus_that_is_too_slow_falls_behind() -> None:
    trace = churn.generate(Churn(people=400), 1)
    world = World(c_msg=5e-3)
    simulation = Simulation(RekeySettings(mode="group", cohort_target=64, delivery_s=5e-3), trace, world, 1)
    slow = simulation.run("slow")
    assert slow.behind_s > 1.0
    assert slow.repeats > 0
    assert slow.exposed.leavers > 0


def test_the_meter_adds_up() -> None:
    meter = Meter(30.0)
    meter.stood(5.0, 10, 1)
    meter.stood(25.0, 2, 3)
    meter.asked(3.2, 7)
    meter.asked(3.9, 5, again=True)
    meter.asked(200.0, 1)
    meter.ended(12.0, 4.0)
    meter.ended(40.0, 1.0)
    assert (meter.leg_s, meter.cohort_s) == (50.0 + 40.0, 5.0 + 60.0)
    assert (meter.deliveries, meter.repeats, meter.peak) == (13, 5, 12)
    assert meter.exposures().mean == 2.5
    assert meter.exposures(before=20.0).leavers == 1
    series = meter.series()
    assert series.bridged[:3] == [6.0, 2.0, 1.0]
    assert series.deliveries[0] == 12
    assert series.exposure[1] == 4.0


def test_the_policy_does_its_own_work_in_microseconds() -> None:
    load = scaling.measure(600, cohort=64, leaves=20)
    assert 0 < load.leave_us < load.rekey_us


# -- channels -------------------------------------------------------------------------------------


def test_a_compact_message_opens_for_its_member_only() -> None:
    focus, ann, bob = End(b"k" * 16, "ann"), End(b"k" * 16, "ann"), End(b"k" * 16, "bob")
    message = focus.push(bytes(range(32)), 7, 256, 77, 3)
    secret, answer = ann.accept(message)
    assert secret == bytes(range(32))
    assert focus.acknowledged(answer) == 256
    with pytest.raises(CompactError):
        bob.accept(message)
    for at in (0, 6, 10, 20, 59):
        with pytest.raises(CompactError):
            ann.accept(message[:at] + bytes([message[at] ^ 1]) + message[at + 1 :])
    for forged in (answer[:-1] + bytes([answer[-1] ^ 1]), answer[:-1], bob.accept(_for_bob(bob))[1], b""):
        with pytest.raises(CompactError):
            focus.acknowledged(forged)


def _for_bob(bob: End) -> bytes:
    return bob.push(bytes(32), 7, 256, 77, 3)


# -- the whole of it ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found() -> Results:
    """Everything but live media, in two small conferences."""
    options = whole.options_of(["--quick", "--length", "900"])
    options.people, options.middle, options.cohorts, options.loads = [60, 400], 400, [64], [256]
    return whole.run(options)


def test_the_whole_chain_prints_and_draws(
    found: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(whole, "KEPT", tmp_path / "rekey.json")
    whole.publish(found, quick=True)
    printed = capsys.readouterr().out
    for name in whole.parts(found):
        assert f"## {name}\n" in printed
    assert msgspec.json.decode((tmp_path / "rekey-quick.json").read_bytes(), type=Results) == found
    pictures = list(tmp_path.glob("*.png"))
    assert len(pictures) == 5
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)


def test_two_processes_play_what_one_does() -> None:
    todo = [
        Case(strategy=name, churn=Churn(people=40, length=300.0), seed=seed, c_msg=1e-5, world={})
        for name in ("naive", "group T=5", "cohorts 16")
        for seed in (1, 2)
    ]
    alone, together = ([_timeless(one) for one in play_all(todo, jobs)] for jobs in (1, 2))
    assert alone == together
    assert len({one.deliveries for one in alone}) > 3


def _timeless(outcome: Outcome) -> Outcome:
    return msgspec.structs.replace(outcome, policy_cpu_s=0.0)


def test_every_strategy_was_played_in_every_size(found: Results) -> None:
    for people in (60, 400):
        for strategy in strategies.STRATEGIES:
            (outcome,) = found.of(people, strategy.name)
            assert outcome.leaves == outcome.joins >= people
    assert {run.channel for run in found.channels} == {channel.name for channel in found.costs.channels}
    assert [run.size for run in found.sizes] == [64, 0]
    assert len(found.models) == 4


def test_costs_are_told_apart_by_how_they_were_found(found: Results) -> None:
    channels = {channel.name: channel for channel in found.costs.channels}
    assert {name: channel.how for name, channel in channels.items()} == {
        "compact": "model",
        "mikey": "measured",
        "mikey-tek": "measured",
        "info": "measured",
        "reinvite": "measured",
    }
    assert 0 < channels["compact"].focus.us < channels["mikey"].focus.us < channels["info"].focus.us
    assert 0 < found.costs.c_enc(CM) < found.costs.c_msg()
    for channel in channels.values():
        assert channel.octets > channel.answer_octets > 28
    assert costs.channel_table(found.costs).count("| measured |") == 4
    assert found.costs.made.kms.us > found.costs.made.registry.us > 0


def test_the_page_in_the_repository_has_every_marker(found: Results) -> None:
    page = whole.PAGE.read_text(encoding="utf-8")
    asked = whole.parser().parse_args([])
    names = {name for name in whole.parts(found) if not name.startswith("strategies")}
    for name in sorted(names | {f"strategies {people}" for people in asked.people} | {"live"}):
        page = tables.fill(page, name, "")


def test_the_page_names_tests_that_exist() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", whole.PAGE.read_text(encoding="utf-8"))
    assert len(named) > 30
    for path, name in named:
        assert f"def {name}(" in (whole.ROOT / path).read_text(encoding="utf-8"), f"{path} has no {name}"


def test_numbers_are_short() -> None:
    assert [tables.number(n) for n in (0, 999, 9_999, 12_345, 1_234_567, 2.5e9)] == [
        "0",
        "999",
        "9,999",
        "12.3 k",
        "1.23 M",
        "2.5 G",
    ]
    assert [tables.seconds(s) for s in (0, 0.123, 5.26, 1234.5)] == ["0", "0.12", "5.3", "1,234"]


def test_wrong_parameters_are_an_exit_code(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["rekey", "--quick", "--drop", "7"])
    assert whole.main() == 1
    assert "between 0 and 1" in capsys.readouterr().err
