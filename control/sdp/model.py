"""An SDP as lines in their order (RFC 8866): what is not understood survives a round trip unchanged.

Knows the grammar of lines, origins, connections and m-lines. Must never know offer/answer, or what an
attribute means. A line may carry a key (a=crypto), so no line is ever shown: not in a repr, not in an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

MAX_OCTETS: Final = 65536
MAX_MEDIA: Final = 64

_LINE: Final = re.compile(r"([a-z])=([^\0\r]*)")
_MEDIA: Final = re.compile(r"([!-~]+) +([0-9]{1,5})(?:/([0-9]{1,5}))? +([!-~]+)((?: +[!-~]+)+) *", re.ASCII)


class SdpError(ValueError):
    """The octets cannot be an SDP. Says which line is wrong, never what stands in it."""


class Origin(NamedTuple):
    """The o= line: who made the session, and which version of it this is."""

    username: str
    session_id: str
    version: str
    network: str
    family: str
    address: str


class Connection(NamedTuple):
    """A c= line, for instance `IN`, `IP4`, `192.0.2.1`. The address may be a host name, or have a TTL behind it."""

    network: str
    family: str
    address: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its letter, and what follows the equals sign."""

    letter: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of one level, and the attributes among them."""

    lines: tuple[Line, ...] = field(repr=False)

    def values(self, letter: str) -> list[str]:
        """What stands in the lines of this letter, in order."""
        return [line.value for line in self.lines if line.letter == letter]

    def attribute(self, name: str) -> str | None:
        """The value of the first such attribute, empty if it is a bare property (`a=sendrecv`), None without one."""
        return next(self._attributes(name), None)

    def attributes(self, name: str) -> list[str]:
        """The values of all such attributes, in order."""
        return list(self._attributes(name))

    @property
    def connection(self) -> Connection | None:
        """The first c= line of this level. An m-line without one has that of the session."""
        return next((Connection(*value.split()) for value in self.values("c")), None)

    def _attributes(self, name: str) -> Iterator[str]:
        for value in self.values("a"):
            key, _, rest = value.partition(":")
            if key == name:
                yield rest.strip()


@dataclass(frozen=True, slots=True)
class Media(Lines):
    """An m-line with what belongs to it; `lines` begins with the m-line itself."""

    kind: str
    port: int
    port_count: int
    profile: str
    formats: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Session(Lines):
    """A whole session description; `lines` are those of the session level."""

    media: tuple[Media, ...]

    @property
    def origin(self) -> Origin:
        return Origin(*self.values("o")[0].split())

    def inherited(self, media: Media, name: str) -> list[str]:
        """The attributes of an m-line, or else those of the session that hold for all its m-lines."""
        return media.attributes(name) or self.attributes(name)

    def to_bytes(self) -> bytes:
        """The description with CRLF after each line."""
        everything = (*self.lines, *(line for media in self.media for line in media.lines))
        return "".join(f"{line.letter}={line.value}\r\n" for line in everything).encode("latin-1")


def parse(octets: bytes) -> Session:
    """Read an SDP with lines that end in CRLF or LF.

    A missing s= or t= line is forgiven: nothing depends on them, and some gateways leave them out.

    Raises:
        SdpError: if it cannot be one, or is too long.
    """
    if len(octets) > MAX_OCTETS:
        raise SdpError(f"the description has {len(octets)} octets; send {MAX_OCTETS} at most")
    session, *media = _levels(_lines(octets))
    if len(media) > MAX_MEDIA:
        raise SdpError(f"the description has {len(media)} m-lines; send {MAX_MEDIA} at most")
    _check_session(session)
    for level in (session, *media):
        _check_connections(level)
    return Session(tuple(session), tuple(_media(level) for level in media))


def _lines(octets: bytes) -> list[Line]:
    # Latin-1 keeps every octet as it is; what we read is ASCII, and the rest is nothing to us.
    text = octets.decode("latin-1").rstrip("\r\n")
    return [_line(number, raw.removesuffix("\r")) for number, raw in enumerate(text.split("\n"), 1)]


def _line(number: int, raw: str) -> Line:
    match = _LINE.fullmatch(raw)
    if match is None:
        raise SdpError(f"line {number} is not a letter, an equals sign and text")
    return Line(match[1], match[2])


def _levels(lines: list[Line]) -> list[list[Line]]:
    levels: list[list[Line]] = [[]]
    for line in lines:
        if line.letter == "m":
            levels.append([])
        levels[-1].append(line)
    return levels


def _check_session(lines: list[Line]) -> None:
    if not lines or (lines[0].letter, lines[0].value.strip()) != ("v", "0"):
        raise SdpError("the first line must be v=0")
    origins = [line.value for line in lines if line.letter == "o"]
    if len(origins) != 1 or len(origins[0].split()) != len(Origin._fields):
        raise SdpError("there must be one o= line with six fields")


def _check_connections(lines: list[Line]) -> None:
    for line in lines:
        if line.letter == "c" and len(line.value.split()) != len(Connection._fields):
            raise SdpError("a c= line must have three fields, as in c=IN IP4 192.0.2.1")


def _media(lines: list[Line]) -> Media:
    match = _MEDIA.fullmatch(lines[0].value)
    if match is None:
        raise SdpError("an m-line must have a medium, a port, a profile and formats, as in m=audio 4000 RTP/SAVP 0")
    port, count = int(match[2]), int(match[3] or 1)
    if port > 65535 or not 1 <= count <= 65535:
        raise SdpError("the port of an m-line must be 0 to 65535, and the number of ports at least 1")
    return Media(tuple(lines), match[1], port, count, match[4], tuple(match[5].split()))
