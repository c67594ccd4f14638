"""The KMS or the mixer fails: secrecy goes before cost, and no key is used twice (invariants I2, I7)."""

from __future__ import annotations

import itertools

import pytest

from control.rekey.epochs import GENERATION_MAX
from control.rekey.intentions import Abort, Activate, Bridge, Deliver, Obtain, Ratchet, RemoveLeg
from control.rekey.policy import Policy, Present
from control.rekey.settings import RekeySettings
from tests.control.rekey.stage import running

GROUP = RekeySettings(mode="group")
NO_BRIDGE = RekeySettings(mode="group", bridge_max=0)


def test_I2_kms_down_bridges_whatever_the_budget() -> None:
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


def test_I7_kms_down_is_asked_less_and_less_often_and_never_for_the_same_key() -> None:
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


def test_I2_a_switch_that_the_mixer_refuses_leaves_nobody_on_a_doubtful_key() -> None:
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
    assert stage.ignored()["stray_answer"] == 1


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


def test_there_is_no_step_from_a_key_that_the_mixer_has_destroyed() -> None:
    stage = running()
    stage.leave("m0")
    stage.run(1)
    stage.join("new")
    stage.expire(0)
    stage.join("other")
    stage.run(5)
    assert stage.said(Ratchet) == []
    assert stage.epoch_heard_by("new") == stage.epoch_heard_by("other") == 0x300


def test_a_key_that_a_leaver_has_is_not_sent_to_laggards_again() -> None:
    stage = running()
    stage.network.deaf.add("m5")
    stage.leave("m0")
    stage.run(3)
    stage.network.kms_fails = 1.0
    stage.leave("m1")
    stage.log.clear()
    stage.run(20)
    assert stage.said(Deliver) == []


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
    policy.resume(GENERATION_MAX - 1, [Present("a", True, 0), Present("b", True, 0)], 0.0)
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
