"""Leaves and evictions: who can still listen, and for how long (invariants I2, I4, I13)."""

from __future__ import annotations

import pytest

from control.rekey.intentions import Abort, Activate, Bridge, Deliver, Obtain, Ratchet, RemoveLeg, Retire
from control.rekey.settings import RekeySettings
from tests.control.rekey.people import Network
from tests.control.rekey.stage import running

GROUP = RekeySettings(mode="group")
NO_BRIDGE = RekeySettings(mode="group", bridge_max=0)


def test_the_leg_goes_before_all_else() -> None:
    stage = running(GROUP, 12)
    stage.leave("m3")
    assert stage.log[0][1] == RemoveLeg("m3", True)
    assert isinstance(stage.log[1][1], Obtain)


def test_I2_with_the_bridge_nothing_more_can_be_decrypted() -> None:
    stage = running(GROUP, 12)
    stage.leave("m3")
    assert all(stage.epoch_heard_by(name) is None for name in stage.people)
    stage.run(5)
    assert all(stage.epoch_heard_by(name) for name in stage.people)
    stage.check_exposures(0.0)
    assert [exposure.seconds for exposure in stage.exposures] == [0.0]


def test_I2_without_budget_the_rekey_covers_the_leave_within_its_bound() -> None:
    stage = running(NO_BRIDGE, 12)
    stage.leave("m3")
    assert stage.log[0][1] == RemoveLeg("m3", False)
    assert stage.epoch_heard_by("m0")
    stage.run(0.3)
    stage.leave("m4")
    stage.run(10)
    stage.check_exposures(stage.bound())
    first, second = (exposure.seconds for exposure in stage.exposures)
    assert 0 < first < 0.3
    assert 1.7 < second < 2.0, "until the throttle lets it go: 2 s after the first fired"
    assert stage.policy.facts(stage.now).counts.unaffordable == 2


def test_the_first_leave_fires_at_once_and_those_after_it_share_one_rekey() -> None:
    stage = running(GROUP, 12)
    start = stage.now
    stage.leave("m0")
    for number in range(1, 6):
        stage.run(0.25)
        stage.leave(f"m{number}")
    stage.run(10)
    assert stage.times(Obtain) == pytest.approx([start, start + 2.0])


def test_an_earlier_alarm_is_never_pushed_back() -> None:
    stage = running(GROUP, 12)
    start = stage.now
    stage.leave("m0")
    stage.run(0.5)
    stage.leave("m1")
    for _ in range(4):
        stage.run(0.3)
        stage.leave(next(iter(stage.people)))
    stage.run(10)
    assert stage.times(Obtain) == pytest.approx([start, start + 2.0])


def test_one_who_never_had_a_key_costs_nothing() -> None:
    stage = running(RekeySettings(mode="group", cohort_target=0), 12)
    stage.join("plain", ratchets=False)
    stage.run(1)
    stage.log.clear()
    stage.leave("plain")
    assert [said for _, said in stage.log] == [RemoveLeg("plain", False)]
    stage.run(20)
    assert stage.said(Obtain) == []
    assert stage.exposures == []


def test_I4_a_leave_before_distribution_is_folded_in() -> None:
    stage = running(GROUP, 12, network=Network(kms=0.5))
    stage.leave("m0")
    stage.run(0.2)
    stage.leave("m1")
    stage.run(10)
    assert len(stage.said(Obtain)) == 1
    (delivery,) = stage.said(Deliver)
    assert isinstance(delivery, Deliver)
    assert not {"m0", "m1"} & set(delivery.members)
    stage.check_exposures(0.0)


def test_I2_a_leaver_that_was_sent_the_new_key_is_covered_by_the_one_after() -> None:
    stage = running(NO_BRIDGE, 12)
    start = stage.now
    stage.leave("m0")
    stage.run(0.05)
    assert stage.said(Deliver)
    stage.leave("m1")
    stage.run(10)
    assert stage.times(Obtain) == pytest.approx([start, start + 2.0])
    assert stage.said(Abort) == []
    assert len(stage.said(Activate)) == 2
    stage.check_exposures(stage.bound())
    seconds = {exposure.member: exposure.seconds for exposure in stage.exposures}
    assert seconds["m0"] < 0.5, "the first switch covers the first leaver"
    assert seconds["m1"] > 1.9


def test_with_the_bridge_the_cohort_stays_on_own_keys_through_both() -> None:
    stage = running(GROUP, 12)
    stage.leave("m0")
    stage.run(0.05)
    stage.leave("m1")
    stage.run(1.5)
    assert len(stage.said(Activate)) == 1
    assert all(stage.epoch_heard_by(name) is None for name in stage.people)
    stage.run(10)
    assert all(stage.epoch_heard_by(name) for name in stage.people)
    stage.check_exposures(0.0)


def test_an_eviction_does_not_wait_for_the_throttle() -> None:
    stage = running(NO_BRIDGE, 12)
    start = stage.now
    stage.leave("m0")
    stage.run(1)
    stage.leave("m1", evict=True)
    stage.run(10)
    assert stage.times(Obtain) == pytest.approx([start, start + 1.0])
    stage.check_exposures(stage.bound())
    assert [exposure.evicted for exposure in stage.exposures] == [False, True]


def test_an_eviction_waits_a_quarter_of_a_second_for_acks() -> None:
    stage = running(NO_BRIDGE, 12)
    stage.network.deaf.add("m5")
    stage.leave("m1", evict=True)
    (start,) = stage.times(Obtain)
    stage.run(0.01 + 11 * 15e-6 + 0.24)
    assert stage.said(Activate) == []
    stage.run(0.02)
    assert len(stage.said(Activate)) == 1
    assert start + 0.25 < stage.times(Activate)[0] < start + 0.27


def test_I7_an_eviction_throws_away_a_key_that_was_sent() -> None:
    stage = running(NO_BRIDGE, 12, network=Network(rtt=0.2))
    stage.leave("m0", evict=True)
    stage.run(0.05)
    stage.leave("m1", evict=True)
    start = stage.now
    stage.network.deaf.add("m5")
    assert [type(said) for _, said in stage.log[-3:]] == [RemoveLeg, Abort, Obtain]
    stage.run(10)
    (activated,) = stage.said(Activate)
    assert stage.times(Activate)[0] - start == pytest.approx(0.26, abs=0.001), "nor are laggards waited for"
    assert activated == Activate(0, stage.highest_obtained << 8)
    stage.check_exposures(stage.bound(evicted=True))


def test_an_eviction_hurries_a_rekey_that_has_begun() -> None:
    stage = running(NO_BRIDGE, 12, network=Network(kms=0.5))
    stage.network.deaf.add("m5")
    stage.leave("m0")
    stage.run(0.2)
    stage.leave("m1", evict=True)
    stage.run(0.3 + 0.26)
    assert len(stage.said(Obtain)) == 1, "it had not been sent the new key"
    assert len(stage.said(Activate)) == 1


def test_an_eviction_while_the_mixer_switches_rekeys_at_once_after() -> None:
    stage = running(NO_BRIDGE, 12, network=Network(mixer=0.5, rtt=0.01))
    stage.leave("m0")
    stage.run(0.1)
    assert stage.said(Activate)
    stage.leave("m1", evict=True)
    stage.run(0.5)
    assert len(stage.said(Obtain)) == 2
    stage.run(5)
    stage.check_exposures(stage.bound(evicted=True), answers=0.5)


def test_keys_may_be_thrown_away_again_after_one_was_used() -> None:
    stage = running(NO_BRIDGE, 20, network=Network(rtt=0.2))
    for number in range(3):
        stage.leave(f"m{number}", evict=True)
        stage.run(0.05)
    stage.run(10)
    for number in range(3, 5):
        stage.leave(f"m{number}", evict=True)
        stage.run(0.05)
    assert len(stage.said(Abort)) == 3


def test_when_all_lag_nobody_who_left_can_listen() -> None:
    """The last laggard bridged is a cohort bridged, and accounted for as such."""
    stage = running(NO_BRIDGE, 12)
    stage.network.deaf.update(stage.people)
    stage.leave("m0")
    stage.run(0.5)
    stage.leave("m1")
    stage.run(20)
    assert [exposure.seconds for exposure in stage.exposures] == pytest.approx([1.01, 0.51], abs=0.01)
    stage.check_exposures(1.02)


def test_one_who_had_only_the_key_that_was_thrown_away_was_never_exposed() -> None:
    stage = running(NO_BRIDGE, 12, network=Network(rtt=0.2))
    stage.join("new")
    stage.leave("m0")
    stage.run(0.05)
    stage.leave("new")
    stage.leave("m1", evict=True)
    stage.run(5)
    assert stage.said(Abort)
    assert {exposure.member: exposure.seconds for exposure in stage.exposures}["new"] == 0.0


def test_a_leave_while_newcomers_wait_for_a_step_stops_the_step() -> None:
    """They would be sent a key that is to be replaced at once."""
    for settings in (GROUP, NO_BRIDGE):
        stage = running(settings, 12)
        stage.leave("m0")
        stage.run(1)
        stage.join("new")
        stage.run(0.05)
        stage.leave("m1")
        stage.run(5)
        assert stage.said(Ratchet) == []
        assert stage.epoch_heard_by("new")


def test_a_leave_while_the_mixer_steps_keeps_the_step_from_the_newcomers() -> None:
    stage = running(NO_BRIDGE, 12, network=Network(mixer=0.2))
    stage.join("new")
    stage.run(0.15)
    stage.leave("m0")
    stage.run(0.2)
    assert len(stage.said(Ratchet)) == len(stage.said(Obtain)) == 1
    stage.run(5)
    assert {said.epoch for said in stage.said(Deliver) if isinstance(said, Deliver)} == {0x200}
    assert stage.epoch_heard_by("new")
    stage.check_exposures(stage.bound(), answers=0.2)


def test_at_most_two_keys_in_a_row_are_thrown_away() -> None:
    stage = running(NO_BRIDGE, 12, network=Network(rtt=0.2))
    for number in range(5):
        stage.leave(f"m{number}", evict=True)
        stage.run(0.05)
    assert len(stage.said(Abort)) == 2
    stage.leave("m5", evict=True)
    assert stage.epoch_heard_by("m9") is None, "then the cohort stays on own keys, whatever the budget"
    stage.run(10)
    assert all(stage.epoch_heard_by(name) for name in stage.people)
    stage.check_exposures(3 * stage.bound(evicted=True))


def test_the_budget_is_for_all_cohorts_together_and_given_back() -> None:
    settings = RekeySettings(mode="group", cohort_target=4, bridge_max=5)
    stage = running(settings, 12)
    stage.leave("m0")
    stage.leave("m4")
    stage.leave("m8")
    assert [said.bridge for said in stage.said(RemoveLeg) if isinstance(said, RemoveLeg)] == [True, False, False]
    assert stage.policy.facts(stage.now).bridged == 3
    stage.run(10)
    assert stage.policy.facts(stage.now).bridged == 0
    stage.log.clear()
    stage.leave("m5")
    assert stage.log[0][1] == RemoveLeg("m5", True)
    stage.run(10)
    stage.check_exposures(stage.bound())


def test_the_last_to_leave_ends_the_key() -> None:
    stage = running(GROUP, 2)
    stage.leave("m0")
    stage.run(5)
    stage.log.clear()
    stage.leave("m1")
    assert [type(said) for _, said in stage.log] == [RemoveLeg, Retire]
    assert stage.policy.facts(stage.now).cohorts == 0
    assert stage.policy.due() is None or stage.policy.due() > stage.now  # type: ignore[operator]
    stage.run(1000)
    assert len(stage.log) == 2
    stage.check_exposures(0.0)


@pytest.mark.parametrize("wait", [0.0, 0.005, 0.02, 0.2, 0.265], ids=str)
def test_a_cohort_that_empties_in_the_middle_of_a_rekey_is_gone(wait: float) -> None:
    stage = running(GROUP, 4, network=Network(kms=0.01, rtt=0.15, mixer=0.1))
    stage.leave("m0")
    stage.run(wait)
    stage.leave("m1", "m2", "m3")
    stage.run(30)
    facts = stage.policy.facts(stage.now)
    assert (facts.cohorts, facts.members, facts.bridged) == (0, 0, 0)
    assert stage.keys[0].active is None
    assert stage.keys[0].prepared == set()
    stage.check_exposures(0.0)


def test_I4_a_rejoined_name_is_a_stranger() -> None:
    """What was sent to the one who left does not count for the one who came."""
    stage = running(GROUP, 12, network=Network(rtt=0.4))
    stage.leave("m1")
    stage.run(0.05)
    epoch = stage.highest_obtained << 8
    stage.leave("m2")
    stage.join("m2")
    assert not stage.ack("m2", epoch)
    stage.run(10)
    assert stage.epoch_heard_by("m2")


def test_style_ssrc_never_bridges_for_a_leave() -> None:
    stage = running(GROUP, 12, style="ssrc")
    stage.leave("m0")
    assert stage.log[0][1] == RemoveLeg("m0", False)
    assert stage.epoch_heard_by("m1")
    stage.run(0.5)
    stage.leave("m1")
    stage.run(10)
    assert stage.said(Bridge) == []
    stage.check_exposures(stage.bound())
    assert stage.policy.facts(stage.now).counts.unaffordable == 0
