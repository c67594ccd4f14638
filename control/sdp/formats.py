"""The payload types of an m-line: what each one is, and those that stand beside a codec.

Knows rtpmap and the static types of RFC 3551. Must never know keys or addresses, or which codec is taken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from control.sdp.model import Media
from control.sdp.parameters import fmtp_of
from control.sdp.terms import KNOWN_CODECS, Codec, Terms
from mixer.port import Ptime

TELEPHONE_EVENT: Final = "TELEPHONE-EVENT"
EVENTS: Final = "0-15"
"""The keys of a telephone (RFC 4733 section 3.2)."""
COMFORT_NOISE: Final = "CN"

MAX_PAYLOAD: Final = 1400
"""Octets of audio in a packet that is not to be fragmented: an MTU of 1500 less headers, tag and MKI."""

_MUX_CONFLICT: Final = range(64, 96)
"""Payload types that look like RTCP (RFC 5761 section 4)."""

_RTPMAP: Final = re.compile(r"([0-9]{1,3}) +([!-.0-~]+)/([0-9]{1,6})(?:/([0-9]{1,3}))? *")
_MILLISECONDS: Final = re.compile(r"([0-9]{1,5})(?:\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Format:
    """One payload type; `name` in upper case, because RFC 8866 section 6.6 compares without case."""

    payload_type: int
    name: str
    rate: int
    channels: int = 1
    parameters: str = ""
    """What stands behind its number in a=fmtp; empty if there is nothing."""

    def is_of(self, codec: Codec) -> bool:
        return self._is(codec.name, codec.rate, codec.channels)

    def is_event(self, rate: int) -> bool:
        return self._is(TELEPHONE_EVENT, rate, 1)

    def is_noise(self, rate: int) -> bool:
        return self._is(COMFORT_NOISE, rate, 1)

    def _is(self, name: str, rate: int, channels: int) -> bool:
        return (self.name.upper(), self.rate, self.channels) == (name.upper(), rate, channels)


NOISE: Final = Format(13, COMFORT_NOISE, 8000)
"""The one that needs no rtpmap (RFC 3389 section 4)."""

_STATIC: Final = {13: NOISE} | {
    codec.static: Format(codec.static, codec.name, codec.rate) for codec in KNOWN_CODECS if codec.static is not None
}


def formats_of(media: Media) -> list[Format]:
    """The formats, in the order of the m-line. A lie about a static type is passed over."""
    maps, parameters = _rtpmaps(media.attributes("rtpmap")), fmtp_of(media.attributes("fmtp"))
    formats: dict[int, Format] = {}
    for text in media.formats:
        if not re.fullmatch(r"[0-9]{1,3}", text) or not 0 <= int(text) <= 127 or int(text) in _MUX_CONFLICT:
            continue
        known = _STATIC.get(int(text))
        mapped = maps.get(int(text), known)
        if mapped is not None and (known is None or mapped == known):
            formats.setdefault(int(text), replace(mapped, parameters=parameters.get(int(text), "")))
    return list(formats.values())


def telephone_event_of(formats: list[Format], rate: int) -> Format | None:
    """Telephone events with the clock of the audio (RFC 4733 section 2.1), or else those with 8000 Hz.

    Phones offer Opus with nothing but telephone-event/8000. An event is known by its payload type, and its packets by
    having one timestamp, whatever its clock: a wrong one makes a key seem pressed for shorter than it was, and no more.
    """
    return next((each for clock in (rate, 8000) for each in formats if each.is_event(clock)), None)


def comfort_noise_of(formats: list[Format], codec: Codec) -> int | None:
    """The payload type of comfort noise with the clock of a codec that has none of its own."""
    wanted = (each.payload_type for each in formats if each.is_noise(codec.rate))
    return next(wanted, None) if codec.comfort_noise else None


def ptime_of(media: Media, codec: Codec, bits_per_s: int, terms: Terms) -> Ptime:
    """Milliseconds to put into each packet for the peer: what it asks for, as far as the mixer and the MTU allow.

    `bits_per_s`: the most that is sent.
    """
    wanted = _milliseconds(media.attribute("ptime")) or terms.ptime
    most = min(_milliseconds(media.attribute("maxptime")) or terms.max_ptime, terms.max_ptime)
    limit = min(wanted, most, MAX_PAYLOAD * 8000 // bits_per_s)
    return max((ptime for ptime in codec.ptimes if ptime <= limit), default=codec.ptimes[0])


def _rtpmaps(values: list[str]) -> dict[int, Format]:
    maps: dict[int, Format] = {}
    for value in values:
        match = _RTPMAP.fullmatch(value)
        if match:
            number, channels = int(match[1]), int(match[4] or 1)
            maps.setdefault(number, Format(number, match[2].upper(), int(match[3]), channels))
    return maps


def _milliseconds(text: str | None) -> int:
    match = _MILLISECONDS.fullmatch(text or "")
    return int(match[1]) if match else 0
