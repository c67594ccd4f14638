"""One m-line of the peer, read as what we agree to once codec and protection are chosen.

Knows what offers and answers have in common. Must never choose.
"""

from __future__ import annotations

from control.sdp.address import is_held, remote_of, rtcp_port_of
from control.sdp.agreed import Agreed
from control.sdp.direction import deaf, direction_of
from control.sdp.extensions import level_ids, ssrcs_of
from control.sdp.formats import formats_of, ptime_of, telephone_event_of
from control.sdp.model import Media, Session
from control.sdp.protection import Protection
from control.sdp.terms import Codec, Terms
from mixer.port import Direction


def read(
    session: Session, index: int, codec: Codec, payload_types: tuple[int, int], protection: Protection, terms: Terms
) -> Agreed:
    """What this m-line says. `payload_types`: what the peer receives, and what it sends. Of DTMF and header
    extensions it is taken that both directions have the same numbers, as they have in an offer.

    Raises:
        Unacceptable: if its address cannot be used.
    """
    media = session.media[index]
    muxed = media.attribute("rtcp-mux") is not None
    event = telephone_event_of(formats_of(media), codec.rate) if terms.dtmf else None
    level_in, level_out = level_ids(session, media) if terms.levels else (None, None)
    return Agreed(
        index=index,
        profile=media.profile,
        codec=codec.name,
        rate=codec.rate,
        payload_type=payload_types[0],
        payload_type_in=payload_types[1],
        ptime=ptime_of(media, codec, terms),
        direction=_direction(session, media),
        remote=remote_of(session, media),
        rtcp_mux=muxed,
        rtcp_port=None if muxed else rtcp_port_of(media),
        security=protection.security,
        crypto=protection.crypto,
        setup=protection.setup,
        fingerprints=protection.fingerprints,
        ssrcs=ssrcs_of(media),
        telephone_event=event,
        telephone_event_in=event,
        level_in=level_in,
        level_out=level_out,
        mki=protection.crypto is not None and bool(protection.crypto.keys[0].mki),
    )


def _direction(session: Session, media: Media) -> Direction:
    said = direction_of(session, media)
    return deaf(said) if is_held(session, media) else said
