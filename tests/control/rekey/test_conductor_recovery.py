"""The conductor and a mixer that was cut off, refuses what is no longer so, or never said what it did."""

from __future__ import annotations

import msgspec

from control.member import Member
from mixer import port
from mixer.secret import Secret
from tests.control.rekey.conducting import reachable, settled


def shown(*legs: str, highest: int) -> port.ConferenceStatus:
    """A conference with one cohort under its highest key."""
    cohort = port.CohortStatus(
        cohort=0, suite="", epoch=highest, prepared=[], highest=highest, age_s=0, packets=0, legs=len(legs), bridged=0
    )
    return port.ConferenceStatus(
        conference="c",
        rate=8000,
        keying="group",
        style="mki",
        suite="",
        epoch=highest,
        prepared=[],
        cohorts=[cohort],
        max_talkers=8,
        talkers=[],
        streams=[],
        legs_count=len(legs),
        legs=[leg_status(leg) for leg in legs],
    )


def leg_status(leg: str) -> port.LegStatus:
    words = {"conference": "c", "leg": leg, "codec": "PCMU", "direction": "sendrecv", "keying": "group"}
    words |= {"suite": "", "address": ""}
    empty = {name: words.get(name, 0) for name in port.LegStatus.__struct_fields__}
    return msgspec.convert(empty, port.LegStatus, strict=False)


def test_one_who_left_and_came_again_while_the_mixer_was_away_gets_a_new_leg() -> None:
    """The leg that the mixer has is of the visit before: its keys, and its address."""
    stage = settled("ann", "bob")
    conductor = stage.conductor
    conductor.leave("bob", stage.now)
    stage.join("bob")
    assert conductor.unconfirmed() == {"bob"}
    joiners = [stage.joiner("ann"), stage.joiner("bob")]
    conductor.recover(shown("ann", "bob", highest=0x100), joiners, stage.now)
    commands = [ticket.command for ticket in conductor.tickets()]
    assert commands[0] == port.LegRemove(leg="bob")
    (added,) = [command for command in commands if isinstance(command, port.LegAdd)]
    assert added.leg == "bob"
    assert added.tx == joiners[1].leg.tx


def test_a_removal_that_the_mixer_confirmed_is_done() -> None:
    stage = settled("ann", "bob")
    stage.conductor.leave("bob", stage.now)
    stage.join("bob")
    stage.run(1.0)
    assert not stage.conductor.unconfirmed()


def test_what_follows_a_restart_is_above_what_the_kms_has_made() -> None:
    stage = settled("ann")
    stage.conductor.recover(None, [stage.joiner("ann")], stage.now, above=0x7700)
    stage.members["ann"] = Member("ann", Secret(bytes([1]) * 16), focus="focus", conference="c")
    stage.run(1.0)
    assert stage.members["ann"].epoch == 0x7800


def test_a_bridge_that_was_to_come_with_a_removal_comes_without() -> None:
    """Somebody else has removed the leg; the others must leave the key that the leaver holds all the same."""
    stage = settled("ann", "bob")
    stage.conductor.leave("bob", stage.now)
    removal = stage.conductor.tickets()[0]
    assert removal.command == port.LegRemove(leg="bob", bridge=True)
    stage.conductor.refused(removal, stage.now)
    (bridge,) = [each.command for each in stage.conductor.tickets() if isinstance(each.command, port.KeyBridge)]
    assert bridge == port.KeyBridge(conference="c", cohort=0, on=True)


def test_what_is_retired_is_retired_at_whatever_step() -> None:
    """The mixer never said whether it took the last step: it is told of both, and neither is kept here."""
    stage = settled("ann", "bob")
    stage.join("cat")
    stage.now += 0.2
    stage.conductor.advance(stage.now)
    (activate,) = [t.command for t in stage.conductor.tickets() if isinstance(t.command, port.KeyActivate)]
    assert activate.epoch == 0x101
    stage.now += 6.0
    stage.conductor.advance(stage.now)
    for name in ("ann", "bob", "cat"):
        stage.conductor.leave(name, stage.now)
    retired = [t.command.epoch for t in stage.conductor.tickets() if isinstance(t.command, port.KeyRetire)]
    assert retired == [0x100, 0x101]
    assert not [value for value in reachable(stage.conductor.keychain) if isinstance(value, Secret)]


def test_a_focus_that_ends_keeps_no_key() -> None:
    stage = settled("ann")
    stage.conductor.close()
    assert not stage.conductor.keychain.holds(0, 0x100)
    assert not [value for value in reachable(stage.conductor.keychain) if isinstance(value, Secret)]
