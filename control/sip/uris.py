"""URIs (RFC 3261 section 19.1, RFC 3966): into the library's type, but read with our own eyes.

The library's parser refuses hosts that end in a digit (`pbx1`), falls over a parameter named `self`, and can be made
to try for very long. Must never know who is behind a URI.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote

from sipmessage import URI, Parameters


@lru_cache(maxsize=1024)
def parse_uri(text: str) -> URI:
    """A sip, sips or tel URI. The headers of a URI (`?subject=x`) are for those who click on it: they are left out.

    Raises:
        ValueError: if it is none.
    """
    scheme, colon, rest = text.partition(":")
    scheme = scheme.lower()
    if not colon or _UNFIT.search(text):
        raise ValueError("this is no URI")
    if scheme == "tel":
        return _tel(rest)
    if scheme not in {"sip", "sips"}:
        raise ValueError("use a sip, sips or tel URI")
    userinfo, at, where = rest.rpartition("@")
    if at and not userinfo:
        raise ValueError("a URI with @ and no user before it")
    found = _HOST.fullmatch(where.partition("?")[0])
    if not found:
        raise ValueError("a URI without a host")
    user, password = (unquote(part, errors="replace") for part in userinfo.partition(":")[::2])
    host, port, parameters = found.groups()
    if port is not None and not 0 < int(port) < 65536:
        raise ValueError("no such port")
    return URI(scheme, host, user or None, password or None, int(port) if port else None, _parameters(parameters))


@lru_cache(maxsize=1024)
def parameter_of(text: str, name: str) -> str | None:
    """A parameter of a URI (`;transport=tcp`), in lower case; None if it has none of that name."""
    for piece in text.rpartition("@")[2].partition("?")[0].split(";")[1:]:
        key, _, value = piece.partition("=")
        if key.strip().lower() == name:
            return value.strip().lower()
    return None


def quoted(user: str) -> str:
    """A user as it stands in a URI."""
    return quote(user, safe="&=+$,;?/-_.!~*'()")


def _tel(rest: str) -> URI:
    number, _, parameters = rest.partition(";")
    if not _NUMBER.fullmatch(number):
        raise ValueError("tel wants a number")
    return URI("tel", "", number, parameters=_parameters(parameters))


def _parameters(text: str | None) -> Parameters:
    pairs: dict[str, str | None] = {}
    for piece in (text or "").split(";"):
        name, equals, value = piece.partition("=")
        if name and name != "self":  # the library takes names for its own arguments'
            pairs.setdefault(name, value if equals else None)
    return Parameters(**pairs)


_UNFIT: Final = re.compile(r"[\s<>\"\x00-\x20\x7f]")
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]++\]|[A-Za-z0-9._-]++)(?::([0-9]{1,5}+))?(?:;(.*))?", re.DOTALL)
_NUMBER: Final = re.compile(r"\+?[0-9A-Fa-f*#().-]++")
