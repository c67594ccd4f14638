"""Audio levels in RTP header extensions, and the SSRCs that a peer announces.

Knows a=extmap (RFC 8285) for the two URIs of RFC 6464 and RFC 6465, and a=ssrc (RFC 5576).
Must never know which of them is agreed to.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final, NamedTuple

from control.sdp.model import Media, Session

LEVEL_IN: Final = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
"""RFC 6464: a client says how loud it is."""

LEVEL_OUT: Final = "urn:ietf:params:rtp-hdrext:csrc-audio-level"
"""RFC 6465: a mixer says how loud each contributor is."""

MAX_SSRCS: Final = 16

_EXTMAP: Final = re.compile(r"([1-9]|1[0-4])(?:/(sendrecv|sendonly|recvonly|inactive))? +([!-~]+)(?: +(.*))?")
_SSRC: Final = re.compile(r"([1-9][0-9]{0,9})(?: .*)?")


class Extension(NamedTuple):
    """One a=extmap line; `direction` as its author sees it. Only ids of the one-byte form are read."""

    id: int
    direction: str
    uri: str
    rest: str


def level_ids(session: Session, media: Media) -> tuple[int | None, int | None]:
    """The ids for what the peer says of itself and for what we say of others; None if it does not want them.

    An id that occurs twice means nothing (RFC 8285 section 5), and is passed over.
    """
    extensions = extensions_of(session, media)
    speaks = next((each.id for each in extensions if each.uri == LEVEL_IN and each.direction.startswith("send")), None)
    hears = next((each.id for each in extensions if each.uri == LEVEL_OUT and "recv" in each.direction), None)
    return speaks, hears


def extensions_of(session: Session, media: Media) -> list[Extension]:
    """The header extensions of an m-line, with those that its session has for all."""
    found = []
    for value in media.attributes("extmap") + session.attributes("extmap"):
        match = _EXTMAP.fullmatch(value)
        if match:
            found.append(Extension(int(match[1]), match[2] or "sendrecv", match[3], match[4] or ""))
    count = Counter(each.id for each in found)
    return [each for each in found if count[each.id] == 1]


def ssrcs_of(media: Media) -> tuple[int, ...]:
    """The SSRCs that the peer will send with, each once, in order."""
    matches = (_SSRC.fullmatch(value) for value in media.attributes("ssrc"))
    numbers = dict.fromkeys(int(match[1]) for match in matches if match)
    return tuple(number for number in numbers if number <= 0xFFFF_FFFF)[:MAX_SSRCS]
