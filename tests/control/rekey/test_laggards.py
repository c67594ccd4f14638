"""Members who do not answer: bridged before the switch, sent the key a few times more, freed by a late word."""

from __future__ import annotations

import pytest

from control.rekey.intentions import Activate, Attention, Bridge, Deliver
from control.rekey.settings import RekeySettings
from tests.control.rekey.people import Network
from tests.control.rekey.stage import running

GROUP = RekeySettings(mode="group")
NO_BRIDGE = RekeySettings(mode="group", bridge_max=0)


def test_I6_laggards_are_bridged_before_the_switch_and_the_others_freed_after() -> None:
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
    stage = running(GROUP, 30)
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
