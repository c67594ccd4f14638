"""The payload types of an m-line: which codec each one is, and which we take.

Knows rtpmap and the static types of RFC 3551. Must never know keys or addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from control.sdp.model import Media
from control.sdp.refusal import Unacceptable, Warn
from control.sdp.terms import KNOWN_CODECS, Codec, Terms
from mixer.port import Ptime

TELEPHONE_EVENT: Final = "TELEPHONE-EVENT"

PTIMES: Final[tuple[Ptime, ...]] = (10, 20, 30, 40, 60)
"""Milliseconds that the mixer can put into a packet, and the most that it takes in one."""

MAX_PAYLOAD: Final = 1400
"""Octets of audio in a packet that is not to be fragmented: an MTU of 1500 less headers, tag and MKI."""

_MUX_CONFLICT: Final = range(64, 96)
"""Payload types that look like RTCP (RFC 5761 section 4)."""

_STATIC: Final = {codec.static: codec for codec in KNOWN_CODECS if codec.static is not None}
_RTPMAP: Final = re.compile(r"([0-9]{1,3}) +([!-.0-~]+)/([0-9]{1,6})(?:/([0-9]{1,3}))? *")
_MILLISECONDS: Final = re.compile(r"([0-9]{1,5})(?:\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Format:
    """One payload type; `name` in upper case, because RFC 8866 section 6.6 compares without case."""

    payload_type: int
    name: str
    rate: int

    def is_of(self, codec: Codec) -> bool:
        return (self.name, self.rate) == (codec.name.upper(), codec.rate)


def formats_of(media: Media) -> list[Format]:
    """The formats of one channel, in the order of the m-line. A lie about a static type is passed over."""
    maps = _rtpmaps(media.attributes("rtpmap"))
    formats: dict[int, Format] = {}
    for text in media.formats:
        if not re.fullmatch(r"[0-9]{1,3}", text) or not 0 <= int(text) <= 127 or int(text) in _MUX_CONFLICT:
            continue
        static = _STATIC.get(int(text))
        known = Format(int(text), static.name, static.rate) if static else None
        mapped = maps.get(int(text), known)
        if mapped is not None and (known is None or mapped == known):
            formats.setdefault(int(text), mapped)
    return list(formats.values())


def choose_codec(formats: list[Format], codecs: Iterable[Codec]) -> tuple[Codec, int]:
    """The first of our codecs that is there, with its payload type.

    Raises:
        Unacceptable: if none is.
    """
    codecs = list(codecs)
    for codec in codecs:
        for offered in formats:
            if offered.is_of(codec):
                return codec, offered.payload_type
    names = ", ".join(f"{codec.name}/{codec.rate}" for codec in codecs)
    raise Unacceptable(Warn.MEDIA_FORMAT, f"None of the codecs is one of {names}")


def telephone_event_of(formats: list[Format], rate: int) -> int | None:
    """The payload type of telephone-event with the clock of the audio (RFC 4733 section 2.1)."""
    wanted = (each.payload_type for each in formats if (each.name, each.rate) == (TELEPHONE_EVENT, rate))
    return next(wanted, None)


def ptime_of(media: Media, codec: Codec, terms: Terms) -> Ptime:
    """Milliseconds to put into each packet for the peer: what it asks for, as far as the mixer and the MTU allow."""
    wanted = _milliseconds(media.attribute("ptime")) or terms.ptime
    most = min(_milliseconds(media.attribute("maxptime")) or terms.max_ptime, terms.max_ptime)
    limit = min(wanted, most, codec.longest(MAX_PAYLOAD))
    return max((ptime for ptime in PTIMES if ptime <= limit), default=PTIMES[0])


def _rtpmaps(values: list[str]) -> dict[int, Format]:
    maps: dict[int, Format] = {}
    for value in values:
        match = _RTPMAP.fullmatch(value)
        if match and int(match[4] or 1) == 1:
            maps.setdefault(int(match[1]), Format(int(match[1]), match[2].upper(), int(match[3])))
    return maps


def _milliseconds(text: str | None) -> int:
    match = _MILLISECONDS.fullmatch(text or "")
    return int(match[1]) if match else 0
