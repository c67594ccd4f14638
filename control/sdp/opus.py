"""The parameters of Opus (RFC 7587 section 6.1): what a peer asks of our encoder, and what we ask of its.

Knows their meaning and bounds. Must never know payload types. Each end says what it wants to hear, and neither has to
repeat the other (section 7.1), so a parameter that makes no sense is passed over: the call works without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, get_args

import msgspec

from control.sdp.parameters import number_of
from mixer.port import Opus, Rate

BITRATES: Final = (6000, 8000, 12000, 16000, 20000, 24000, 32000, 40000, 48000, 64000, 96000, 128000, 256000, 510000)
"""Bits a second that are encoded at: legs share an encode only if they have the same one, so a caller must not get a
bitrate that nobody else has."""


def asked(parameters: Mapping[str, str], ours: Opus) -> Opus:
    """How to encode for a peer that has said this: never beyond `ours`, but with `cbr` if it wants it."""
    return msgspec.structs.replace(
        ours,
        bitrate=_bitrate(number_of(parameters.get("maxaveragebitrate")), ours.bitrate),
        fec=ours.fec and _is_set(parameters, "useinbandfec"),
        dtx=ours.dtx and _is_set(parameters, "usedtx"),
        cbr=ours.cbr or _is_set(parameters, "cbr"),
        stereo=ours.stereo and _is_set(parameters, "stereo"),
        max_rate=_rate(number_of(parameters.get("maxplaybackrate")), ours.max_rate),
    )


def told(ours: Opus) -> str:
    """What stands behind a=fmtp in our SDP. `stereo` is never asked for: each who speaks has one place in the mix."""
    words = {
        "maxplaybackrate": ours.max_rate if ours.max_rate < 48000 else 0,
        "sprop-maxcapturerate": ours.max_rate if ours.max_rate < 48000 else 0,
        "maxaveragebitrate": ours.bitrate,
        "sprop-stereo": ours.stereo,
        "useinbandfec": ours.fec,
        "usedtx": ours.dtx,
        "cbr": ours.cbr,
    }
    return ";".join(f"{name}={int(value)}" for name, value in words.items() if value)


def _bitrate(wanted: int | None, ours: int) -> int:
    """RFC 7587 allows 6000 to 510000; what is outside was not meant."""
    if wanted is None or not BITRATES[0] <= wanted <= BITRATES[-1] or wanted >= ours:
        return ours
    return max(rate for rate in BITRATES if rate <= wanted)


def _rate(wanted: int | None, ours: Rate) -> Rate:
    """The lowest rate that has all that the peer can play."""
    rates: tuple[Rate, ...] = get_args(Rate)
    if wanted is None or wanted < rates[0]:
        return ours
    return min(ours, next((rate for rate in rates if rate >= wanted), rates[-1]))


def _is_set(parameters: Mapping[str, str], name: str) -> bool:
    return parameters.get(name) == "1"
