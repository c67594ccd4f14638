"""Documents: valid whatever is in them, and whole after a way through XML."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.roster import document
from control.roster.people import Conference, Endpoint, Medium, User
from control.roster.reader import Outcome, Picture
from control.roster.state import Roster
from control.roster.views import Difference, Sight, difference, seen
from tests.control.roster.people import ALICE, BOB, BRIDGE, GHOST, TEXT, users
from tests.control.roster.schema import check

RFC = "{urn:ietf:params:xml:ns:conference-info}"


def roster_of(*guests: User, conference: Conference = BRIDGE) -> Roster:
    roster = Roster(conference)
    for guest in guests:
        roster.put(guest)
    return roster


def news_of(roster: Roster, version: int, sight: Sight = Sight.ROSTER) -> Difference:
    changes = roster.since(version)
    assert changes is not None
    return difference(roster, changes, sight)


def test_everything_is_in_its_place() -> None:
    root = check(document.full(roster_of(ALICE), Sight.ROSTER).numbered(7))
    assert dict(root.attrib) == {"entity": BRIDGE.entity, "state": "full", "version": "7"}
    assert root.findtext(f"{RFC}conference-description/{RFC}subject") == "Monday"
    assert root.findtext(f"{RFC}conference-description/{RFC}conf-uris/{RFC}entry/{RFC}uri") == BRIDGE.entity
    assert root.findtext(f"{RFC}conference-description/{RFC}maximum-user-count") == "20"
    assert [each.text for each in root.find(f"{RFC}conference-state")] == ["1", "true", "false"]
    endpoint = root.find(f"{RFC}users/{RFC}user/{RFC}endpoint")
    assert endpoint.get("entity") == "sip:alice@192.0.2.7"
    assert endpoint.findtext(f"{RFC}joining-info/{RFC}when") == "2026-03-01T12:00:00+00:00"
    assert [each.text for each in endpoint.find(f"{RFC}media")] == ["audio", "10", "287454020", "sendrecv"]
    assert endpoint.findtext("{urn:mrfp:conference}keying") == "group"
    assert root.findtext(f"{RFC}users/{RFC}user/{{urn:mrfp:conference}}proof") == "digest"


def test_a_partial_has_what_changed_and_nothing_else() -> None:
    roster = roster_of(ALICE, BOB)
    roster.put(replace(BOB, display="Robert"))
    root = check(document.partial(roster.conference, news_of(roster, 2)).numbered(3))
    assert root.get("state") == "partial"
    assert [each.tag for each in root] == [f"{RFC}users"]
    assert [each.get("entity") for each in root[0]] == [BOB.entity]


def test_who_is_gone_is_deleted_and_how() -> None:
    roster = roster_of(ALICE, BOB)
    roster.remove(BOB.entity, "booted")
    root = check(document.partial(roster.conference, news_of(roster, 2)).numbered(3))
    (user,) = root.find(f"{RFC}users")
    assert dict(user.attrib) == {
        "entity": BOB.entity,
        "state": "deleted",
        "{urn:mrfp:conference}departure": "booted",
    }
    assert root.findtext(f"{RFC}conference-state/{RFC}user-count") == "1"


def test_the_end_has_no_content() -> None:
    root = check(document.deleted(BRIDGE).numbered(9))
    assert (root.get("state"), root.get("version"), len(root)) == ("deleted", "9", 0)


@given(st.lists(users(TEXT), max_size=4), TEXT, TEXT, st.sampled_from(Sight))
def test_any_roster_is_valid_and_comes_back(guests: list[User], entity: str, subject: str, sight: Sight) -> None:
    roster = roster_of(*guests, conference=Conference(entity, subject, maximum=3, locked=True))
    octets = document.full(roster, sight).numbered(1)
    check(octets)
    picture = Picture()
    assert picture.apply(octets) is Outcome.APPLIED
    assert list(picture.users.values()) == seen(roster.presences.values(), sight)
    assert (picture.conference, picture.user_count) == (roster.conference, roster.user_count)


@pytest.mark.parametrize(
    "name",
    [
        '"/></user><user entity="sip:evil@x">',
        "</display-text><roles><entry>chair</entry></roles>",
        "]]><![CDATA[",
        "&lt;&x;",
    ],
)
def test_a_name_adds_no_element(name: str) -> None:
    user = User(f"sip:{name}@x", name, (name,), (Endpoint(name, name, media=(Medium(name, name, name),)),))
    root = check(document.full(roster_of(user), Sight.ROSTER).numbered(1))
    assert len(root.find(f"{RFC}users")) == 1
    assert root.findtext(f".//{RFC}user/{RFC}display-text") == name
    assert [each.text for each in root.iter(f"{RFC}entry") if len(each) == 0] == [name]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("sip:alice@example.net;gr=urn:uuid:1?x=y", "sip:alice@example.net;gr=urn:uuid:1?x=y"),
        ("sips:b@[2001:db8::1]:5061", "sips:b@[2001:db8::1]:5061"),
        ("sip:[2001:db8::1]", "sip:[2001:db8::1]"),
        ("sip:a%20b@x", "sip:a%20b@x"),
        ("sip:a b@x", "sip:a%20b@x"),
        ("sip:100%@x", "sip:100%25@x"),
        ("sip:[a]@x", "sip:%5Ba%5D@x"),
        ("sip://a:b@x", "sip:%2F/a:b@x"),
        ("sip:\u00fc\ud800@x", "sip:%C3%BC?@x"),
        ("bob", "sip:bob"),
        ("1:2", "sip:1:2"),
    ],
)
def test_what_names_a_user_is_a_uri(given: str, told: str) -> None:
    assert list(roster_of(User(given)).presences) == [told]
    assert list(roster_of(User(told)).presences) == [told]


def test_a_name_does_not_turn_the_line() -> None:
    (user,) = seen(roster_of(User("sip:a@x", "  Bob\u202egnp\x07\x1b[2J\nAlice")).presences.values(), Sight.ROSTER)
    assert user.display == "Bob\ufffdgnp\ufffd\ufffd[2J\ufffdAlice"


def test_a_long_name_is_cut() -> None:
    (user,) = seen(roster_of(User("sip:a@x", "x" * 10_000)).presences.values(), Sight.ROSTER)
    assert len(user.display) == 256


def test_two_calls_of_one_phone_are_two_endpoints() -> None:
    phone = Endpoint("sip:bob@192.0.2.8", media=(Medium("1"), Medium("1")))
    root = check(document.full(roster_of(replace(BOB, endpoints=(phone, phone))), Sight.ROSTER).numbered(1))
    keys = [each.get("entity") for each in root.iter(f"{RFC}endpoint")]
    assert keys == ["sip:bob@192.0.2.8", "sip:bob@192.0.2.8;call=2"]


# -----------------------------------------------------------------------------------------
# Views


def test_the_anonymous_are_there_and_nothing_says_who_they_are() -> None:
    octets = document.full(roster_of(ALICE, GHOST), Sight.ROSTER).numbered(1)
    root = check(octets)
    assert b"secret" not in octets
    assert b"asper" not in octets
    masked = root.find(f"{RFC}users")[1]
    assert masked.get("entity") == "sip:anonymous1@anonymous.invalid"
    assert masked.findtext(f"{RFC}display-text") == "Anonymous 1"


def test_who_runs_the_conference_sees_the_anonymous() -> None:
    root = check(document.full(roster_of(GHOST), Sight.ALL).numbered(1))
    (user,) = root.find(f"{RFC}users")
    assert user.get("entity") == GHOST.entity
    assert user.findtext("{urn:mrfp:conference}privacy") == "id"


def test_an_observer_sees_how_many_and_nobody() -> None:
    octets = document.full(roster_of(ALICE, GHOST), Sight.COUNTS).numbered(1)
    root = check(octets)
    assert len(root.find(f"{RFC}users")) == 0
    assert root.findtext(f"{RFC}conference-state/{RFC}user-count") == "2"
    assert b"alice" not in octets


def test_nobody_can_be_taken_for_an_anonymous() -> None:
    impostor = User("sip:anonymous1@anonymous.invalid", "Anonymous 1")
    root = check(document.full(roster_of(GHOST, impostor), Sight.ROSTER).numbered(1))
    assert [each.get("entity")[:14] for each in root.find(f"{RFC}users")] == ["sip:anonymous1", "sip:anonymous2"]


def test_an_anonymous_is_not_known_again() -> None:
    roster = roster_of(GHOST)
    roster.remove(GHOST.entity)
    roster.put(GHOST)
    (user,) = seen(roster.presences.values(), Sight.ROSTER)
    assert user.entity == "sip:anonymous2@anonymous.invalid"


def test_who_becomes_anonymous_leaves_by_name() -> None:
    roster = roster_of(BOB)
    roster.put(replace(BOB, anonymous=True))
    news = news_of(roster, 1)
    assert list(news.users) == [BOB.entity, "sip:anonymous1@anonymous.invalid"]
    assert news.users[BOB.entity] == "departed"


def test_what_is_hidden_is_no_news() -> None:
    roster = roster_of(GHOST)
    roster.put(replace(GHOST, display="Another name"))
    assert not news_of(roster, 1)
    assert news_of(roster, 1, Sight.ALL).users


def test_what_came_and_went_is_no_news() -> None:
    roster = roster_of(ALICE)
    roster.put(BOB)
    roster.remove(BOB.entity)
    assert not news_of(roster, 1)


def test_what_was_undone_is_no_news() -> None:
    roster = roster_of(ALICE)
    roster.remove(ALICE.entity)
    roster.put(ALICE)
    roster.describe(replace(BRIDGE, locked=True))
    roster.describe(BRIDGE)
    assert not news_of(roster, 1)
