"""What a peer calls itself, made fit to be told: any text becomes text, any URI a URI, any keys distinct.

Knows what XML 1.0 and the schema of RFC 4575 can carry. Must never know what the words mean. Nothing here
raises: a phone with a strange name is a phone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC
from typing import Final
from urllib.parse import quote

from control.roster.people import Conference, Endpoint, Medium, User

MAX_TEXT: Final = 256
"""Characters of a name; longer ones are cut."""

ANONYMOUS: Final = "anonymous.invalid"
"""The host of those who do not say who they are, RFC 4575 section 5.6."""

_UNFIT: Final = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
"""Control characters, what turns the direction of writing, and what is no character in XML."""

_SCHEME: Final = re.compile("[A-Za-z][A-Za-z0-9+.-]*")
_LONE_PERCENT: Final = re.compile("%(?![0-9A-Fa-f]{2})")
_ADDRESS: Final = re.compile("(^|@)%5B([0-9A-Fa-f]*:[0-9A-Fa-f:.]+)%5D")


def uri(given: str) -> str:
    """A URI of it: what may not stand in one is escaped. A URI stays as it is."""
    scheme, colon, rest = given.partition(":")
    if not colon or not _SCHEME.fullmatch(scheme):
        scheme, rest = "sip", given
    if rest.startswith("//"):  # would begin a host with a port, which a user part of SIP may not be
        rest = f"%2F{rest[1:]}"
    escaped = quote(_LONE_PERCENT.sub("%25", rest), safe="%:/?@!$&'()*+,;=-._~", errors="replace")
    return f"{scheme}:{_ADDRESS.sub(_bracketed, escaped)}"


def _bracketed(address: re.Match[str]) -> str:
    """IPv6 as RFC 3261 writes it, although RFC 3986, and so some validators, want no bracket there."""
    return f"{address[1]}[{address[2]}]"


def text(given: str) -> str:
    """Printable text of it."""
    return _UNFIT.sub("\ufffd", given[:MAX_TEXT]).strip()


def conference(given: Conference) -> Conference:
    """The conference in words that can be told."""
    return replace(given, entity=uri(given.entity), subject=text(given.subject))


def user(given: User) -> User:
    """The user in words that can be told. Who comes from nowhere is anonymous, even without asking."""
    entity = uri(given.entity)
    keys = _distinct(text(each.entity) for each in given.endpoints)
    return replace(
        given,
        entity=entity,
        display=text(given.display),
        roles=tuple(role for role in map(text, given.roles) if role),
        endpoints=tuple(_endpoint(each, key) for each, key in zip(given.endpoints, keys, strict=True)),
        anonymous=given.anonymous or ANONYMOUS in entity.lower(),
    )


def _endpoint(given: Endpoint, key: str) -> Endpoint:
    keys = _distinct(text(each.id) for each in given.media)
    return replace(
        given,
        entity=key,
        display=text(given.display),
        joined=given.joined and given.joined.astimezone(UTC).replace(microsecond=0),
        disconnection_reason=text(given.disconnection_reason),
        media=tuple(_medium(each, key) for each, key in zip(given.media, keys, strict=True)),
    )


def _medium(given: Medium, key: str) -> Medium:
    return replace(given, id=key, type=text(given.type), label=text(given.label))


def _distinct(keys: Iterable[str]) -> list[str]:
    """Siblings have distinct keys (RFC 4575 section 4.5); one phone may be in a conference with two calls."""
    found: dict[str, None] = {}
    for key in keys:
        unique, again = key, 1
        while unique in found:
            again += 1
            unique = f"{key};call={again}"
        found[unique] = None
    return list(found)
