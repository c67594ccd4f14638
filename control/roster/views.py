"""What a viewer may see of a roster, and what has changed in its eyes.

Knows who is hidden from whom. Must never know XML, versions of documents, or time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from control.roster.people import Conference, Departure, Endpoint, User
from control.roster.state import Change, Presence, Roster
from control.roster.tidy import ANONYMOUS


class Sight(StrEnum):
    """How much may be seen."""

    ALL = "all"
    """Everything, also who the anonymous are: for who runs the conference."""
    ROSTER = "roster"
    """Everybody; the anonymous as such."""
    COUNTS = "counts"
    """The conference, and how many are in it; nobody by name."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who subscribes: its proved identity, and what it may see."""

    entity: str
    sight: Sight = Sight.ROSTER


@dataclass(frozen=True, slots=True)
class Difference:
    """What is to be told: users as they are now, or how they went. None is what has not changed."""

    description: Conference | None
    state: tuple[Conference, int] | None
    users: dict[str, User | Departure]

    def __bool__(self) -> bool:
        return bool(self.description or self.state or self.users)


def seen(presences: Iterable[Presence], sight: Sight) -> list[User]:
    """These users, as they may be seen."""
    return [user for each in presences if (user := _face(each, sight)) is not None]


def difference(roster: Roster, changes: Sequence[Change], sight: Sight) -> Difference:
    """What the latest changes of a roster come to in these eyes. What came and went, or was undone, is nothing.

    The cost is that of the changes, however many are on the roster.
    """
    if not changes:
        return Difference(None, None, {})
    now, was = roster.conference, changes[0].conference
    state, before = (now, roster.user_count), (was, changes[0].user_count)
    return Difference(
        description=now if _description(now) != _description(was) else None,
        state=state if _state(*state) != _state(*before) else None,
        users=_users(changes, sight),
    )


def _users(changes: Sequence[Change], sight: Sight) -> dict[str, User | Departure]:
    was: dict[str, User | None] = {}
    now: dict[str, User | Departure] = {}
    for change in changes:
        if change.before and (user := _face(change.before, sight)):
            was.setdefault(user.entity, user)
            now[user.entity] = change.reason
        if change.after and (user := _face(change.after, sight)):
            was.setdefault(user.entity, None)
            now[user.entity] = user
    return {entity: found for entity, found in now.items() if _is_news(was[entity], found)}


def _is_news(was: User | None, now: User | Departure) -> bool:
    return now != was if isinstance(now, User) else was is not None


def _face(presence: Presence, sight: Sight) -> User | None:
    if sight is Sight.COUNTS:
        return None
    if sight is Sight.ROSTER and presence.user.anonymous:
        return _masked(presence.user, presence.alias)
    return presence.user


def _masked(user: User, alias: int) -> User:
    """Nothing of it that says who it is: RFC 4575 section 5.6. No other entity can be like this one:
    whoever claims to be at that host is masked as well."""
    entity = f"sip:anonymous{alias}@{ANONYMOUS}"
    endpoints = tuple(_masked_endpoint(each, entity, at) for at, each in enumerate(user.endpoints, 1))
    return replace(user, entity=entity, display=f"Anonymous {alias}", endpoints=endpoints)


def _masked_endpoint(endpoint: Endpoint, entity: str, at: int) -> Endpoint:
    return replace(endpoint, entity=f"{entity};call={at}", display="", disconnection_reason="")


def _description(conference: Conference) -> tuple[str, int | None]:
    return conference.subject, conference.maximum


def _state(conference: Conference, user_count: int) -> tuple[int, bool, bool]:
    return user_count, conference.active, conference.locked
