"""The roster: what is a change, and what is none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from control.roster import state
from control.roster.people import Endpoint, Status, User
from control.roster.state import Roster
from tests.control.roster.people import ALICE, BOB, BRIDGE, GHOST


def test_every_change_counts_once() -> None:
    roster = Roster(BRIDGE)
    roster.put(ALICE)
    roster.put(ALICE)
    roster.describe(BRIDGE)
    roster.remove(BOB.entity)
    assert roster.version == 1
    roster.describe(replace(BRIDGE, locked=True))
    roster.put(replace(ALICE, display="Alicia"))
    roster.remove(ALICE.entity)
    assert roster.version == 4


def test_the_uri_of_a_conference_never_changes() -> None:
    roster = Roster(BRIDGE)
    roster.describe(replace(BRIDGE, entity="sip:other@example.net", subject="Tuesday"))
    assert roster.conference == replace(BRIDGE, subject="Tuesday")


@pytest.mark.parametrize(
    ("statuses", "counted"),
    [
        ((), 0),
        (("alerting",), 0),
        (("dialing-out", "disconnected"), 0),
        (("connected",), 1),
        (("on-hold",), 1),
        (("disconnected", "muted-via-focus"), 1),
        (("connected", "connected"), 1),
    ],
)
def test_who_takes_part_is_counted_once(statuses: tuple[Status, ...], counted: int) -> None:
    roster = Roster(BRIDGE)
    roster.put(User("sip:a@x"))
    roster.put(User("sip:a@x", endpoints=tuple(Endpoint("sip:a@h", status=status) for status in statuses)))
    assert roster.user_count == counted
    roster.remove("sip:a@x")
    assert roster.user_count == 0


def test_changes_are_told_oldest_first() -> None:
    roster = Roster(BRIDGE)
    roster.put(ALICE)
    roster.put(BOB)
    roster.remove(ALICE.entity, "booted")
    changes = roster.since(1)
    assert changes is not None
    assert [(each.before and each.before.user, each.after and each.after.user) for each in changes] == [
        (None, BOB),
        (ALICE, None),
    ]
    assert [each.user_count for each in changes] == [1, 2]
    assert changes[1].reason == "booted"
    assert roster.since(3) == ()
    assert roster.since(4) is None


def test_what_is_long_ago_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "HISTORY", 1)
    roster = Roster(BRIDGE)
    roster.put(ALICE)
    roster.put(BOB)
    assert roster.since(0) is None
    assert roster.since(1) is not None


def test_an_alias_is_for_one_stay() -> None:
    roster = Roster(BRIDGE)
    roster.put(ALICE)
    assert roster.presences[ALICE.entity].alias == 0
    roster.put(GHOST)
    roster.put(replace(GHOST, display="still the same"))
    assert roster.presences[GHOST.entity].alias == 1
    roster.put(replace(GHOST, anonymous=False))
    roster.put(GHOST)
    assert roster.presences[GHOST.entity].alias == 2
    roster.remove(GHOST.entity)
    roster.put(GHOST)
    assert roster.presences[GHOST.entity].alias == 3
