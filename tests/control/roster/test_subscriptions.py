"""Who is told what, and when: RFC 6665 and the rate of RFC 4575 section 3.9, on a virtual clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from control.roster import state
from control.roster.alarms import Alarms
from control.roster.errors import Refusal, SubscriptionRefused
from control.roster.people import User
from control.roster.reader import Outcome, Picture
from control.roster.state import Presence, Roster
from control.roster.subscriptions import Notice, Subscriptions
from control.roster.views import Sight, Viewer
from tests.control.roster.people import ALICE, BOB, BRIDGE, GHOST
from tests.control.roster.schema import check

VIEWER = Viewer("sip:viewer@example.net")


class Room:
    """A roster with one notifier."""

    def __init__(self, *guests: User, limit: int = 10, limit_each: int = 10) -> None:
        self.roster = Roster(BRIDGE)
        for guest in guests:
            self.roster.put(guest)
        self.notifier = Subscriptions(self.roster, limit=limit, limit_each=limit_each)

    def put(self, user: User, now: float) -> None:
        self.roster.put(user)
        self.notifier.changed(now)

    def told(self) -> list[tuple[str, str, int]]:
        """What is to be sent: for whom, the state of the document, its version."""
        roots = [(notice.name, check(notice.body)) for notice in self.notifier.notices()]
        return [(str(name), root.get("state"), int(root.get("version"))) for name, root in roots]


class Watched(Roster):
    """A roster that counts how often somebody looks at all of it."""

    looks = 0

    @property
    def presences(self) -> Mapping[str, Presence]:
        """Everybody."""
        self.looks += 1
        return super().presences


def only(notices: list[Notice]) -> Notice:
    (notice,) = notices
    return notice


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


def test_a_refresh_gives_everything_with_the_next_version() -> None:
    room = Room()
    room.notifier.subscribe("a", VIEWER, expires_s=600, now=0.0)
    room.put(ALICE, 1.0)
    room.notifier.subscribe("a", VIEWER, expires_s=600, now=2.0)
    assert room.told() == [("a", "full", 1), ("a", "full", 2)]
    room.notifier.advance(7.0)
    assert room.told() == []
    assert room.notifier.due() == 602.0
    assert len(room.notifier) == 1


def test_a_refresh_changes_what_is_seen() -> None:
    room = Room(GHOST)
    room.notifier.subscribe("a", Viewer("sip:v@x", Sight.ALL), expires_s=600, now=0.0)
    room.notifier.subscribe("a", Viewer("sip:v@x", Sight.ROSTER), expires_s=600, now=1.0)
    before, after = room.notifier.notices()
    assert b"ghost" in before.body
    assert b"ghost" not in after.body


@pytest.mark.parametrize("known", [False, True])
def test_with_nothing_granted_it_is_the_last(known: bool) -> None:
    room = Room(ALICE)
    if known:
        room.notifier.subscribe("a", VIEWER, expires_s=600, now=0.0)
        room.told()
    assert room.notifier.subscribe("a", VIEWER, expires_s=0, now=1.0) == 0
    notice = only(room.notifier.notices())
    assert notice.subscription_state == "terminated;reason=timeout"
    assert check(notice.body).get("state") == "full"
    assert (len(room.notifier), room.notifier.due()) == (0, None)


def test_it_ends_at_its_time() -> None:
    room = Room(ALICE)
    room.notifier.subscribe("a", VIEWER, expires_s=7, now=0.0)
    room.told()
    room.notifier.advance(6.9)
    assert room.notifier.due() == 7.0
    room.notifier.advance(7.0)
    assert only(room.notifier.notices()).subscription_state == "terminated;reason=timeout"
    room.put(BOB, 20.0)
    assert room.told() == []


def test_it_ends_before_its_quiet_is_over() -> None:
    room = Room()
    room.notifier.subscribe("a", VIEWER, expires_s=3, now=0.0)
    room.told()
    room.put(ALICE, 1.0)
    room.notifier.advance(3.0)
    notice = only(room.notifier.notices())
    assert notice.subscription_state == "terminated;reason=timeout"
    assert b"alice" in notice.body


def test_no_more_than_an_hour_is_granted() -> None:
    room = Room()
    assert room.notifier.subscribe("a", VIEWER, expires_s=1e9, now=0.0) == 3600
    assert only(room.notifier.notices()).subscription_state == "active;expires=3600"


def test_who_does_not_answer_is_forgotten() -> None:
    room = Room()
    room.notifier.subscribe("a", VIEWER, expires_s=600, now=0.0)
    room.told()
    room.notifier.failed("a")
    room.notifier.failed("nobody")
    room.put(ALICE, 10.0)
    assert (room.told(), room.notifier.due(), len(room.notifier)) == ([], None, 0)


def test_who_is_shut_out_sees_no_more() -> None:
    room = Room(ALICE)
    room.notifier.subscribe("a", VIEWER, expires_s=600, now=0.0)
    room.told()
    room.notifier.end("a", "rejected")
    room.notifier.end("nobody", "rejected")
    notice = only(room.notifier.notices())
    assert (notice.name, notice.body, notice.subscription_state) == ("a", b"", "terminated;reason=rejected")
    room.put(BOB, 10.0)
    assert room.told() == []


def test_the_end_is_told_to_all_and_nobody_comes_after() -> None:
    room = Room(ALICE)
    room.notifier.subscribe("a", VIEWER, expires_s=600, now=0.0)
    room.notifier.subscribe("b", VIEWER, expires_s=600, now=1.0)
    room.told()
    room.notifier.close(2.0)
    notices = room.notifier.notices()
    assert {notice.subscription_state for notice in notices} == {"terminated;reason=noresource"}
    assert [check(notice.body).get("state") for notice in notices] == ["deleted", "deleted"]
    with pytest.raises(SubscriptionRefused) as refused:
        room.notifier.subscribe("c", VIEWER, expires_s=600, now=3.0)
    assert refused.value.refusal is Refusal.CLOSED
    assert (room.notifier.notices(), room.notifier.due()) == ([], None)


def test_there_are_so_many_and_no_more() -> None:
    room = Room(limit=2)
    room.notifier.subscribe("a", VIEWER, expires_s=600, now=0.0)
    room.notifier.subscribe("b", VIEWER, expires_s=600, now=0.0)
    with pytest.raises(SubscriptionRefused, match="already") as refused:
        room.notifier.subscribe("c", VIEWER, expires_s=600, now=0.0)
    assert refused.value.refusal is Refusal.FULL
    assert room.notifier.subscribe("c", VIEWER, expires_s=0, now=0.0) == 0
    room.notifier.subscribe("a", VIEWER, expires_s=600, now=1.0)
    room.notifier.failed("b")
    room.notifier.subscribe("c", VIEWER, expires_s=600, now=1.0)
    assert len(room.notifier) == 2


def test_nobody_takes_all_of_them() -> None:
    room = Room(limit_each=1)
    room.notifier.subscribe("a", VIEWER, expires_s=600, now=0.0)
    room.notifier.subscribe("a", VIEWER, expires_s=600, now=0.0)
    with pytest.raises(SubscriptionRefused) as refused:
        room.notifier.subscribe("b", VIEWER, expires_s=600, now=0.0)
    assert refused.value.refusal is Refusal.TOO_MANY
    room.notifier.subscribe("b", Viewer("sip:other@x"), expires_s=600, now=0.0)
    room.notifier.subscribe("a", VIEWER, expires_s=0, now=0.0)
    room.notifier.subscribe("c", VIEWER, expires_s=600, now=0.0)


def test_many_refreshes_leave_nothing_behind() -> None:
    alarms = Alarms()
    for at in range(1000):
        alarms.set("a", float(at))
    assert len(alarms) < 100
    assert alarms.due() == 999.0
    assert list(alarms.ringing(998.0)) == []
    assert list(alarms.ringing(999.0)) == ["a"]
    assert alarms.due() is None


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
