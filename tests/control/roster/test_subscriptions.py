"""What subscribers are told, and when: the rate of RFC 4575 section 3.9, on a virtual clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from control.roster import state
from control.roster.people import User
from control.roster.reader import Outcome, Picture
from control.roster.state import Presence, Roster
from control.roster.subscriptions import Subscriptions
from control.roster.views import Sight, Viewer
from tests.control.roster.people import ALICE, BOB, BRIDGE, GHOST
from tests.control.roster.room import VIEWER, Room, only
from tests.control.roster.schema import check


class Watched(Roster):
    """A roster that counts how often somebody looks at all of it."""

    looks = 0

    @property
    def presences(self) -> Mapping[str, Presence]:
        """Everybody."""
        self.looks += 1
        return super().presences


def test_the_first_is_full_and_at_once() -> None:
    room = Room(ALICE)
    assert room.notifier.subscribe("a", VIEWER, expires_s=600, now=10.0) == 600
    notice = only(room.notifier.notices())
    picture = Picture()
    assert picture.apply(notice.body) is Outcome.APPLIED
    assert list(picture.users) == [ALICE.entity]
    assert notice.subscription_state == "active;expires=600"
    assert room.notifier.notices() == []


def test_after_quiet_a_change_is_told_at_once() -> None:
    room = Room()
    room.notifier.subscribe("a", VIEWER, expires_s=600, now=0.0)
    room.notifier.advance(5.0)
    room.told()
    room.put(ALICE, 7.5)
    notice = only(room.notifier.notices())
    assert check(notice.body).get("state") == "partial"
    assert notice.subscription_state == "active;expires=592"
    room.notifier.advance(12.5)
    assert room.told() == []


def test_within_five_seconds_changes_wait_and_are_told_together() -> None:
    room = Room()
    room.notifier.subscribe("a", VIEWER, expires_s=600, now=0.0)
    room.told()
    room.put(ALICE, 1.0)
    room.put(BOB, 4.9)
    assert room.told() == []
    assert room.notifier.due() == 5.0
    room.notifier.advance(4.99)
    assert room.told() == []
    room.notifier.advance(5.0)
    body = only(room.notifier.notices()).body
    assert check(body).get("version") == "2"
    assert body.count(b"<user ") == 2


def test_each_has_its_own_five_seconds_and_versions() -> None:
    room = Room()
    room.notifier.subscribe("a", VIEWER, expires_s=600, now=0.0)
    room.put(ALICE, 6.0)
    room.notifier.subscribe("b", VIEWER, expires_s=600, now=7.0)
    assert room.told() == [("a", "full", 1), ("a", "partial", 2), ("b", "full", 1)]
    room.put(BOB, 8.0)
    room.notifier.advance(11.0)
    assert room.told() == [("a", "partial", 3)]
    room.notifier.advance(12.0)
    assert room.told() == [("b", "partial", 2)]


def test_a_change_that_is_not_seen_is_not_told_and_costs_no_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "HISTORY", 1)
    room = Room(ALICE)
    room.notifier.subscribe("a", Viewer("sip:v@x", Sight.COUNTS), expires_s=600, now=0.0)
    room.told()
    room.put(replace(ALICE, display="Alicia"), 6.0)
    assert room.told() == []
    room.put(BOB, 6.5)
    assert room.told() == [("a", "partial", 2)]


def test_who_came_and_went_is_not_told() -> None:
    room = Room(ALICE)
    room.notifier.subscribe("a", VIEWER, expires_s=600, now=0.0)
    room.told()
    room.put(BOB, 1.0)
    room.roster.remove(BOB.entity)
    room.notifier.changed(2.0)
    room.notifier.advance(5.0)
    assert room.told() == []


def test_who_went_and_came_back_is_told_as_it_is_now() -> None:
    room = Room(BOB)
    room.notifier.subscribe("a", VIEWER, expires_s=600, now=0.0)
    room.told()
    room.roster.remove(BOB.entity)
    room.put(replace(BOB, display="Robert"), 1.0)
    room.notifier.advance(5.0)
    body = only(room.notifier.notices()).body
    assert b"Robert" in body
    assert b"deleted" not in body


def test_who_is_far_behind_is_told_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "HISTORY", 2)
    room = Room(ALICE)
    room.notifier.subscribe("a", VIEWER, expires_s=600, now=0.0)
    room.told()
    room.put(BOB, 1.0)
    room.put(GHOST, 2.0)
    room.roster.remove(ALICE.entity)
    room.notifier.advance(5.0)
    body = only(room.notifier.notices()).body
    assert check(body).get("state") == "full"
    assert b"alice" not in body


def test_a_change_costs_by_what_changed() -> None:
    """Of ten thousand users only the new one is looked at, for all who subscribe."""
    roster = Watched(BRIDGE)
    for number in range(10_000):
        roster.put(User(f"sip:{number}@x"))
    notifier = Subscriptions(roster)
    for name in "abc":
        notifier.subscribe(name, VIEWER, expires_s=600, now=0.0)
    assert roster.looks == 1
    notifier.advance(5.0)
    notifier.notices()
    roster.put(BOB)
    notifier.changed(6.0)
    bodies = [notice.body for notice in notifier.notices()]
    assert roster.looks == 1
    assert len(bodies) == 3
    assert all(len(body) < 1000 for body in bodies)
