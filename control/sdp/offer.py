"""The offerer's side of RFC 3264: write an offer, first or further, and judge the answer to it.

Knows what we offer. Must never know when to offer it, nor who answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Final, Literal

from control.sdp.agreed import Agreed, Local
from control.sdp.choice import answered, offered_formats
from control.sdp.crypto import CryptoError, CryptoLine, format_crypto
from control.sdp.direction import direction_of, meet, reverse
from control.sdp.extensions import LEVEL_IN, LEVEL_OUT, extensions_of
from control.sdp.formats import EVENTS, NOISE, TELEPHONE_EVENT, Format, formats_of
from control.sdp.model import Media, Session, parse
from control.sdp.protection import answered_protection
from control.sdp.reading import read
from control.sdp.refusal import Unacceptable, Warn
from control.sdp.terms import Terms
from control.sdp.writing import (
    audio_lines,
    dtls_lines,
    received_formats,
    refused_line,
    session_lines,
    stream_lines,
    to_octets,
)

FIRST_DYNAMIC: Final = 96
"""The lowest payload type whose meaning an SDP gives (RFC 3551 section 6)."""


def write_offer(
    terms: Terms,
    local: Local,
    *,
    agreed: Agreed | None = None,
    security: Literal["sdes", "dtls"] = "sdes",
    crypto: Sequence[CryptoLine] = (),
    previous: Session | None = None,
) -> bytes:
    """An offer. Without `agreed` it is the first one, with all that the terms have, and `crypto` are its lines, each
    with a key of its own. With `agreed` all stays as it is but for what is new in `local`, such as its keys, and
    `previous` is the SDP before it (either end's): its other m-lines stay refused.

    Raises:
        CryptoError: if the keys do not fit.
        ValueError: if something else is missing.
    """
    if agreed is None:
        media = _first(terms, local, security, crypto)
        return to_octets(session_lines(local) + media)
    lines = session_lines(local)
    shape = previous.media if previous is not None else ()
    if agreed.index and agreed.index >= len(shape):
        raise ValueError("the m-lines before ours must keep their places: give the SDP before this one")
    for index in range(max(len(shape), 1)):
        lines += _further(agreed, local) if index == agreed.index else [refused_line(shape[index])]
    return to_octets(lines)


def agree_answer(offer: bytes | Session, answer: Session, terms: Terms) -> Agreed:
    """What an answer to our offer agrees to.

    Raises:
        Unacceptable: if it is not an answer to it, or takes what was not offered. The call must end.
    """
    offer = parse(offer) if isinstance(offer, bytes) else offer
    index, ours = _offered(offer)
    media = _counterpart(offer, index, answer)
    choice = answered(formats_of(media), formats_of(ours), terms)
    protection = answered_protection(ours, answer, media, terms)
    agreed = _beside(read(answer, index, choice, protection, terms), formats_of(ours))
    offered = {each.uri: each.id for each in extensions_of(offer, ours)}
    return replace(
        agreed,
        direction=meet(agreed.direction, reverse(direction_of(offer, ours))),
        rtcp_mux=agreed.rtcp_mux and ours.attribute("rtcp-mux") is not None,
        level_in=agreed.level_in if agreed.level_in == offered.get(LEVEL_IN) else None,
        level_out=agreed.level_out if agreed.level_out == offered.get(LEVEL_OUT) else None,
    )


def _beside(agreed: Agreed, offered: Sequence[Format]) -> Agreed:
    """What stands beside the codec, if it was offered. Events keep to the numbers that each end has given them."""
    rate = agreed.telephone_rate
    event = next((each.payload_type for each in offered if rate and each.is_event(rate)), None)
    noise = agreed.comfort_noise in [each.payload_type for each in offered if each.is_noise(agreed.rate)]
    return replace(
        agreed,
        comfort_noise=agreed.comfort_noise if noise else None,
        telephone_event=agreed.telephone_event if event is not None else None,
        telephone_event_in=event,
        telephone_rate=rate if event is not None else 0,
    )


def _first(terms: Terms, local: Local, security: str, crypto: Sequence[CryptoLine]) -> list[str]:
    kind = "UDP/TLS/" if security == "dtls" else "RTP/SAVP"
    profile = next((profile for profile in terms.profiles if profile.startswith(kind)), None)
    if profile is None:
        raise ValueError(f"the terms have no profile for {security}; give them one that begins with {kind}")
    formats = _formats(terms)
    return [
        *audio_lines(local.port, profile, formats),
        *stream_lines(local, ptime=terms.ptime, direction=local.direction, rtcp_mux=True),
        *(_level_lines(1, 2) if terms.levels else ()),
        *(dtls_lines(local, "actpass") if security == "dtls" else _crypto_lines(crypto)),
    ]


def _further(agreed: Agreed, local: Local) -> list[str]:
    lines = [
        *audio_lines(local.port, agreed.profile, received_formats(agreed)),
        *stream_lines(local, ptime=agreed.ptime, direction=local.direction, rtcp_mux=agreed.rtcp_mux),
        *_level_lines(agreed.level_in, agreed.level_out),
    ]
    if agreed.security == "dtls":
        return lines + dtls_lines(local, "actpass")  # RFC 8842 section 5.5: the roles stay all the same
    if agreed.crypto is None:
        return lines
    return lines + _crypto_lines([CryptoLine(agreed.crypto.tag, agreed.crypto.suite, local.keys)])


def _formats(terms: Terms) -> list[Format]:
    """All codecs, comfort noise for those that have none, and telephone-event once for each clock rate."""
    dynamic = count(FIRST_DYNAMIC)
    formats = offered_formats(terms, dynamic)
    if terms.comfort_noise and any(codec.comfort_noise and codec.rate == NOISE.rate for codec in terms.codecs):
        formats.append(NOISE)
    rates = dict.fromkeys(codec.rate for codec in terms.codecs) if terms.dtmf else {}
    return formats + [Format(next(dynamic), TELEPHONE_EVENT, rate, 1, EVENTS) for rate in rates]


def _level_lines(level_in: int | None, level_out: int | None) -> list[str]:
    lines = []
    if level_in is not None:
        lines.append(f"a=extmap:{level_in}/recvonly {LEVEL_IN}")
    if level_out is not None:
        lines.append(f"a=extmap:{level_out}/sendonly {LEVEL_OUT}")
    return lines


def _crypto_lines(crypto: Sequence[CryptoLine]) -> list[str]:
    """RFC 4568 sections 4.1 and 6.1: no tag twice, and no key twice in one SDP."""
    secrets = [key.secret for line in crypto for key in line.keys]
    again = any(secret == other for index, secret in enumerate(secrets) for other in secrets[:index])
    if not crypto or again or len({line.tag for line in crypto}) < len(crypto):
        raise CryptoError("an offer needs crypto lines, each with a tag and a key of its own")
    return [f"a=crypto:{format_crypto(line)}" for line in crypto]


def _offered(offer: Session) -> tuple[int, Media]:
    for index, media in enumerate(offer.media):
        if media.kind == "audio" and media.port:
            return index, media
    raise ValueError("our offer has no m-line of audio")


def _counterpart(offer: Session, index: int, answer: Session) -> Media:
    if len(answer.media) != len(offer.media):
        raise Unacceptable(Warn.MISCELLANEOUS, f"The answer must have {len(offer.media)} m-lines")
    ours, media = offer.media[index], answer.media[index]
    if media.kind != ours.kind or media.port == 0:
        raise Unacceptable(Warn.MEDIA_TYPE, "The answer refuses audio")
    if media.profile != ours.profile:
        raise Unacceptable(Warn.TRANSPORT, f"The profile of the answer must be {ours.profile}")
    return media
