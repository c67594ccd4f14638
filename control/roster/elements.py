"""The elements of a conference-info document, read: the inverse of `control.roster.document`.

Knows what each element means, and that a partial one says only what has changed (RFC 4575 section 4.6). Must
never know versions, or where a document came from. Elements that it does not know are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, TypeVar, get_args

from control.roster import people
from control.roster.document import CONFERENCE_INFO, OWN
from control.roster.errors import Malformed
from control.roster.parsing import Element
from control.roster.people import Conference, Endpoint, Medium, User

T = TypeVar("T")

_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}


def state_of(element: Element) -> str:
    """`full`, `partial` or `deleted`."""
    state = element.get("state", "full")
    if state not in {"full", "partial", "deleted"}:
        raise Malformed(f"the state of an element is full, partial or deleted, not {state!r}")
    return str(state)


def key_of(element: Element, name: str = "entity") -> str:
    """What tells it from its siblings."""
    key = element.get(name)
    if key is None:
        raise Malformed(f"an element has no {name}, so nothing tells it from the others")
    return str(key)


def number_of(text: str | None) -> int:
    """An unsigned integer of 32 bits."""
    if text is None or not text.isascii() or not text.isdecimal() or len(text) > 10 or int(text) >> 32:
        raise Malformed(f"a number of 32 bits is wanted, not {(text or '')[:20]!r}")
    return int(text)


def child(element: Element | None, name: str, namespace: str = CONFERENCE_INFO) -> Element | None:
    """The first child of that name."""
    return None if element is None else element.find(f"{{{namespace}}}{name}")


def children(element: Element | None, name: str) -> Iterator[Element]:
    """All children of that name."""
    if element is not None:
        yield from element.iterchildren(f"{{{CONFERENCE_INFO}}}{name}")


def conference_of(root: Element, base: Conference) -> Conference:
    """What is said of the conference as a whole; of what is not said, what was."""
    description, state = child(root, "conference-description"), child(root, "conference-state")
    if description is not None:
        maximum = _text(description, "maximum-user-count", None)
        base = replace(
            base,
            subject=_text(description, "subject", ""),
            maximum=None if maximum is None else number_of(maximum),
        )
    if state is not None:
        base = replace(base, active=_boolean(state, "active", True), locked=_boolean(state, "locked", False))
    return base


def count_of(root: Element, base: int) -> int:
    """How many take part."""
    text = _text(child(root, "conference-state"), "user-count", None)
    return base if text is None else number_of(text)


def user_of(element: Element, base: User | None) -> User:
    """A user as it is after this element; `base` is how it was, if it is known."""
    if base is None or state_of(element) != "partial":
        base = User(key_of(element))
    roles = child(element, "roles")
    return User(
        entity=base.entity,
        display=_text(element, "display-text", base.display),
        roles=base.roles if roles is None else tuple(each.text or "" for each in children(roles, "entry")),
        endpoints=_endpoints(element, base.endpoints),
        anonymous=base.anonymous or child(element, "privacy", OWN) is not None,
        proof=_word(element, "proof", people.Proof, base.proof, OWN),
    )


def _endpoints(user: Element, base: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    known = {each.entity: each for each in base}
    for element in children(user, "endpoint"):
        key = key_of(element)
        if state_of(element) == "deleted":
            known.pop(key, None)
        else:
            known[key] = _endpoint(element, known.get(key))
    return tuple(known.values())


def _endpoint(element: Element, base: Endpoint | None) -> Endpoint:
    if base is None or state_of(element) != "partial":
        base = Endpoint(key_of(element))
    media = {each.id: each for each in base.media} | {
        each.id: each for each in map(_medium, children(element, "media"))
    }
    return Endpoint(
        entity=base.entity,
        display=_text(element, "display-text", base.display),
        status=_word(element, "status", people.Status, base.status),
        joining_method=_word(element, "joining-method", people.Joining, base.joining_method),
        joined=_time(child(element, "joining-info"), "when", base.joined),
        disconnection_method=_word(element, "disconnection-method", people.Departure, base.disconnection_method),
        disconnection_reason=_text(child(element, "disconnection-info"), "reason", base.disconnection_reason),
        media=tuple(media.values()),
        keying=_word(element, "keying", people.Keying, base.keying, OWN),
        security=_word(element, "security", people.Security, base.security, OWN),
    )


def _medium(element: Element) -> Medium:
    ssrc = _text(element, "src-id", None)
    return Medium(
        id=key_of(element, "id"),
        type=_text(element, "type", ""),
        label=_text(element, "label", ""),
        ssrc=None if ssrc is None else number_of(ssrc),
        status=_word(element, "status", people.MediumStatus, "sendrecv"),
    )


def _text(element: Element | None, name: str, base: T) -> str | T:
    found = child(element, name)
    return base if found is None else str(found.text or "")


def _word(element: Element, name: str, words: object, base: T, namespace: str = CONFERENCE_INFO) -> Any | T:
    """One of the words that may stand there."""
    found = child(element, name, namespace)
    if found is None:
        return base
    if found.text not in get_args(words):
        raise Malformed(f"the {name} is one of {', '.join(get_args(words))}, not {(found.text or '')[:40]!r}")
    return found.text


def _boolean(element: Element, name: str, base: bool) -> bool:
    text = _text(element, name, None)
    if text is None:
        return base
    if text not in _BOOLEANS:
        raise Malformed(f"{name} is true or false, not {text[:20]!r}")
    return _BOOLEANS[text]


def _time(element: Element | None, name: str, base: datetime | None) -> datetime | None:
    text = _text(element, name, None)
    if text is None:
        return base
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise Malformed(f"the time {name} is a date and time of XML, not {text[:40]!r}") from error
