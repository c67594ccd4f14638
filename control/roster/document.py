"""The conference-info document, RFC 4575 section 4, written. What is in it has been chosen before.

Knows the names and the order of the elements. Must never know who reads it: a user given here is told.

What the RFC has no word for stands in a namespace of its own, where its schema lets others add:

    user            m:privacy   "id": it asked for privacy      m:proof      how it proved its identity
    user, deleted   m:departure, an attribute: how it went; the element itself may have no content
    endpoint        m:keying    group or unique                 m:security   how its keys came
"""

from __future__ import annotations

from typing import Any, Final

from lxml import etree

from control.roster.people import Conference, Endpoint, Medium, User
from control.roster.state import Roster
from control.roster.views import Difference, Sight, seen

CONFERENCE_INFO: Final = "urn:ietf:params:xml:ns:conference-info"
"""The namespace of RFC 4575."""

OWN: Final = "urn:mrfp:conference"
"""The namespace of what it has no word for."""

CONTENT_TYPE: Final = "application/conference-info+xml"

Element = Any  # lxml ships no types


class Document:
    """One document, but for its version: that is counted for each subscriber apart, and they are many."""

    def __init__(self, root: Element) -> None:
        root.set("version", "0")
        octets: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
        # The first of its kind is the attribute: within others a quotation mark is escaped.
        self._head, _, self._tail = octets.partition(b' version="0"')

    def numbered(self, version: int) -> bytes:
        """The document as it is sent."""
        return b'%b version="%d"%b' % (self._head, version, self._tail)


def full(roster: Roster, sight: Sight) -> Document:
    """Everything that may be seen."""
    root = _root(roster.conference, "full")
    _add_description(root, roster.conference)
    _add_state(root, roster.conference, roster.user_count)
    users = _add(root, "users", state="full")
    for user in seen(roster.presences.values(), sight):
        _add_user(users, user)
    return Document(root)


def partial(conference: Conference, news: Difference) -> Document:
    """What has changed. A user is told whole, or as deleted."""
    root = _root(conference, "partial")
    if news.description:
        _add_description(root, news.description)
    if news.state:
        _add_state(root, *news.state)
    if news.users:
        users = _add(root, "users", state="partial")
        for entity, found in news.users.items():
            if isinstance(found, User):
                _add_user(users, found)
            else:
                _add(users, "user", entity=entity, state="deleted").set(f"{{{OWN}}}departure", found)
    return Document(root)


def deleted(conference: Conference) -> Document:
    """There is no such conference any more."""
    return Document(_root(conference, "deleted"))


def _root(conference: Conference, state: str) -> Element:
    spaces = {None: CONFERENCE_INFO, "m": OWN}
    return etree.Element(f"{{{CONFERENCE_INFO}}}conference-info", entity=conference.entity, state=state, nsmap=spaces)


def _add_description(root: Element, conference: Conference) -> None:
    description = _add(root, "conference-description")
    _tell(description, "subject", conference.subject)
    entry = _add(_add(description, "conf-uris", state="full"), "entry")
    _tell(entry, "uri", conference.entity)
    _tell(entry, "purpose", "participation")
    _tell(description, "maximum-user-count", conference.maximum)


def _add_state(root: Element, conference: Conference, user_count: int) -> None:
    state = _add(root, "conference-state")
    _tell(state, "user-count", user_count)
    _tell(state, "active", str(conference.active).lower())
    _tell(state, "locked", str(conference.locked).lower())


def _add_user(users: Element, user: User) -> None:
    element = _add(users, "user", entity=user.entity, state="full")
    _tell(element, "display-text", user.display)
    if user.roles:
        roles = _add(element, "roles")
        for role in user.roles:
            _tell(roles, "entry", role)
    for endpoint in user.endpoints:
        _add_endpoint(element, endpoint)
    _tell(element, "privacy", "id" if user.anonymous else None, OWN)
    _tell(element, "proof", user.proof, OWN)


def _add_endpoint(user: Element, endpoint: Endpoint) -> None:
    element = _add(user, "endpoint", entity=endpoint.entity, state="full")
    _tell(element, "display-text", endpoint.display)
    _tell(element, "status", endpoint.status)
    _tell(element, "joining-method", endpoint.joining_method)
    if endpoint.joined:
        _tell(_add(element, "joining-info"), "when", endpoint.joined.isoformat())
    _tell(element, "disconnection-method", endpoint.disconnection_method)
    if endpoint.disconnection_reason:
        _tell(_add(element, "disconnection-info"), "reason", endpoint.disconnection_reason)
    for medium in endpoint.media:
        _add_medium(element, medium)
    _tell(element, "keying", endpoint.keying, OWN)
    _tell(element, "security", endpoint.security, OWN)


def _add_medium(endpoint: Element, medium: Medium) -> None:
    element = _add(endpoint, "media", id=medium.id)
    _tell(element, "type", medium.type)
    _tell(element, "label", medium.label)
    _tell(element, "src-id", medium.ssrc)
    _tell(element, "status", medium.status)


def _add(parent: Element, name: str, **attributes: str) -> Element:
    return etree.SubElement(parent, f"{{{CONFERENCE_INFO}}}{name}", attributes)


def _tell(parent: Element, name: str, value: object, namespace: str = CONFERENCE_INFO) -> None:
    """An element with a text; none, if there is nothing to tell."""
    if value is not None and value != "":
        etree.SubElement(parent, f"{{{namespace}}}{name}").text = str(value)
