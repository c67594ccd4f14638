"""The lines that we write, for offers and answers alike.

Knows how each line looks. Must never decide what stands in it. Here keys leave, in a=crypto.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from control.sdp.agreed import Agreed, Local
from control.sdp.formats import COMFORT_NOISE, EVENTS, TELEPHONE_EVENT, Format
from control.sdp.model import Media
from control.sdp.terms import KNOWN_CODECS, PTIMES


def session_lines(local: Local, times: str = "0 0") -> list[str]:
    """The session level."""
    address = _address(local.host)
    origin = f"o=- {local.session_id} {local.version} {address}"
    return ["v=0", origin, "s=-", f"c={address}", f"t={times}"]


def received_formats(agreed: Agreed) -> list[Format]:
    """What an m-line of ours lists: the payload types that we receive (RFC 3264 section 5.1)."""
    channels = next(codec.channels for codec in KNOWN_CODECS if codec.name == agreed.codec)
    formats = [Format(agreed.payload_type_in, agreed.codec, agreed.rate, channels, agreed.parameters)]
    if agreed.comfort_noise is not None:
        formats.append(Format(agreed.comfort_noise, COMFORT_NOISE, agreed.rate))
    if agreed.telephone_event_in is not None:
        formats.append(Format(agreed.telephone_event_in, TELEPHONE_EVENT, agreed.telephone_rate, 1, EVENTS))
    return formats


def audio_lines(port: int, profile: str, formats: Sequence[Format]) -> list[str]:
    """An m-line of audio, with what its payload types mean."""
    numbers = " ".join(str(each.payload_type) for each in formats)
    lines = [f"m=audio {port} {profile} {numbers}"]
    for each in formats:
        name = each.name.lower() if each.name == TELEPHONE_EVENT else each.name
        channels = f"/{each.channels}" if each.channels > 1 else ""
        lines.append(f"a=rtpmap:{each.payload_type} {name}/{each.rate}{channels}")
        if each.parameters:
            lines.append(f"a=fmtp:{each.payload_type} {each.parameters}")
    return lines


def stream_lines(local: Local, *, ptime: int, direction: str, rtcp_mux: bool) -> list[str]:
    """How our stream is sent."""
    lines = [f"a=ptime:{ptime}", f"a=maxptime:{PTIMES[-1]}", f"a={direction}"]
    if rtcp_mux:
        lines.append("a=rtcp-mux")
    if local.ssrc is not None:
        lines.append(f"a=ssrc:{local.ssrc} cname:{local.cname or '-'}")
    return lines


def dtls_lines(local: Local, setup: str) -> list[str]:
    """Who connects, and which certificate we show.

    Raises:
        ValueError: if we have none.
    """
    if local.fingerprint is None:
        raise ValueError("DTLS needs the fingerprint of our certificate: give Local one")
    name, octets = local.fingerprint
    return [f"a=setup:{setup}", f"a=fingerprint:{name} {octets}"]


def refused_line(media: Media) -> str:
    """The m-line of a medium that is not taken, which keeps its place (RFC 3264 section 6)."""
    return f"m={media.kind} 0 {media.profile} {' '.join(media.formats)}"


def to_octets(lines: Iterable[str]) -> bytes:
    """The SDP of these lines."""
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1")


def _address(host: str) -> str:
    return f"IN IP{ipaddress.ip_address(host).version} {host}"
