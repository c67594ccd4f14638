"""Joins: nothing before them can be decrypted, and nobody else is sent a message (invariants I3, I6)."""

from __future__ import annotations

import pytest

from control.rekey.epochs import STEP_MAX
from control.rekey.intentions import Activate, AddLeg, Attention, Bridge, Deliver, Obtain, Ratchet
from control.rekey.settings import RekeySettings
from tests.control.rekey.people import Network
from tests.control.rekey.stage import Stage, running

GROUP = RekeySettings(mode="group")
ONE_GROUP = RekeySettings(mode="group", cohort_target=0)


def test_I3_a_newcomer_begins_on_its_own_key() -> None:
    stage = running()
    stage.join("new")
    assert [said for _, said in stage.log] == [AddLeg("new", 0)]
    assert stage.epoch_heard_by("new") is None


def test_I3_the_key_is_delivered_only_after_the_mixer_has_switched() -> None:
    stage = running(network=Network(mixer=0.5))
    before = stage.epoch_heard_by("m0")
    assert before is not None
    stage.join("new")
    stage.run(0.55)
    assert [said for _, said in stage.log[1:]] == [Ratchet(0, before + 1)], "switched, but not yet told"
    stage.run(0.06)
    assert stage.log[2][1] == Deliver(0, before + 1, ("new",), 1)
    stage.run(0.3)
    assert stage.log[3][1] == Bridge(0, ("new",), False)
    assert stage.epoch_heard_by("new") == stage.epoch_heard_by("m0") == before + 1
    assert stage.messages() == 1


def test_joins_within_a_tenth_of_a_second_share_a_step() -> None:
    stage = running()
    for number in range(5):
        stage.join(f"n{number}")
        stage.run(0.019)
    stage.run(5)
    assert len(stage.said(Ratchet)) == 1
    assert stage.messages() == 5
    assert all(stage.epoch_heard_by(name) for name in stage.people)


def test_I3_who_joins_while_the_mixer_steps_waits_for_the_next_step() -> None:
    """The mixer may have stepped before it came: that step would let it decrypt what was before it."""
    stage = running(network=Network(mixer=0.5))
    stage.join("first")
    stage.run(0.2)
    stage.join("second")
    stage.run(0.45)
    (delivery,) = stage.said(Deliver)
    assert isinstance(delivery, Deliver)
    assert delivery.members == ("first",)
    stage.run(5)
    assert len(stage.said(Ratchet)) == 2
    assert stage.epoch_heard_by("second")


def test_a_cohort_of_one_who_cannot_ratchet_does_not_ratchet() -> None:
    stage = running(ONE_GROUP)
    stage.join("plain", ratchets=False)
    stage.join("other")
    stage.run(29)
    assert stage.said(Ratchet) == []
    assert stage.said(Obtain) == []
    stage.run(3)
    assert len(stage.said(Obtain)) == 1, "promote_s has passed"
    assert stage.epoch_heard_by("plain") == stage.epoch_heard_by("other") == stage.epoch_heard_by("m0")


def test_when_the_one_who_cannot_has_left_the_cohort_ratchets_again() -> None:
    stage = running(ONE_GROUP)
    stage.join("plain", ratchets=False)
    stage.run(1)
    stage.leave("plain")
    stage.join("other")
    stage.run(40)
    assert len(stage.said(Ratchet)) == 1
    assert stage.said(Obtain) == [], "nobody is left whom a rekey would help"


def test_those_who_can_and_cannot_ratchet_are_kept_apart() -> None:
    stage = Stage(GROUP)
    stage.join("a", "b")
    stage.join("x", "y", ratchets=False)
    stage.join("c")
    assert [stage.people[name].cohort for name in "abcxy"] == [0, 0, 0, 1, 1]


def test_too_many_who_wait_force_a_rekey() -> None:
    settings = RekeySettings(mode="group", promote_legs=3)
    stage = running(settings, ratchets=False)
    for number in range(3):
        stage.join(f"n{number}", ratchets=False)
    stage.run(1)
    assert stage.said(Obtain) == []
    stage.join("n3", ratchets=False)
    assert len(stage.said(Obtain)) == 1
    stage.run(5)
    assert stage.epoch_heard_by("n3")


def test_the_next_epoch_takes_along_who_waits() -> None:
    stage = running(ratchets=False)
    stage.join("new", ratchets=False)
    stage.leave("m0")
    stage.run(3)
    assert stage.epoch_heard_by("new") == stage.epoch_heard_by("m1")
    stage.run(40)
    assert len(stage.said(Obtain)) == 1


def test_I4_who_joins_during_a_rekey_waits_for_its_end() -> None:
    stage = running(network=Network(rtt=0.5))
    stage.leave("m0")
    stage.run(0.1)
    stage.join("new")
    stage.run(0.02)
    (delivery,) = stage.said(Deliver)
    assert isinstance(delivery, Deliver)
    assert "new" not in delivery.members
    stage.run(5)
    kinds = [type(said) for _, said in stage.log]
    assert kinds.index(Activate) < kinds.index(Ratchet)
    assert stage.epoch_heard_by("new")


def test_I4_who_joins_before_the_key_is_there_is_sent_it() -> None:
    stage = running(network=Network(kms=0.5))
    stage.leave("m0")
    stage.run(0.2)
    stage.join("new")
    stage.run(5)
    assert stage.said(Ratchet) == []
    assert stage.epoch_heard_by("new")


def test_the_last_step_is_followed_by_a_new_generation() -> None:
    stage = running(RekeySettings(mode="group", cohort_target=1000, epoch_max_age=1e6))
    for number in range(STEP_MAX):
        stage.join(f"n{number}")
        stage.run(0.5)
    heard = stage.epoch_heard_by("m0")
    assert heard is not None
    assert heard & 0xFF == STEP_MAX
    stage.log.clear()
    stage.join("one too many")
    stage.run(3)
    assert stage.said(Ratchet) == []
    assert len(stage.said(Obtain)) == 1
    assert stage.epoch_heard_by("one too many") == stage.epoch_heard_by("m0")


def with_one_that_is_slow() -> tuple[Stage, Deliver]:
    """A cohort, and the key that was sent to one who joined and says nothing."""
    stage = running()
    stage.network.deaf.add("slow")
    stage.join("slow")
    stage.run(0.13)
    (delivery,) = stage.said(Deliver)
    assert isinstance(delivery, Deliver)
    return stage, delivery


def test_I6_an_ack_of_an_earlier_step_counts_for_the_later_ones() -> None:
    """The cohort went on while the word of a laggard was on its way."""
    stage, delivery = with_one_that_is_slow()
    for number in range(3):
        stage.join(f"n{number}")
        stage.run(0.3)
    heard = stage.epoch_heard_by("m0")
    assert heard == delivery.epoch + 3
    assert stage.ack("slow", delivery.epoch)
    assert stage.epoch_heard_by("slow") == heard


def test_I6_an_ack_from_too_far_behind_does_not() -> None:
    """A member follows eight steps at a time: it is sent a newer one instead."""
    stage, delivery = with_one_that_is_slow()
    for number in range(9):
        stage.join(f"n{number}")
        stage.run(0.2)
    assert not stage.ack("slow", delivery.epoch)
    assert stage.policy.facts(stage.now).ignored["behind"] == 1
    assert stage.epoch_heard_by("slow") is None
    stage.network.deaf.clear()
    stage.run(5)
    assert stage.epoch_heard_by("slow")


def test_a_newcomer_that_never_answers_stays_on_its_own_key() -> None:
    stage = running(network=Network(deaf={"dead"}))
    stage.join("dead")
    stage.run(60)
    assert stage.epoch_heard_by("dead") is None
    assert stage.attentions == ["dead"]
    attempts = [said.attempt for said in stage.said(Deliver) if isinstance(said, Deliver)]
    assert attempts == list(range(1, len(attempts) + 1))
    assert len(attempts) <= 9, "bounded"
    assert len(stage.said(Attention)) == 1


def test_a_step_that_the_mixer_refuses_is_no_end() -> None:
    stage = running()
    stage.network.mixer_fails = 1.0
    stage.join("new")
    stage.run(0.2)
    assert stage.epoch_heard_by("m0") is None, "which step is in use is in doubt"
    stage.network.mixer_fails = 0.0
    stage.run(5)
    assert stage.epoch_heard_by("new") == stage.epoch_heard_by("m0")
    assert len(stage.said(Ratchet)) == 1
    assert len(stage.said(Obtain)) == 1


def test_style_ssrc_never_ratchets() -> None:
    stage = running(style="ssrc")
    stage.join("new")
    stage.run(35)
    assert stage.said(Ratchet) == []
    assert len(stage.said(Obtain)) == 1
    assert stage.epoch_heard_by("new")


def test_joining_twice_changes_nothing() -> None:
    stage = running()
    stage.policy.join("m0", ratchets=True, now=stage.now)
    stage.policy.leave("stranger", now=stage.now)
    assert stage.policy.intentions() == []
    assert stage.policy.facts(stage.now).ignored == {"duplicate_join": 1, "unknown_leave": 1}


@pytest.mark.parametrize("target", [4, 16])
def test_newcomers_fill_the_gaps_that_leavers_made(target: int) -> None:
    stage = running(RekeySettings(mode="group", cohort_target=target), 48)
    assert stage.policy.facts(stage.now).cohorts == 48 // target
    for number in range(0, 48, 3):
        stage.leave(f"m{number}")
    for number in range(16):
        stage.join(f"n{number}")
    assert stage.policy.facts(stage.now).cohorts == 48 // target
    stage.run(10)
    assert all(stage.epoch_heard_by(name) for name in stage.people)
