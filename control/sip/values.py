"""The values of header fields: lists, addresses with names, parameters, Via (RFC 3261 section 25.1).

Knows the grammar, and its odd corners (RFC 4475). Must never know what a header field is for. Written for
peers that mean harm: every pattern is possessive, so that nothing takes more than linear time, and what is
not understood raises ValueError.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

Parameters = dict[str, str]
"""Names in lower case; "" for one without a value."""


@dataclass(frozen=True, slots=True)
class NameAddr:
    """As in From, To, Contact and Route."""

    display: str
    uri: str
    parameters: Parameters

    @property
    def tag(self) -> str:
        return self.parameters.get("tag", "")


@dataclass(frozen=True, slots=True)
class Via:
    """One hop."""

    transport: str
    host: str
    port: int | None
    parameters: Parameters

    @property
    def branch(self) -> str:
        return self.parameters.get("branch", "")

    @property
    def sent_by(self) -> str:
        return f"{self.host.lower()}:{self.port or 5060}"


def split_list(text: str) -> list[str]:
    """The members of a comma-separated value; commas in quotes and angle brackets separate nothing.

    Raises:
        ValueError: if quotes or brackets do not close.
    """
    if '"' not in text and "<" not in text:
        return [piece for piece in map(str.strip, text.split(",")) if piece]
    pieces, at = [], 0
    while at < len(text):
        end = _matched(_MEMBER, text, at).end()
        if end < len(text) and text[end] != ",":
            raise ValueError("a quote or a bracket does not close")
        pieces.append(text[at:end].strip())
        at = end + 1
    return [piece for piece in pieces if piece]


def tokens(values: list[str]) -> list[str]:
    """The members of all fields of one name, in lower case."""
    return [token.strip().lower() for value in values for token in value.split(",") if token.strip()]


def parse_name_addr(text: str) -> NameAddr:
    """A name-addr, or a bare addr-spec whose parameters are then the header's (section 20).

    Raises:
        ValueError: if it is neither.
    """
    if "<" in text:
        found = _matched(_NAME_ADDR, text)
        quoted, bare, uri, rest = found.groups()
        display = _ESCAPE.sub(r"\1", quoted) if quoted is not None else bare.strip()
    else:
        display, (uri, semicolon, rest) = "", text.strip().partition(";")
        rest = semicolon + rest
    return NameAddr(display, check_uri(uri.strip()), parse_parameters(rest))


def check_uri(uri: str) -> str:
    """The URI, if it has a scheme and nothing that would break out of a header field."""
    _matched(_ABSOLUTE_URI, uri)
    return uri


def parse_parameters(text: str) -> Parameters:
    """`;name=value;name`. The first of two with one name counts."""
    parameters: Parameters = {}
    at, text = 0, text.strip()
    while at < len(text):
        found = _matched(_PARAMETER, text, at)
        name, value = found.group(1).lower(), found.group(2) or ""
        if value.startswith('"'):
            value = _ESCAPE.sub(r"\1", value[1:-1])
        parameters.setdefault(name, value)
        at = found.end()
    return parameters


def parse_via(text: str) -> Via:
    """One member of a Via field."""
    transport, host, port, rest = _matched(_VIA, text).groups()
    number = int(port) if port else None
    if number is not None and not 0 < number < 65536:
        raise ValueError("no such port")
    return Via(transport.lower(), host, number, parse_parameters(rest or ""))


def _matched(pattern: re.Pattern[str], text: str, at: int = 0) -> re.Match[str]:
    found = pattern.match(text, at)
    if found is None:
        raise ValueError("not in the grammar of SIP")
    return found


_QUOTED: Final = r'"(?:[^"\\]++|\\.)*+"'
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_MEMBER: Final = re.compile(rf'(?:[^,"<]++|{_QUOTED}|<[^<>]*+>)*+', re.DOTALL)
_NAME_ADDR: Final = re.compile(r'\s*+(?:"((?:[^"\\]++|\\.)*+)"|([^<"]*+))\s*+<([^<>]++)>(.*)\Z', re.DOTALL)
_PARAMETER: Final = re.compile(rf'\s*+;\s*+([^\s;=",<>]++)\s*+(?:=\s*+({_QUOTED}|[^\s;",<>]*+))?\s*+', re.DOTALL)
_ABSOLUTE_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*+:[^\s<>\"\x00-\x1f\x7f]++\Z")
_VIA: Final = re.compile(
    r"\s*+SIP\s*+/\s*+2\.0\s*+/\s*+([A-Za-z0-9.!%*_+`'~-]++)\s++"
    r"(\[[0-9A-Fa-f:.]++\]|[A-Za-z0-9._-]++)\s*+(?::\s*+([0-9]{1,5}+))?\s*+(;.*)?\Z",
    re.IGNORECASE | re.DOTALL,
)
