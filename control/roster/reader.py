"""The subscriber's side of RFC 4575: a picture of the conference, put together from the documents that came.

Knows section 4.6: versions, gaps, and what a document does to the picture. Must never know SIP, or time. A
document that is refused changes nothing.
"""

from __future__ import annotations

from enum import Enum, auto

from control.roster.document import CONFERENCE_INFO
from control.roster.elements import (
    child,
    children,
    conference_of,
    count_of,
    key_of,
    number_of,
    state_of,
    user_of,
)
from control.roster.errors import Malformed
from control.roster.parsing import Element, parse
from control.roster.people import Conference, User


class Outcome(Enum):
    """What became of a document."""

    APPLIED = auto()
    DISCARDED = auto()
    """It is not newer than the picture."""
    GAP = auto()
    """Documents are missing before it: refresh the subscription to get a full one."""


class Picture:
    """What a subscriber knows of one conference."""

    def __init__(self) -> None:
        self.version: int | None = None
        self.conference: Conference | None = None
        self.user_count = 0
        self.users: dict[str, User] = {}
        self.deleted = False
        """The conference has ceased to exist."""

    def apply(self, octets: bytes) -> Outcome:
        """Take a document into the picture.

        Raises:
            Malformed: if it is no conference-info document of this conference.
        """
        root = parse(octets)
        if root.tag != f"{{{CONFERENCE_INFO}}}conference-info":
            raise Malformed("the document is no conference-info")
        version, state, entity = number_of(root.get("version")), state_of(root), key_of(root)
        if self.conference is not None and entity != self.conference.entity:
            raise Malformed(f"the document is of another conference, {entity[:80]!r}")
        if self.version is not None and version <= self.version:
            return Outcome.DISCARDED
        if state == "partial":
            if self.version is None or self.conference is None or version > self.version + 1:
                return Outcome.GAP
            self._change(root, self.conference)
        else:
            self._replace(root, Conference(entity))
            self.deleted = state == "deleted"
        self.version = version
        return Outcome.APPLIED

    def _replace(self, root: Element, blank: Conference) -> None:
        conference, user_count = conference_of(root, blank), count_of(root, 0)
        users = _changes(child(root, "users"), {})
        self.conference, self.user_count = conference, user_count
        self.users = {entity: user for entity, user in users.items() if user is not None}

    def _change(self, root: Element, base: Conference) -> None:
        conference, user_count = conference_of(root, base), count_of(root, self.user_count)
        element = child(root, "users")
        whole = element is not None and state_of(element) != "partial"
        changes = _changes(element, {} if whole else self.users)
        self.conference, self.user_count = conference, user_count
        if whole:
            self.users = {}
        for entity, user in changes.items():
            if user is None:
                self.users.pop(entity, None)
            else:
                self.users[entity] = user


def _changes(users: Element | None, base: dict[str, User]) -> dict[str, User | None]:
    """What the users become; None for who is gone. Nothing is changed yet."""
    changes: dict[str, User | None] = {}
    for element in children(users, "user"):
        entity = key_of(element)
        known = changes.get(entity, base.get(entity))
        changes[entity] = None if state_of(element) == "deleted" else user_of(element, known)
    return changes
