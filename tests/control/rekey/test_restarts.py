"""Old keys are replaced; after a restart every cohort rekeys once (invariant I14)."""

from __future__ import annotations

import itertools

import pytest

from control.rekey.intentions import AddLeg, Obtain
from control.rekey.policy import Policy, Present
from control.rekey.settings import RekeySettings
from tests.control.rekey.stage import Stage, running

GROUP = RekeySettings(mode="group")


def test_keys_are_replaced_before_they_are_too_old_and_not_all_at_once() -> None:
    stage = Stage(RekeySettings(mode="group", cohort_target=4))
    stage.join(*[f"m{number}" for number in range(80)])
    stage.run(10)
    stage.log.clear()
    stage.run(300)
    fires: dict[int, float] = {}
    for time, said in stage.log:
        if isinstance(said, Obtain):
            fires.setdefault(said.cohort, time)
    assert len(fires) == 20
    ages = sorted(fires.values())
    assert ages[0] > 225
    assert ages[-1] <= 301
    assert min(later - earlier for earlier, later in itertools.pairwise(ages)) > 0.5
    assert all(stage.epoch_heard_by(name) for name in stage.people)


@pytest.mark.parametrize("wait", [0.0, 0.05, 0.12, 0.3, 1.0], ids=str)
@pytest.mark.parametrize("mixer", [True, False], ids=["mixer", "focus"])
def test_I14_after_a_restart_everybody_is_on_own_keys_and_every_cohort_rekeys_once(mixer: bool, wait: float) -> None:
    """At any step of a rekey (I14)."""
    settings = RekeySettings(mode="group", cohort_target=4)
    stage = running(settings)
    stage.join("new")
    stage.run(wait)
    stage.leave("m0")
    stage.run(wait)
    highest = stage.highest_obtained
    stage.log.clear()
    stage.restart(mixer=mixer)
    assert all(stage.epoch_heard_by(name) is None for name in stage.people)
    assert len(stage.said(AddLeg)) == (8 if mixer else 0), "a mixer that lived on has the legs"
    stage.run(10)
    assert len(stage.said(Obtain)) == stage.policy.facts(stage.now).cohorts
    heard = {stage.epoch_heard_by(name) for name in stage.people}
    assert all(epoch is not None and epoch >> 8 > highest for epoch in heard)


def test_a_restart_of_the_mixer_ends_all_exposure() -> None:
    stage = running(RekeySettings(mode="group", bridge_max=0))
    stage.leave("m0")
    stage.run(0.05)
    stage.restart(mixer=True)
    stage.run(10)
    assert [exposure.seconds for exposure in stage.exposures] == pytest.approx([0.05])
    stage.check_exposures(0.06)


def test_a_member_named_twice_at_a_restart_is_there_once() -> None:
    policy = Policy(GROUP)
    policy.resume(5, [Present("a", True, 0), Present("b", True, 0), Present("a", True, 1)], 0.0)
    assert policy.intentions() == [Obtain(0, 0x600)]
    facts = policy.facts(0.0)
    assert (facts.members, facts.bridged, facts.cohorts, facts.ignored) == (2, 2, 1, {"duplicate_join": 1})


def test_a_restart_of_a_small_conference_stays_unique() -> None:
    policy = Policy(RekeySettings())
    policy.resume(5, [Present("a", True, 0)], 0.0)
    assert policy.intentions() == []
    assert policy.due() is None
