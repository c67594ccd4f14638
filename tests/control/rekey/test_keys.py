"""The way of a new key: acknowledgements, laggards, failures, age, restarts (invariants I6, I7)."""

from __future__ import annotations

import itertools

import pytest

from control.rekey.book import Ignored
from control.rekey.epochs import GENERATION_MAX
from control.rekey.intentions import Abort, Activate, AddLeg, Attention, Bridge, Deliver, Obtain, RemoveLeg
from control.rekey.policy import Policy
from control.rekey.settings import RekeySettings
from tests.control.rekey.stage import Network, Stage

GROUP = RekeySettings(mode="group")
NO_BRIDGE = RekeySettings(mode="group", bridge_max=0)


def running(settings: RekeySettings = GROUP, count: int = 8, **more: object) -> Stage:
    stage = Stage(settings, **more)  # type: ignore[arg-type]
    stage.join(*[f"m{number}" for number in range(count)])
    stage.run(10)
    assert all(stage.epoch_heard_by(name) for name in stage.people)
    stage.log.clear()
    return stage


def ignored(stage: Stage) -> dict[str, int]:
    return stage.policy.facts(stage.now).ignored


# ---------------------------------------------------------------------------------------------
# Laggards


def test_laggards_are_bridged_before_the_switch_and_the_others_freed_after() -> None:
    stage = running(NO_BRIDGE)
    stage.network.deaf.add("m5")
    stage.leave("m0")
    stage.run(2)
    kinds = [said for _, said in stage.log if isinstance(said, Bridge | Activate)]
    assert kinds == [Bridge(0, ("m5",), True), Activate(0, 0x200)]
    assert stage.epoch_heard_by("m5") is None
    assert stage.epoch_heard_by("m1") == 0x200
    assert stage.policy.facts(stage.now).laggards == 1


def test_a_bridged_cohort_is_freed_without_its_laggards() -> None:
    stage = running()
    stage.network.deaf.add("m5")
    stage.leave("m0")
    stage.run(2)
    assert [stage.epoch_heard_by(name) for name in ("m1", "m5")] == [0x200, None]


def test_a_key_is_sent_four_times_before_the_deadline() -> None:
    stage = running(NO_BRIDGE)
    stage.network.deaf.update({"m5", "m6"})
    stage.leave("m0")
    start = stage.now + 0.01
    stage.run(1.015)
    sent = [(time - start, said) for time, said in stage.log if isinstance(said, Deliver)]
    assert [time for time, _ in sent] == pytest.approx([0, 0.15, 0.3, 0.6], abs=0.001)
    assert [said.attempt for _, said in sent] == [1, 2, 3, 4]
    assert len(sent[0][1].members) == 7
    assert set(sent[3][1].members) == {"m5", "m6"}


def test_a_late_word_frees_a_laggard_at_once() -> None:
    stage = running(NO_BRIDGE)
    stage.network.deaf.add("m5")
    stage.leave("m0")
    stage.run(4)
    assert stage.ack("m5", 0x200)
    assert stage.log[-1][1] == Bridge(0, ("m5",), False)
    assert stage.epoch_heard_by("m5") == 0x200
    assert stage.policy.facts(stage.now).laggards == 0
    stage.log.clear()
    stage.run(30)
    assert stage.said(Deliver) == []


def test_a_laggard_is_given_up_after_ten_seconds_and_keeps_its_own_key() -> None:
    stage = running(NO_BRIDGE)
    stage.network.deaf.add("m5")
    stage.leave("m0")
    start = stage.now
    stage.run(100)
    (when,) = stage.times(Attention)
    assert when - start == pytest.approx(0.01 + 1.0 + 10.0, abs=0.01)
    assert stage.epoch_heard_by("m5") is None
    assert len(stage.said(Deliver)) <= 9
    assert stage.ack("m5", 0x200), "and may come back even then"
    assert stage.epoch_heard_by("m5") == 0x200


def test_rekeys_one_after_another_do_not_keep_a_dead_member_from_being_given_up() -> None:
    stage = running(count=30)
    stage.network.deaf.add("m29")
    for number in range(20):
        stage.leave(f"m{number}")
        stage.run(1)
    assert stage.attentions == ["m29"]
    assert len(stage.said(Activate)) >= 9


def test_a_known_laggard_is_not_waited_for() -> None:
    stage = running()
    stage.network.deaf.add("m5")
    stage.leave("m0")
    stage.run(5)
    stage.log.clear()
    stage.leave("m1")
    stage.run(0.3)
    assert len(stage.said(Activate)) == 1, "the others have acknowledged; no second is lost on the dead"
    assert stage.epoch_heard_by("m2")


def test_if_nobody_answers_the_cohort_is_on_own_keys_and_loses_nothing() -> None:
    stage = running(network=Network(loss=0.0))
    stage.network.loss = 1.0
    stage.leave("m0")
    stage.run(60)
    assert all(stage.epoch_heard_by(name) is None for name in stage.people)
    assert len(stage.attentions) == 7
    stage.network.loss = 0.0
    stage.leave("m1")
    stage.run(5)
    assert all(stage.epoch_heard_by(name) for name in stage.people)


def test_a_leave_of_the_last_one_waited_for_completes_the_rekey() -> None:
    stage = running(NO_BRIDGE)
    stage.network.deaf.add("m5")
    stage.leave("m0")
    stage.run(0.4)
    assert stage.said(Activate) == []
    stage.leave("m5")
    assert len(stage.said(Activate)) == 1


# ---------------------------------------------------------------------------------------------
# Acknowledgements that tell nothing


def test_acks_that_are_not_taken_are_counted_by_reason() -> None:
    stage = running()
    policy, now = stage.policy, stage.now
    policy.leave("m0", evict=True, now=now)
    assert not policy.acked("stranger", 0x100, now)
    assert not policy.acked("m0", 0x100, now), "it has left"
    assert not policy.acked("m1", 0x100, now), "again"
    assert not policy.acked("m1", 0x200, now), "asked for, but sent to nobody"
    assert not policy.acked("m1", 0x101, now), "a step that does not exist yet"
    assert not policy.acked("m1", 0xFFFF00, now), "forged"
    assert not policy.acked("m1", 0, now)
    assert not policy.acked("m1", -1, now)
    assert policy.facts(now).ignored == {"not_member": 2, "repeated": 1, "unknown_epoch": 5}


def test_acks_of_aborted_and_superseded_keys_are_not_taken() -> None:
    stage = running(network=Network(rtt=0.2))
    stage.leave("m0", evict=True)
    stage.run(0.05)
    stage.leave("m1", evict=True)
    assert not stage.ack("m2", 0x200)
    assert ignored(stage)[Ignored.ABORTED_EPOCH] == 1
    stage.run(5)
    assert stage.epoch_heard_by("m2") == 0x300
    before = ignored(stage).get(Ignored.SUPERSEDED_EPOCH, 0)
    assert not stage.ack("m2", 0x100)
    assert ignored(stage)[Ignored.SUPERSEDED_EPOCH] == before + 1


def test_I6_a_late_word_about_the_old_key_is_none_about_the_new_one() -> None:
    stage = running(NO_BRIDGE)
    stage.network.deaf.update({"m5", "m6"})
    stage.leave("m0")
    stage.run(5)
    stage.leave("m1")
    stage.run(0.05)
    assert stage.ack("m5", 0x200)
    stage.run(1.5)
    assert stage.epoch_heard_by("m2") == 0x300
    assert stage.epoch_heard_by("m5") is None


def test_I6_an_ack_of_a_step_before_the_first_one_sent_is_none() -> None:
    stage = running()
    stage.network.deaf.add("new")
    stage.join("new")
    stage.run(0.2)
    assert not stage.ack("new", 0x100)
    assert not stage.ack("new", 0x102)
    assert ignored(stage)["unknown_epoch"] == 2
    assert stage.ack("new", 0x101)


def test_after_an_eviction_newcomers_have_their_second_again() -> None:
    stage = running()
    stage.leave("m0", evict=True)
    stage.run(5)
    stage.network.deaf.add("new")
    stage.join("new")
    stage.run(0.13 + 0.9)
    assert stage.policy.facts(stage.now).laggards == 0
    stage.run(0.2)
    assert stage.policy.facts(stage.now).laggards == 1


def test_I6_an_ack_of_a_key_sent_to_another_frees_nobody() -> None:
    stage = running(network=Network(rtt=0.5))
    stage.leave("m0")
    stage.run(0.1)
    stage.join("new")
    assert not stage.ack("new", 0x200)
    assert ignored(stage)["unknown_epoch"] == 1
    stage.run(0.8)
    assert stage.epoch_heard_by("new") is None or stage.people["new"].said


# ---------------------------------------------------------------------------------------------
# Failures


def test_kms_down_bridges_whatever_the_budget() -> None:
    stage = running(NO_BRIDGE)
    stage.network.kms_fails = 1.0
    stage.leave("m0")
    assert stage.epoch_heard_by("m1")
    stage.run(0.02)
    assert stage.log[-1][1] == Bridge(0, None, True)
    stage.leave("m1")
    assert stage.epoch_heard_by("m2") is None
    stage.run(300)
    assert stage.said(Deliver) == []
    stage.network.kms_fails = 0.0
    stage.run(31)
    assert stage.epoch_heard_by("m2")
    stage.check_exposures(stage.bound())


def test_kms_down_is_asked_less_and_less_often_and_never_for_the_same_key() -> None:
    stage = running()
    stage.network.kms_fails = 1.0
    stage.leave("m0")
    stage.run(0.5)
    stage.leave("m1", evict=True)
    stage.run(199.5)
    times = stage.times(Obtain)
    gaps = [later - earlier - stage.network.kms for earlier, later in itertools.pairwise(times)]
    assert gaps[:7] == pytest.approx([1, 2, 4, 8, 16, 30, 30])
    epochs = [said.epoch for said in stage.said(Obtain) if isinstance(said, Obtain)]
    assert epochs == sorted(set(epochs))
    assert stage.policy.facts(stage.now).counts.failures == len(times)


def test_while_the_kms_is_down_every_leave_bridges_at_once() -> None:
    stage = running(RekeySettings(mode="group", bridge_max=0, epoch_max_age=20))
    stage.network.kms_fails = 1.0
    stage.run(30)
    assert stage.said(Obtain), "the rotation failed"
    assert stage.epoch_heard_by("m0"), "which harms nobody: the key is old, not known to one who left"
    stage.leave("m0")
    assert stage.log[-1][1] == RemoveLeg("m0", True)
    assert stage.epoch_heard_by("m1") is None
    stage.check_exposures(0.0)
    stage.network.kms_fails = 0.0
    stage.run(31)
    stage.leave("m1")
    assert stage.epoch_heard_by("m2"), "the KMS is back, and the budget counts again"


def test_kms_down_does_not_stop_the_ratchet() -> None:
    stage = running(RekeySettings(mode="group", epoch_max_age=20))
    stage.network.kms_fails = 1.0
    stage.run(60)
    stage.join("new")
    stage.run(1)
    assert stage.epoch_heard_by("new") == stage.epoch_heard_by("m0") == 0x101


def test_style_ssrc_kms_down_is_silence_rather_than_exposure() -> None:
    stage = running(style="ssrc")
    stage.network.kms_fails = 1.0
    stage.leave("m0")
    stage.run(0.02)
    stage.leave("m1")
    assert Bridge(0, None, True) in stage.said(Bridge)
    assert not any(said.bridge for said in stage.said(RemoveLeg) if isinstance(said, RemoveLeg))
    stage.run(1)
    stage.check_exposures(stage.bound())


def test_style_ssrc_a_leave_after_a_failed_rotation_is_silence_too() -> None:
    stage = running(RekeySettings(mode="group", epoch_max_age=20), style="ssrc")
    stage.network.kms_fails = 1.0
    stage.run(30)
    assert stage.epoch_heard_by("m0")
    stage.leave("m0")
    assert [said for _, said in stage.log[-2:]] == [RemoveLeg("m0", False), Bridge(0, None, True)]
    stage.check_exposures(0.0)


def test_an_answer_that_never_comes_is_a_failure() -> None:
    stage = running(NO_BRIDGE)
    stage.network.kms = 1e6
    stage.leave("m0")
    stage.run(4.9)
    assert stage.epoch_heard_by("m1")
    stage.run(0.2)
    assert [said for _, said in stage.log[-2:]] == [Bridge(0, None, True), Abort(0, 0x200)]
    stage.network.kms = 0.01
    stage.run(5)
    assert stage.epoch_heard_by("m1")


def test_a_key_that_comes_too_late_is_thrown_away() -> None:
    stage = running()
    stage.network.kms = 6.0
    stage.leave("m0")
    stage.network.kms = 0.01
    stage.run(20)
    assert stage.said(Abort) == [Abort(0, 0x200)] * 2, "when it did not come, and when it did"
    assert stage.keys[0].prepared == set()


def test_a_switch_that_the_mixer_refuses_leaves_nobody_on_a_doubtful_key() -> None:
    stage = running(NO_BRIDGE)
    stage.network.mixer_fails = 1.0
    stage.leave("m0")
    stage.run(0.5)
    assert len(stage.said(Activate)) == 1
    assert all(stage.epoch_heard_by(name) is None for name in stage.people)
    stage.network.mixer_fails = 0.0
    stage.run(5)
    assert all(stage.epoch_heard_by(name) == 0x300 for name in stage.people)


def test_a_refused_switch_is_a_doubt_even_if_nobody_has_left() -> None:
    stage = running(RekeySettings(mode="group", epoch_max_age=20, bridge_max=0))
    stage.network.mixer_fails = 1.0
    stage.run(12)
    assert all(stage.epoch_heard_by(name) is None for name in stage.people)
    stage.network.mixer_fails = 0.0
    stage.run(10)
    assert all(stage.epoch_heard_by(name) for name in stage.people)


def test_a_switch_that_is_not_answered_is_a_doubt_as_well() -> None:
    stage = running(NO_BRIDGE)
    stage.network.mixer = 8.0
    stage.leave("m0")
    stage.run(5.5)
    assert [type(said) for _, said in stage.log[-2:]] == [Bridge, Abort]
    stage.network.mixer = 0.02
    stage.run(10)
    assert all(stage.epoch_heard_by(name) == 0x300 for name in stage.people)
    assert ignored(stage)["stray_answer"] == 1


def test_a_failed_rekey_does_not_end_the_delivery_to_newcomers() -> None:
    stage = running(RekeySettings(mode="group", epoch_max_age=20))
    stage.run(9.5)
    stage.network.deaf.add("new")
    stage.network.kms_fails = 1.0
    stage.join("new")
    stage.run(1)
    assert len(stage.said(Obtain)) == 1
    stage.network.deaf.clear()
    stage.run(3)
    assert stage.epoch_heard_by("new")


def test_a_large_cohort_has_the_time_that_sending_takes() -> None:
    stage = running(RekeySettings(mode="group", bridge_max=0, delivery_s=0.02), 51)
    stage.network.deaf.add("m5")
    stage.leave("m0")
    start = stage.now + 0.01
    stage.run(10)
    repeats = [time - start for time, said in stage.log if isinstance(said, Deliver) and said.attempt == 2]
    assert repeats == pytest.approx([1.0 + 0.15])
    assert stage.times(Activate)[0] - start == pytest.approx(1.0 + 1.0)


def test_a_key_that_the_mixer_destroyed_early_is_replaced_no_sooner_than_it_may() -> None:
    stage = running()
    stage.leave("m0")
    start = stage.now
    stage.run(1)
    stage.expire(0)
    stage.run(5)
    assert stage.times(Obtain) == pytest.approx([start, start + 2.0])
    assert all(stage.epoch_heard_by(name) == 0x300 for name in stage.people)


def test_a_key_that_the_mixer_destroyed_for_its_age_is_replaced() -> None:
    stage = running()
    stage.expire(0)
    stage.run(5)
    assert all(stage.epoch_heard_by(name) == 0x200 for name in stage.people)


def test_answers_from_nowhere_change_nothing() -> None:
    policy = Policy(GROUP)
    policy.join("a", ratchets=True, now=0.0)
    policy.intentions()
    policy.key_failed(0, 0x100, 0.0)
    policy.switched(0, 0x100, 0.0)
    policy.switched(7, 0x100, 0.0)
    policy.key_failed(7, 0x100, 0.0)
    assert policy.intentions() == []
    policy.key_ready(7, 0x100, 0.0)
    assert policy.intentions() == [Abort(7, 0x100)], "a key that nobody wants is not kept"
    assert policy.facts(0.0).ignored == {"stray_answer": 5}


def test_I7_when_the_numbers_are_used_up_the_cohort_stays_on_own_keys() -> None:
    policy = Policy(GROUP)
    policy.resume(GENERATION_MAX - 1, [("a", True, 0), ("b", True, 0)], 0.0)
    last = GENERATION_MAX << 8
    assert policy.intentions()[-1] == Obtain(0, last)
    policy.key_ready(0, last, 0.0)
    policy.acked("a", last, 0.1)
    policy.acked("b", last, 0.1)
    policy.switched(0, last, 0.2)
    policy.intentions()
    policy.leave("a", now=10.0)
    policy.join("c", ratchets=True, now=11.0)
    for step in range(100):
        policy.advance(12.0 + step)
    said = policy.intentions()
    assert not any(isinstance(intention, Obtain | Deliver | Activate) for intention in said)
    assert policy.facts(200.0).bridged == 2


# ---------------------------------------------------------------------------------------------
# Age, restarts


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
def test_after_a_restart_everybody_is_on_own_keys_and_every_cohort_rekeys_once(mixer: bool, wait: float) -> None:
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


def test_a_member_named_twice_at_a_restart_is_there_once() -> None:
    policy = Policy(GROUP)
    policy.resume(5, [("a", True, 0), ("b", True, 0), ("a", True, 1)], 0.0)
    assert policy.intentions() == [Obtain(0, 0x600)]
    facts = policy.facts(0.0)
    assert (facts.members, facts.bridged, facts.cohorts, facts.ignored) == (2, 2, 1, {"duplicate_join": 1})


def test_a_restart_of_a_small_conference_stays_unique() -> None:
    policy = Policy(RekeySettings())
    policy.resume(5, [("a", True, 0)], 0.0)
    assert policy.intentions() == []
    assert policy.due() is None
