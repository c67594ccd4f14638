"""One m-line of the peer, read as what we agree to once codec and protection are chosen.

Knows what offers and answers have in common. Must never choose.
"""

from __future__ import annotations

from control.sdp.address import is_held, remote_of, rtcp_port_of
from control.sdp.agreed import Agreed
from control.sdp.choice import Choice
from control.sdp.direction import deaf, direction_of
from control.sdp.extensions import level_ids, ssrcs_of
from control.sdp.formats import comfort_noise_of, formats_of, ptime_of, telephone_event_of
from control.sdp.model import Media, Session
from control.sdp.protection import Protection
from control.sdp.terms import Terms
from mixer.port import Direction


def read(session: Session, index: int, choice: Choice, protection: Protection, terms: Terms) -> Agreed:
    """What this m-line says. Of DTMF, comfort noise and header extensions it is taken that both directions have the
    same numbers, as they have in an offer.

    Raises:
        Unacceptable: if its address cannot be used.
    """
    media, codec = session.media[index], choice.codec
    muxed, formats = media.attribute("rtcp-mux") is not None, formats_of(media)
    event = telephone_event_of(formats, codec.rate) if terms.dtmf else None
    level_in, level_out = level_ids(session, media) if terms.levels else (None, None)
    return Agreed(
        index=index,
        profile=media.profile,
        codec=codec.name,
        rate=codec.rate,
        payload_type=choice.payload_type,
        payload_type_in=choice.payload_type_in,
        ptime=ptime_of(media, codec, choice.bits_per_s, terms),
        direction=_direction(session, media),
        remote=remote_of(session, media),
        rtcp_mux=muxed,
        rtcp_port=None if muxed else rtcp_port_of(media),
        security=protection.security,
        crypto=protection.crypto,
        setup=protection.setup,
        fingerprints=protection.fingerprints,
        ssrcs=ssrcs_of(media),
        opus=choice.opus,
        amr=choice.amr,
        parameters=choice.ours,
        comfort_noise=comfort_noise_of(formats, codec) if terms.comfort_noise else None,
        telephone_event=event.payload_type if event else None,
        telephone_event_in=event.payload_type if event else None,
        telephone_rate=event.rate if event else 0,
        level_in=level_in,
        level_out=level_out,
        mki=protection.crypto is not None and bool(protection.crypto.keys[0].mki),
    )


def _direction(session: Session, media: Media) -> Direction:
    said = direction_of(session, media)
    return deaf(said) if is_held(session, media) else said
