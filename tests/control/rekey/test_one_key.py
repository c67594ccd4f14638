"""Members with room for one key, and newcomers who are told the key in use: what the policy makes of them."""

from __future__ import annotations

import pytest

from control.rekey.epochs import generation_of
from control.rekey.intentions import Activate, AddLeg, Deliver, Obtain
from control.rekey.settings import RekeySettings
from tests.control.rekey.people import Network
from tests.control.rekey.stage import Stage

CURRENT = RekeySettings(mode="group", admission="current", epoch_max_age=20.0, t_leave_min=0.5)
OWN = RekeySettings(mode="group", promote_legs=0, t_leave_min=0.5)


def running(settings: RekeySettings = CURRENT, count: int = 4, network: Network | None = None) -> Stage:
    stage = Stage(settings, style="ssrc", network=network)
    stage.join(*[f"m{number}" for number in range(count)], ratchets=False, one_key=True)
    stage.run(5)
    assert all(stage.epoch_heard_by(name) for name in stage.people)
    stage.log.clear()
    return stage


def until(stage: Stage, kind: type[Obtain] | type[Deliver] | type[Activate]) -> None:
    """Run until that is wanted."""
    for _ in range(10_000):
        if stage.said(kind):
            return
        stage.run(0.005)
    raise AssertionError(f"no {kind.__name__}")


def test_who_is_told_the_key_in_use_begins_under_it() -> None:
    stage = running()
    told = stage.policy.offered()
    assert told is not None
    stage.join("new", ratchets=False, one_key=True, holding=told)
    assert [said for _, said in stage.log] == [AddLeg("new", 0, bridged=False)]
    assert stage.epoch_heard_by("new") == told[1]
    assert stage.policy.keying_of("new") == "group"
    facts = stage.policy.facts(stage.now)
    assert (facts.bridged, facts.laggards) == (0, 0)
    stage.leave("new")
    stage.run(5)
    assert len(stage.said(Obtain)) == 1, "it had the key"
    stage.check_exposures(stage.bound())


def test_who_is_told_nothing_begins_on_its_own_key_and_is_sent_the_one_in_use_at_once() -> None:
    stage = running()
    stage.join("new", ratchets=False, one_key=True)
    assert [said for _, said in stage.log] == [
        AddLeg("new", 0),
        Deliver(0, stage.epoch_heard_by("m0") or 0, ("new",), 1),
    ]
    assert stage.policy.keying_of("new") == "own"
    stage.run(0.2)
    assert stage.policy.keying_of("new") == "group"
    assert not stage.said(Obtain)


def test_there_is_nothing_to_tell_with_admission_own() -> None:
    stage = running(OWN)
    assert stage.policy.offered() is None
    assert stage.policy.keying_of("nobody") == "own"


def test_one_who_ratchets_is_not_given_what_was_before_it() -> None:
    stage = Stage(CURRENT)
    stage.join("a", "b")
    stage.run(5)
    assert stage.policy.offered() is None, "there is no cohort of those who cannot"
    stage.log.clear()
    stage.join("new")
    assert [said for _, said in stage.log] == [AddLeg("new", 0)]
    stage.run(5)
    used = stage.first_used[generation_of(stage.epoch_heard_by("new") or 0)]
    assert min(used[step] for step in used if step >= 1) >= stage.people["new"].joined


@pytest.mark.parametrize("during", [Obtain, Deliver, Activate])
def test_who_was_told_the_key_before_while_the_next_is_on_its_way(
    during: type[Obtain] | type[Deliver] | type[Activate],
) -> None:
    """The stage sees to it that it is never sent what is under a key it has not acknowledged."""
    stage = running(network=Network(kms=0.5, mixer=0.5, rtt=0.3))
    told = stage.policy.offered()
    until(stage, during)
    stage.join("new", ratchets=False, one_key=True, holding=told)
    added = stage.said(AddLeg)[-1]
    assert added == AddLeg("new", 0, bridged=during is Activate)
    stage.run(2.0)
    assert stage.epoch_heard_by("new") == stage.epoch_heard_by("m0") != (told or (0, 0))[1]
    stage.check_hands()


def test_who_was_told_a_key_is_put_where_it_is_in_use_though_that_is_full() -> None:
    """Its leaving rekeys that cohort; then there is room again only when there is."""
    stage = running(RekeySettings(mode="group", admission="current", cohort_target=4, t_leave_min=0.5), count=3)
    told = stage.policy.offered()
    stage.join("fourth", ratchets=False, one_key=True)
    stage.run(1.0)
    assert stage.policy.offered() is None, "no room"
    stage.join("fifth", ratchets=False, one_key=True, holding=told)
    assert stage.people["fifth"].cohort == 0
    stage.leave("fifth")
    stage.join("sixth", ratchets=False, one_key=True)
    assert stage.people["sixth"].cohort == 1
    stage.run(5)
    assert stage.said(Obtain)
    stage.check_exposures(stage.bound())


def test_a_key_thrown_away_was_taken_in_place_of_the_one_in_use() -> None:
    """Who was evicted had only the key to come: the one in use is clean, and is told again when no other is made."""
    stage = running(OWN, network=Network(rtt=0.1))
    before = stage.epoch_heard_by("m0")
    stage.join("new", ratchets=False, one_key=True)
    stage.network.deaf.add("m3")
    until(stage, Deliver)
    stage.run(0.2)
    assert stage.people["m0"].hand == generation_of(before or 0) + 1
    stage.network.kms_fails = 1.0
    stage.leave("new", evict=True)
    stage.run(0.9)
    assert stage.epoch_heard_by("m0") == before
    stage.check_hands()
    assert stage.people["m0"].hand == generation_of(before or 0)
    stage.network.kms_fails = 0.0
    stage.run(10)
    stage.check_hands()
