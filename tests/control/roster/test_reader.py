"""The subscriber's picture: RFC 4575 section 4.6, and what no peer may do to it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.roster import document, parsing
from control.roster.errors import Malformed
from control.roster.people import Endpoint, Medium, User
from control.roster.reader import Outcome, Picture
from control.roster.state import Roster
from control.roster.views import Sight
from tests.control.roster.people import ALICE, BOB, BRIDGE


def info(inside: str = "", *, state: str = "partial", version: object = 2, head: str = "") -> bytes:
    """A document as another focus might write it."""
    return (
        f'{head}<i:conference-info xmlns:i="urn:ietf:params:xml:ns:conference-info" xmlns:m="urn:mrfp:conference"'
        f' entity="{BRIDGE.entity}" state="{state}" version="{version}">{inside}</i:conference-info>'
    ).encode()


def users(inside: str, state: str = "partial") -> str:
    return f'<i:users state="{state}">{inside}</i:users>'


@pytest.fixture
def picture() -> Picture:
    """Alice and Bob, at version 1."""
    roster = Roster(BRIDGE)
    roster.put(ALICE)
    roster.put(BOB)
    found = Picture()
    assert found.apply(document.full(roster, Sight.ROSTER).numbered(1)) is Outcome.APPLIED
    return found


def test_a_partial_needs_a_full_before_it() -> None:
    picture = Picture()
    assert picture.apply(info(version=1)) is Outcome.GAP
    assert picture.version is None


def test_what_is_not_newer_is_discarded(picture: Picture) -> None:
    gone = users(f'<i:user entity="{BOB.entity}" state="deleted"/>')
    assert picture.apply(info(gone, version=1)) is Outcome.DISCARDED
    assert picture.apply(info(state="full", version=0)) is Outcome.DISCARDED
    assert BOB.entity in picture.users


def test_a_gap_is_told_until_a_full_one_comes(picture: Picture) -> None:
    assert picture.apply(info(version=3)) is Outcome.GAP
    assert picture.apply(info(version=4)) is Outcome.GAP
    assert picture.version == 1
    assert picture.apply(info(users("", "full"), state="full", version=5)) is Outcome.APPLIED
    assert picture.users == {}
    assert picture.apply(info(version=6)) is Outcome.APPLIED


def test_a_partial_endpoint_changes_only_what_it_says(picture: Picture) -> None:
    inside = (
        f'<i:user entity="{ALICE.entity}" state="partial"><i:endpoint entity="sip:alice@192.0.2.7" state="partial">'
        '<i:status>on-hold</i:status><i:media id="1"><i:type>audio</i:type><i:status>inactive</i:status></i:media>'
        "</i:endpoint></i:user>"
    )
    assert picture.apply(info(users(inside))) is Outcome.APPLIED
    (endpoint,) = ALICE.endpoints
    held = replace(endpoint, status="on-hold", media=(Medium("1", status="inactive"),))
    assert picture.users[ALICE.entity] == replace(ALICE, endpoints=(held,))
    assert picture.users[BOB.entity] == BOB


def test_endpoints_come_and_go(picture: Picture) -> None:
    inside = (
        f'<i:user entity="{BOB.entity}" state="partial"><i:endpoint entity="sip:bob@192.0.2.8" state="deleted"/>'
        '<i:endpoint entity="sip:bob@new"><i:status>alerting</i:status></i:endpoint></i:user>'
    )
    picture.apply(info(users(inside)))
    assert picture.users[BOB.entity].endpoints == (Endpoint("sip:bob@new", status="alerting"),)


def test_full_users_in_a_partial_replace_all(picture: Picture) -> None:
    picture.apply(info(users('<i:user entity="sip:c@x"/>', "full")))
    assert picture.users == {"sip:c@x": User("sip:c@x")}
    assert (picture.conference, picture.user_count) == (BRIDGE, 2)


def test_who_is_anonymous_stays_so_until_all_of_it_is_told(picture: Picture) -> None:
    picture.apply(info(users('<i:user entity="sip:c@x"><m:privacy>id</m:privacy></i:user>')))
    picture.apply(info(users('<i:user entity="sip:c@x" state="partial"/>'), version=3))
    assert picture.users["sip:c@x"].anonymous
    picture.apply(info(users('<i:user entity="sip:c@x"/>'), version=4))
    assert not picture.users["sip:c@x"].anonymous


def test_a_partial_user_that_is_not_known_is_new(picture: Picture) -> None:
    picture.apply(info(users('<i:user entity="sip:c@x" state="partial"><i:display-text>C</i:display-text></i:user>')))
    assert picture.users["sip:c@x"] == User("sip:c@x", "C")


def test_the_end_empties_the_picture(picture: Picture) -> None:
    assert picture.apply(info(state="deleted")) is Outcome.APPLIED
    assert (picture.deleted, picture.users) == (True, {})


def test_strange_elements_are_passed_over(picture: Picture) -> None:
    picture.apply(info('<x:news xmlns:x="urn:x"><x:user/></x:news><!-- --><?pi?>'))
    assert list(picture.users) == [ALICE.entity, BOB.entity]


BILLION = "<!DOCTYPE x [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;'>]>"
FETCH = '<!DOCTYPE x SYSTEM "http://192.0.2.1/x.dtd">'
NAME = f'<i:user entity="{BOB.entity}"><i:display-text>%s</i:display-text></i:user>'


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"conference-info",
        b"<conference-info/>",
        info()[:-1],
        info(head=BILLION),
        info(users(NAME % "&b;"), head=BILLION),
        info(users(NAME % "&f;"), head="<!DOCTYPE x [<!ENTITY f SYSTEM 'file:///etc/hostname'>]>"),
        info(head=FETCH),
        info(version="x"),
        info(version=-1),
        info(version=2**32),
        info(version="٢"),
        info(state="gone"),
        info().replace(b' version="2"', b""),
        info().replace(b"bridge", b"another"),
        info(users("<i:user/>")),
        info(users(f'<i:user entity="{BOB.entity}" state="deleted"/><i:user entity="sip:c@x" state="?"/>')),
        info(users('<i:user entity="sip:c@x"><i:endpoint/></i:user>')),
        info(users('<i:user entity="sip:c@x"><i:endpoint entity=""><i:status>away</i:status></i:endpoint></i:user>')),
        info("<i:conference-state><i:user-count>9</i:user-count><i:locked>maybe</i:locked></i:conference-state>"),
        info("<i:conference-description><i:maximum-user-count>many</i:maximum-user-count></i:conference-description>"),
        info(head="<?xml version='1.0' encoding='UTF-16'?>" + BILLION).decode().encode("utf-16"),
        info("<i:x>" * 500 + "</i:x>" * 500),
    ],
)
def test_what_is_refused_changes_nothing(picture: Picture, octets: bytes) -> None:
    before = (picture.version, picture.conference, picture.user_count, dict(picture.users))
    with pytest.raises(Malformed):
        picture.apply(octets)
    assert (picture.version, picture.conference, picture.user_count, picture.users) == before


def test_a_document_has_its_bounds(picture: Picture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "MAX_OCTETS", 200)
    with pytest.raises(Malformed, match="200 are read"):
        picture.apply(info(" " * 200))


SAMPLE = info(users(NAME % "Bob") + "<i:conference-state><i:user-count>9</i:user-count></i:conference-state>")


@given(st.binary(max_size=64))
def test_any_octets_are_read_or_refused(octets: bytes) -> None:
    with pytest.raises(Malformed):
        Picture().apply(octets)


@given(st.integers(0, len(SAMPLE)), st.integers(0, 12), st.binary(max_size=6))
def test_any_damage_is_read_or_refused(at: int, length: int, octets: bytes) -> None:
    picture = Picture()
    picture.apply(info(users(""), state="full", version=1))
    try:
        picture.apply(SAMPLE[:at] + octets + SAMPLE[at + length :])
    except Malformed:
        assert (picture.version, picture.users) == (1, {})
