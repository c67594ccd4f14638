"""Guests of the conferences of these tests, and any that Hypothesis can think of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

from hypothesis import strategies as st

from control.roster import people
from control.roster.people import Conference, Endpoint, Medium, User

BRIDGE = Conference("sips:bridge@example.net", subject="Monday", maximum=20)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

ALICE = User(
    "sip:alice@example.net",
    "Alice",
    roles=("chair",),
    endpoints=(
        Endpoint(
            "sip:alice@192.0.2.7",
            joining_method="dialed-in",
            joined=NOON,
            media=(Medium("1", label="10", ssrc=287454020),),
            keying="group",
            security="sdes",
        ),
    ),
    proof="digest",
)
BOB = User("sip:bob@example.net", "Bob", endpoints=(Endpoint("sip:bob@192.0.2.8"),))
GHOST = User(
    "sip:ghost@secret.example",
    "Casper secret",
    endpoints=(Endpoint("sip:casper@secret.example:5061", "secret phone", disconnection_reason="secret"),),
    anonymous=True,
    proof="digest",
)


def word(words: object) -> st.SearchStrategy[str]:
    """One of the words of a Literal."""
    return st.sampled_from(get_args(words))


NASTY = ["]]>", "<!--", "&amp;", "\x00\ufffe", "\r\n", " a ", "'\"", "//[", "%zz"]
TEXT = st.text(st.characters(), max_size=8) | st.sampled_from(NASTY)

MEDIA = st.builds(
    Medium,
    id=st.sampled_from("12"),
    type=st.sampled_from(["audio", "video"]),
    label=TEXT,
    ssrc=st.none() | st.integers(0, 2**32 - 1),
    status=word(people.MediumStatus),
)
ENDPOINTS = st.builds(
    Endpoint,
    entity=st.sampled_from(["sip:a@[2001:db8::1]", "sip:b@192.0.2.1;transport=tls"]) | TEXT,
    display=TEXT,
    status=word(people.Status),
    joining_method=st.none() | word(people.Joining),
    joined=st.none() | st.datetimes(timezones=st.just(UTC)),
    disconnection_method=st.none() | word(people.Departure),
    disconnection_reason=TEXT,
    media=st.lists(MEDIA, max_size=3).map(tuple),
    keying=st.none() | word(people.Keying),
    security=st.none() | word(people.Security),
)
NAMES = ["sip:a@x", "sip:b@x", "sip:c@x", "sip:anonymous1@anonymous.invalid", "tel:+15551234"]


def users(entities: st.SearchStrategy[str]) -> st.SearchStrategy[User]:
    """Any user of these names."""
    return st.builds(
        User,
        entity=entities,
        display=TEXT,
        roles=st.lists(TEXT, max_size=2).map(tuple),
        endpoints=st.lists(ENDPOINTS, max_size=3).map(tuple),
        anonymous=st.booleans(),
        proof=st.none() | word(people.Proof),
    )
