"""The answerer's side of RFC 3264: judge an offer, and write the answer to it.

Knows the order in which things are judged. Must never know how a single line is read or written, nor who calls.
"""

from __future__ import annotations

from dataclasses import replace

from control.sdp.agreed import Agreed, Local
from control.sdp.choice import choose
from control.sdp.crypto import CryptoLine, format_crypto
from control.sdp.direction import meet, reverse
from control.sdp.extensions import extensions_of
from control.sdp.formats import Format, formats_of
from control.sdp.model import Media, Session
from control.sdp.protection import check_keys_differ, choose_protection
from control.sdp.reading import read
from control.sdp.refusal import Unacceptable, Warn
from control.sdp.terms import CLEAR_PROFILES, Codec, Terms
from control.sdp.writing import (
    audio_lines,
    dtls_lines,
    received_formats,
    refused_line,
    session_lines,
    stream_lines,
    to_octets,
)

__all__ = ["Agreed", "Local", "Unacceptable", "agree", "write_answer"]


def agree(offer: Session, terms: Terms, *, before: Agreed | None = None) -> Agreed:
    """What to agree to of an offer: one audio m-line. All others are to be refused.

    A further offer in a session is read against what was agreed `before`: the same m-line, secure in the same way,
    and the same codec and suite if they are still offered.

    Raises:
        Unacceptable: if nothing of it will do. Of several m-lines the first says why.
    """
    refusals = []
    for index in _candidates(offer, before):
        try:
            return _judged(offer, index, terms, before)
        except Unacceptable as refusal:
            refusals.append(refusal)
    raise refusals[0] if refusals else Unacceptable(Warn.MEDIA_TYPE, "There must be an m-line of audio with a port")


def write_answer(offer: Session, agreed: Agreed, local: Local) -> bytes:
    """The answer: the agreed m-line, and all others refused, in the order of the offer.

    Raises:
        CryptoError: if our keys do not fit the suite.
        Unacceptable: if our key is one of the peer's.
        ValueError: if something of `local` is missing.
    """
    lines = session_lines(local, next(iter(offer.values("t")), "0 0"))
    for index, media in enumerate(offer.media):
        if index == agreed.index:
            lines += _accepted(offer, media, agreed, local)
        else:
            lines.append(refused_line(media))
    return to_octets(lines)


def _candidates(offer: Session, before: Agreed | None) -> list[int]:
    """The m-lines to try, the secure ones first."""
    audio = [index for index, media in enumerate(offer.media) if media.kind == "audio" and media.port]
    if before is not None:
        return [index for index in audio if index == before.index]
    return sorted(audio, key=lambda index: offer.media[index].profile in CLEAR_PROFILES)


def _judged(offer: Session, index: int, terms: Terms, before: Agreed | None) -> Agreed:
    media = offer.media[index]
    if not terms.takes(media.profile):
        raise Unacceptable(Warn.TRANSPORT, f"The profile must be one of {', '.join(terms.profiles)}")
    choice = choose(_formats(media, before), _codecs(terms, before), terms)
    protection = choose_protection(offer, media, terms, before)
    return _as_before(read(offer, index, choice, protection, terms), before)


def _formats(media: Media, before: Agreed | None) -> list[Format]:
    """Those of the offer, with the payload type in use before all others."""
    used = before.payload_type if before else None
    return sorted(formats_of(media), key=lambda each: each.payload_type != used)


def _codecs(terms: Terms, before: Agreed | None) -> list[Codec]:
    """Ours, with the one in use before all others."""
    used = (before.codec, before.rate) if before else None
    return sorted(terms.codecs, key=lambda codec: (codec.name, codec.rate) != used)


def _as_before(agreed: Agreed, before: Agreed | None) -> Agreed:
    """A running encoder goes on as it is, whatever the peer asks of it now: parameters of Opus are wishes."""
    if before is None or (before.codec, before.payload_type) != (agreed.codec, agreed.payload_type):
        return agreed
    return replace(agreed, opus=before.opus, ptime=before.ptime)


def _accepted(offer: Session, media: Media, agreed: Agreed, local: Local) -> list[str]:
    direction = meet(local.direction, reverse(agreed.direction))
    return [
        *audio_lines(local.port, agreed.profile, received_formats(agreed)),
        *stream_lines(local, ptime=agreed.ptime, direction=direction, rtcp_mux=agreed.rtcp_mux),
        *(f"a=mid:{name}" for name in media.attributes("mid")[:1]),
        *_levels(offer, media, agreed),
        *_protected(agreed, local),
    ]


def _levels(offer: Session, media: Media, agreed: Agreed) -> list[str]:
    """The header extensions that we take, with the parameters they were offered with."""
    ours = {agreed.level_in: "recvonly", agreed.level_out: "sendonly"}
    return [
        f"a=extmap:{each.id}/{ours[each.id]} {each.uri} {each.rest}".rstrip()
        for each in extensions_of(offer, media)
        if each.id in ours
    ]


def _protected(agreed: Agreed, local: Local) -> list[str]:
    if agreed.crypto is not None:
        line = CryptoLine(agreed.crypto.tag, agreed.crypto.suite, local.keys)
        check_keys_differ([agreed.crypto], [line])
        return [f"a=crypto:{format_crypto(line)}"]
    if agreed.setup is not None:
        return dtls_lines(local, agreed.setup)
    return []
