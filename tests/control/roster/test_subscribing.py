"""How subscriptions begin, go on and end: RFC 6665, on a virtual clock."""

from __future__ import annotations

import pytest

from control.roster.alarms import Alarms
from control.roster.errors import Refusal, SubscriptionRefused
from control.roster.views import Sight, Viewer
from tests.control.roster.people import ALICE, BOB, GHOST
from tests.control.roster.room import VIEWER, Room, only
from tests.control.roster.schema import check


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
    alarms.set("a", 999.0)
    assert list(alarms.ringing(999.0)) == ["a"]
