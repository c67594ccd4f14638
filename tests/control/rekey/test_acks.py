"""Acknowledgements that tell nothing change nothing, and are counted by reason (invariant I6)."""

from __future__ import annotations

from control.rekey.book import Ignored
from control.rekey.intentions import Bridge, Obtain
from control.rekey.policy import Policy
from control.rekey.settings import RekeySettings
from tests.control.rekey.people import Network
from tests.control.rekey.stage import running

NO_BRIDGE = RekeySettings(mode="group", bridge_max=0)


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
    assert stage.ignored()[Ignored.ABORTED_EPOCH] == 1
    stage.run(5)
    assert stage.epoch_heard_by("m2") == 0x300
    before = stage.ignored().get(Ignored.SUPERSEDED_EPOCH, 0)
    assert not stage.ack("m2", 0x100)
    assert stage.ignored()[Ignored.SUPERSEDED_EPOCH] == before + 1


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


def test_I6_a_laggard_freed_by_a_late_word_is_bridged_again_for_the_next_key() -> None:
    """The late word comes while the next key is delivered, and must not stand for that one."""
    stage = running(RekeySettings(mode="group", epoch_max_age=20))
    stage.network.deaf.add("m5")
    stage.run(15)
    assert stage.epoch_heard_by("m0") == 0x200
    stage.run(16.37)
    assert stage.highest_obtained == 3
    assert stage.ack("m5", 0x200)
    assert stage.epoch_heard_by("m5") == stage.epoch_heard_by("m0") == 0x200
    stage.run(3)
    assert stage.epoch_heard_by("m0") == 0x300
    assert stage.epoch_heard_by("m5") is None


def test_I2_a_late_word_frees_nobody_under_a_key_that_a_leaver_has() -> None:
    stage = running(NO_BRIDGE)
    stage.network.deaf.add("m5")
    stage.leave("m0")
    stage.run(1.5)
    assert stage.epoch_heard_by("m1") == 0x200
    stage.leave("m1")
    assert stage.ack("m5", 0x200)
    assert stage.epoch_heard_by("m2") == 0x200, "there is no budget for a bridge"
    assert stage.epoch_heard_by("m5") is None, "but here is one"


def test_a_late_word_frees_nobody_under_a_key_that_the_mixer_has_destroyed() -> None:
    stage = running()
    stage.network.deaf.add("m5")
    stage.leave("m0")
    stage.run(1.5)
    stage.expire(0)
    stage.log.clear()
    assert stage.ack("m5", 0x200)
    assert stage.log == []


def test_I6_an_ack_of_a_step_before_the_first_one_sent_is_none() -> None:
    stage = running()
    stage.network.deaf.add("new")
    stage.join("new")
    stage.run(0.2)
    assert not stage.ack("new", 0x100)
    assert not stage.ack("new", 0x102)
    assert stage.ignored()["unknown_epoch"] == 2
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
    assert stage.ignored()["unknown_epoch"] == 1
    stage.run(0.8)
    assert stage.epoch_heard_by("new") is None or stage.people["new"].said


def test_i6_a_late_word_about_the_old_key_while_the_new_one_is_being_activated() -> None:
    policy = Policy(RekeySettings(mode="group", cohort_target=0, t_leave_min=0.1, epoch_max_age=20.0))
    for name in "abc":
        policy.join(name, ratchets=True, now=0.0)
    policy.advance(0.2)
    (first,) = [each.epoch for each in policy.intentions() if isinstance(each, Obtain)]
    policy.key_ready(0, first, 0.2)
    policy.acked("a", first, 0.21)
    policy.acked("b", first, 0.21)
    policy.advance(1.3)  # c lags
    policy.switched(0, first, 1.3)
    second, now = list[int](), 1.3
    while not second:
        policy.intentions()
        due = policy.due()
        assert due is not None
        now = due
        policy.advance(now)
        second = [each.epoch for each in policy.intentions() if isinstance(each, Obtain)]
    policy.key_ready(0, second[0], now)
    policy.acked("a", second[0], now)
    policy.acked("b", second[0], now)  # nobody else is waited for: Activate is said
    policy.intentions()
    policy.acked("c", first, now)
    assert Bridge(0, ("c",), False) not in policy.intentions(), "it would be sent the second, which it has not got"
