"""From what was agreed on in SDP to what the mixer is told, and back. Pure.

Knows: both vocabularies. Must never know: dialogs, rooms, or why a key is what it is.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import msgspec

from control.focus.settings import FocusSettings, RoomSettings
from control.messages import NodeStatus
from control.sdp.answer import Agreed, Local
from control.sdp.crypto import InlineKey
from control.sdp.direction import reverse
from control.sdp.dtls import Fingerprint
from control.sdp.terms import KNOWN_CODECS, Terms
from mixer import port
from mixer.port import Direction
from mixer.secret import Secret
from mixer.suites import SUITES, SuiteName


@dataclass(frozen=True, slots=True)
class Place:
    """Where the mixer takes media, and who it is in a DTLS handshake."""

    host: str
    host6: str
    port: int
    fingerprint: Fingerprint | None
    """Of its certificate."""


def place(settings: FocusSettings, node: NodeStatus) -> Place:
    """Where a mixer takes media, by what it says of itself."""
    name, _, value = node.dtls_fingerprint.partition(" ")
    chosen = settings.mixer
    return Place(chosen.media_host, chosen.media_host6, node.port, (name, value) if value else None)


def left_out(settings: FocusSettings, node: NodeStatus) -> list[str]:
    """The codecs that are wanted, and that the mixer lacks."""
    return [name for name in settings.media.codecs if name not in node.codecs]


def terms(settings: FocusSettings, room: RoomSettings, node: NodeStatus) -> Terms:
    """What a room agrees to. The suite of its group key comes first, for only who has that can take one.

    Of Opus nothing is asked for, or sent, that the mix of the room does not have.
    """
    opus, names = settings.media.opus, [name for name in settings.media.codecs if name in node.codecs]
    suites = (room.suite, *(suite for suite in settings.media.suites if suite != room.suite))
    return Terms(
        codecs=tuple(codec for name in names for codec in KNOWN_CODECS if codec.name == name),
        opus=opus if room.rate == "auto" else msgspec.structs.replace(opus, max_rate=min(opus.max_rate, room.rate)),
        suites=suites,
        allow_clear=room.clear,
        mki_wanted=room.style == "mki",
    )


def fresh_key(suite: SuiteName) -> Secret:
    """A key for one phone alone."""
    return Secret(secrets.token_bytes(SUITES[suite].secret))


def leg(
    name: str, conference: str, agreed: Agreed, tx: port.Key | None, *, apart: bool, silence_s: float
) -> port.LegAdd:
    """The leg of a phone.

    Args:
        tx: the key it begins to hear under.
        apart: it will never hear the group's key.
    """
    rx = received(agreed)
    return port.LegAdd(
        conference=conference,
        leg=name,
        codec=agreed.codec,
        rate=agreed.rate if agreed.codec == "L16" else None,
        payload_type=agreed.payload_type,
        opus=agreed.opus,
        amr=agreed.amr,
        comfort_noise=agreed.comfort_noise,
        dtmf=agreed.telephone_event_in,
        dtmf_out=agreed.telephone_event,
        ptime=agreed.ptime,
        direction=agreed.direction,
        rx=rx[0] if rx else None,
        tx=tx if agreed.security == "sdes" else None,
        dtls=_dtls(agreed) if agreed.security == "dtls" else None,
        clear=agreed.security == "clear",
        keying="unique" if apart else "group",
        ssrc=agreed.ssrcs[0] if len(agreed.ssrcs) == 1 else None,
        remote=agreed.remote,
        rtcp_mux=agreed.rtcp_mux,
        level_in=agreed.level_in,
        level_out=agreed.level_out,
        timeout_s=timeout(agreed.direction, silence_s),
    )


def hushed(direction: Direction) -> Direction:
    """The same for a phone that is not to be sent anything yet."""
    return "sendonly" if direction in ("sendrecv", "sendonly") else "inactive"


def timeout(direction: str, silence_s: float) -> float:
    """So long may a phone be silent; on hold it may for ever, and session timers look after it."""
    return silence_s if direction in ("sendrecv", "sendonly") else 0.0


def received(agreed: Agreed) -> list[port.Key]:
    """The keys under which a phone sends: the first is in use, the others are to come."""
    if agreed.crypto is None:
        return []
    suite = agreed.crypto.suite
    return [
        port.Key(suite=suite, secret=key.secret, mki=key.mki.hex(), epoch=number)
        for number, key in enumerate(agreed.crypto.keys, 1)
    ]


def local(
    place: Place, agreed: Agreed | None, key: port.Key | None, *, session_id: int, version: int, cname: str
) -> Local:
    """What we say of our side: the key is the one that the phone is to open packets with."""
    over6 = agreed is not None and agreed.remote is not None and agreed.remote.startswith("[")
    return Local(
        host=place.host6 if over6 else place.host,
        port=place.port,
        session_id=session_id,
        version=version,
        cname=cname,
        keys=(InlineKey(key.secret, mki=bytes.fromhex(key.mki)),) if key else (),
        fingerprint=place.fingerprint,
        direction=reverse(agreed.direction) if agreed else "sendrecv",
    )


def moved(place: Place, number: int) -> Place:
    """The same mixer, at another UDP port."""
    return Place(place.host, place.host6, number, place.fingerprint)


def _dtls(agreed: Agreed) -> port.Dtls:
    assert agreed.setup is not None
    prints = [{"hash": name, "value": value} for name, value in agreed.fingerprints]
    return msgspec.convert({"role": agreed.setup, "fingerprints": prints}, port.Dtls)
