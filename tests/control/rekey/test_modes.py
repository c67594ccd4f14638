"""Unique keys or group keys, and the end of a conference."""

from __future__ import annotations

import pytest

from control.rekey.intentions import Activate, AddLeg, Bridge, Deliver, Obtain, Ratchet, Retire
from control.rekey.settings import RekeySettings
from tests.control.rekey.people import Network
from tests.control.rekey.stage import Stage

SMALL = RekeySettings(n_group_on=6, n_group_off=4)


def mode(stage: Stage) -> str:
    return stage.policy.facts(stage.now).mode


def filled(settings: RekeySettings, count: int, **more: object) -> Stage:
    stage = Stage(settings, **more)  # type: ignore[arg-type]
    stage.join(*[f"m{number}" for number in range(count)])
    stage.run(10)
    return stage


def test_a_small_conference_is_never_rekeyed() -> None:
    stage = filled(SMALL, 5)
    stage.leave("m0", "m1")
    stage.run(1000)
    assert stage.policy.due() is None
    assert stage.said(Obtain) == []
    assert stage.exposures == []
    assert mode(stage) == "unique"


def test_the_mode_changes_with_hysteresis() -> None:
    stage = filled(SMALL, 5)
    stage.join("m5")
    assert mode(stage) == "group"
    assert len(stage.said(Obtain)) == 1
    stage.run(5)
    assert all(stage.epoch_heard_by(name) for name in stage.people)
    stage.leave("m0")
    stage.leave("m1")
    assert mode(stage) == "group"
    stage.run(5)
    stage.leave("m2")
    assert mode(stage) == "unique"
    assert isinstance(stage.log[-1][1], Retire)
    assert all(stage.epoch_heard_by(name) is None for name in stage.people)
    stage.join("n0", "n1")
    assert mode(stage) == "unique"
    stage.join("n2")
    assert mode(stage) == "group"
    stage.run(5)
    assert all(stage.epoch_heard_by(name) for name in stage.people)
    stage.check_exposures(0.0)


def test_on_the_way_down_all_are_bridged_before_the_key_is_destroyed() -> None:
    stage = filled(RekeySettings(n_group_on=6, n_group_off=6, bridge_max=0, cohort_target=3), 6)
    stage.log.clear()
    stage.leave("m0")
    said = [intention for _, intention in stage.log[1:]]
    assert said == [Bridge(0, None, True), Retire(0, 0x100), Bridge(1, None, True), Retire(1, 0x200)]
    stage.check_exposures(0.0)
    assert [exposure.seconds for exposure in stage.exposures] == [0.0]


@pytest.mark.parametrize("wait", [0.0, 0.02, 0.2, 0.27], ids=str)
def test_the_mode_may_change_back_in_the_middle_of_a_rekey(wait: float) -> None:
    stage = Stage(RekeySettings(n_group_on=6, n_group_off=6), network=Network(kms=0.01, rtt=0.15, mixer=0.1))
    stage.join(*[f"m{number}" for number in range(6)])
    stage.run(wait)
    stage.leave("m0")
    assert mode(stage) == "unique"
    stage.join("n0")
    assert mode(stage) == "group"
    stage.run(3)
    assert all(stage.epoch_heard_by(name) for name in stage.people)
    stage.run(3)
    stage.leave("n0")
    stage.run(10)
    assert stage.keys[0].active is None
    assert stage.keys[0].prepared == set()
    stage.join("n1")
    stage.run(10)
    assert all(stage.epoch_heard_by(name) for name in stage.people)


def test_when_the_mode_changes_to_and_fro_no_cohort_is_forgotten() -> None:
    """The newcomer that brings group keys back is in a cohort of its own; the others wait for the mixer."""
    settings = RekeySettings(n_group_on=6, n_group_off=6, cohort_target=3)
    stage = Stage(settings, network=Network(mixer=4.0))
    stage.join(*[f"m{number}" for number in range(6)])
    stage.run(0.3)
    assert len(stage.said(Activate)) == 2
    stage.leave("m0")
    stage.run(2.5)
    stage.join("n0", ratchets=False)
    assert mode(stage) == "group"
    stage.run(10)
    assert all(stage.epoch_heard_by(name) for name in stage.people)


def test_a_step_is_not_delivered_when_group_keys_are_given_up() -> None:
    """By leaves in another cohort, so that the key itself is clean."""
    stage = Stage(RekeySettings(n_group_on=6, n_group_off=6, cohort_target=5), network=Network(mixer=0.5))
    stage.join(*[f"m{number}" for number in range(6)])
    stage.run(5)
    stage.join("n0")
    stage.run(0.2)
    assert stage.log[-1][1] == Ratchet(1, 0x201)
    stage.log.clear()
    stage.leave("m0", "m1")
    assert mode(stage) == "unique"
    stage.run(5)
    assert stage.said(Deliver) == []
    assert stage.keys[1].active is None


@pytest.mark.parametrize("settings", [RekeySettings(mode="unique"), RekeySettings(cohort_target=1)], ids=str)
def test_unique_keying_is_one_end_of_the_knob(settings: RekeySettings) -> None:
    stage = filled(settings, 300)
    stage.leave("m0")
    stage.run(1000)
    assert mode(stage) == "unique"
    assert {type(said) for _, said in stage.log[:300]} == {AddLeg}
    assert stage.said(Obtain) == []


@pytest.mark.parametrize("target", [0, 10**9])
def test_one_group_is_the_other_end(target: int) -> None:
    stage = filled(RekeySettings(mode="group", cohort_target=target), 700)
    assert stage.policy.facts(stage.now).cohorts == 1
    assert len({stage.epoch_heard_by(name) for name in stage.people}) == 1


def test_by_default_a_conference_has_group_keys_from_256_on() -> None:
    stage = filled(RekeySettings(), 255)
    assert mode(stage) == "unique"
    stage.join("one more")
    stage.run(5)
    assert mode(stage) == "group"
    assert stage.policy.facts(stage.now).bridged == 0
    stage.leave(*[f"m{number}" for number in range(64)])
    assert mode(stage) == "group"
    stage.leave("one more")
    assert mode(stage) == "unique"


@pytest.mark.parametrize("newcomers", [(), ("n0",)])
def test_when_the_focus_says_that_it_ends_leaves_rekey_less_often(newcomers: tuple[str, ...]) -> None:
    """And joins do not hurry what leaves have scheduled."""
    stage = filled(RekeySettings(mode="group"), 12)
    stage.log.clear()
    stage.close()
    start = stage.now
    stage.leave("m0")
    stage.run(1)
    stage.leave("m1")
    for name in newcomers:
        stage.join(name)
    stage.run(20)
    assert stage.times(Obtain) == pytest.approx([start, start + 5.0])
    assert stage.policy.facts(stage.now).closing


def test_on_own_keys_nobody_is_a_laggard() -> None:
    stage = filled(RekeySettings(n_group_on=6, n_group_off=6), 6, network=Network(deaf={"m5"}))
    assert stage.policy.facts(stage.now).laggards == 1
    stage.leave("m0")
    assert stage.policy.facts(stage.now).laggards == 0
    stage.leave("m5")
    assert stage.policy.facts(stage.now).laggards == 0


def test_a_conference_that_ends_does_not_change_to_group_keys_again() -> None:
    stage = filled(SMALL, 6)
    stage.close()
    stage.leave("m0", "m1", "m2")
    assert mode(stage) == "unique"
    stage.log.clear()
    stage.join(*[f"n{number}" for number in range(10)])
    stage.run(100)
    assert mode(stage) == "unique"
    assert stage.said(Obtain) == []


def test_many_leaves_are_taken_for_the_end_and_forgotten_when_they_were_not() -> None:
    stage = filled(RekeySettings(mode="group", closing_leaves=4), 20)
    for number in range(6):
        stage.leave(f"m{number}")
    assert not stage.policy.facts(stage.now).closing, "not more than 30 % of 20"
    stage.leave("m6")
    assert stage.policy.facts(stage.now).closing
    stage.run(31)
    assert not stage.policy.facts(stage.now).closing
    stage.log.clear()
    start = stage.now
    stage.leave("m7")
    stage.run(0.5)
    stage.leave("m8")
    stage.run(10)
    assert stage.times(Obtain) == pytest.approx([start, start + 2.0])


def test_a_few_who_leave_a_small_conference_are_not_the_end() -> None:
    stage = filled(RekeySettings(mode="group"), 10)
    for number in range(6):
        stage.leave(f"m{number}")
    assert not stage.policy.facts(stage.now).closing


def test_the_seed_s_two_moments() -> None:
    """The beginning costs one message a member; the end costs no more than a rekey every t_leave_closing."""
    stage = Stage(RekeySettings(n_group_on=20, n_group_off=10, cohort_target=50))
    for number in range(200):
        stage.join(f"m{number}")
        stage.run(0.05)
    stage.run(5)
    assert all(stage.epoch_heard_by(name) for name in stage.people)
    first = sum(said.attempt == 1 and len(said.members) for said in stage.said(Deliver) if isinstance(said, Deliver))
    assert first <= 1.1 * 200
    stage.log.clear()
    for number in range(195):
        stage.leave(f"m{number}")
        stage.run(0.1)
    assert len(stage.said(Obtain)) <= 4 * (20 / 2 + 1)
    assert mode(stage) == "unique"
    stage.check_exposures(0.0)
