"""Wishes: is what a controller asks for possible? Every check that needs no table, before anything changes.

Pure functions from commands to plans; each refusal says what to do instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from mixer import addresses, denoise
from mixer.certificate import LENGTHS
from mixer.codecs import CODECS, Codec, CodecError, Coder, Table, find
from mixer.conferences import Conference
from mixer.epochs import check_key
from mixer.legs import Mode
from mixer.port import Amr, Dtls, Key, LegAdd, LegModify, Opus, PortError, Refusal
from mixer.secret import Secret
from mixer.streams import Format
from mixer.suites import SUITES, Suite

MAX_PAYLOAD: Final = 1920
"""Octets of payload that a packet of ours may have."""


@dataclass(frozen=True, slots=True)
class LegPlan:
    """What a leg will be.

    Attributes:
        rate: Hz of its samples, in the playout buffer and before they are encoded.
        uplink: the key of what it sends, None for clear RTP or a listener without one.
        remote: sockaddr uint8[SOCKADDR], None if not signalled.
        suite: what its status shows, None for clear RTP.
    """

    mode: Mode
    form: Format
    rate: int
    uplink: Key | None
    remote: NDArray[np.uint8] | None
    suite: Suite | None


def plan_leg(wish: LegAdd, conference: Conference) -> LegPlan:
    """Check a leg against its conference.

    Raises:
        PortError: KEY_MISSING, BAD_KEY or INVALID.
    """
    mode = _mode(wish, conference)
    keyed = mode != Mode.CLEAR and not wish.dtls
    uplink = _uplink_key(wish, conference) if keyed else None
    if keyed:
        _check_tx(wish, conference, mode)
    form, rate = _format(wish, conference)
    suite = SUITES[wish.tx.suite] if wish.tx else SUITES[uplink.suite] if uplink else None
    return LegPlan(mode, form, rate, uplink, address(wish.remote), suite)


def check_sound(wish: LegAdd | LegModify) -> None:
    """Check that what a leg says can be made to sound as asked.

    Raises:
        PortError: UNAVAILABLE.
    """
    if wish.noise_suppression and not denoise.AVAILABLE:
        text = "noise suppression needs a package that is not installed: pip install mrfp[voice]"
        raise PortError(Refusal.UNAVAILABLE, text)


def check_group_key(key: Key, style: str, shape: tuple[str, int] | None) -> None:
    """Check a key for what a cohort hears; `shape` is that of its conference, if it has one yet.

    Raises:
        PortError: BAD_KEY or INVALID.
    """
    check_key(key, "the group key")
    if style == "mki" and not key.mki:
        raise PortError(Refusal.INVALID, "style 'mki' needs an MKI in every group key")
    _check_shape(key, shape, "the group key")
    if key.roc:
        text = "a group key has no `roc`: the mixer begins its streams, and reports where they stand"
        raise PortError(Refusal.INVALID, text)


def address(remote: str | None) -> NDArray[np.uint8] | None:
    """The sockaddr of a signalled address.

    Raises:
        PortError: INVALID.
    """
    try:
        return None if remote is None else addresses.pack(remote)
    except addresses.AddressError as error:
        raise PortError(Refusal.INVALID, str(error)) from None


def copy_of(key: Key) -> Key:
    """A key of our own, so that wiping it wipes nobody else's."""
    return msgspec.structs.replace(key, secret=Secret(key.secret.reveal()))


def nameplate(key: Key) -> Key:
    """A key without its octets: what is kept of one that lives on in a session only."""
    return msgspec.structs.replace(key, secret=Secret(b""))


def without_keys(wish: LegAdd) -> LegAdd:
    """The command as it may be kept."""
    return msgspec.structs.replace(wish, rx=None, tx=None)


def _check_dtls(wish: LegAdd, dtls: Dtls, keying: str) -> None:
    if wish.rx or wish.tx or wish.clear or wish.uplink == "group":
        text = "with `dtls` the leg's keys come from its handshake; leave rx, tx, clear and uplink away"
        raise PortError(Refusal.INVALID, text)
    if keying != "unique":
        text = "a DTLS handshake gives a leg keys of its own and no group key; add it with keying 'unique'"
        raise PortError(Refusal.INVALID, text)
    if dtls.role == "active" and not wish.remote:
        raise PortError(Refusal.INVALID, "in role 'active' the mixer calls the endpoint: it needs `remote`")
    for one in dtls.fingerprints:
        if len(one.value) + 1 != 3 * LENGTHS[one.hash]:
            raise PortError(Refusal.INVALID, f"a {one.hash} fingerprint has {LENGTHS[one.hash]} octets")


def _mode(wish: LegAdd, conference: Conference) -> Mode:
    if wish.dtls:
        _check_dtls(wish, wish.dtls, wish.keying or conference.keying)
    if wish.clear:
        if wish.rx or wish.tx or wish.uplink == "group" or wish.keying:
            raise PortError(Refusal.INVALID, "`clear` means no keys; leave rx, tx, keying and uplink away")
        return Mode.CLEAR
    if (wish.keying or conference.keying) == "unique":
        return Mode.UNIQUE
    if conference.line(wish.cohort).active is None and not wish.bridged:
        text = f"cohort {wish.cohort} of {conference.name!r} has no group key; activate one, or add the leg `bridged`"
        raise PortError(Refusal.KEY_MISSING, text)
    return Mode.GROUP_MKI if conference.style == "mki" else Mode.GROUP_SSRC


def _uplink_key(wish: LegAdd, conference: Conference) -> Key | None:
    if wish.rx:
        check_key(wish.rx, "rx")
    if wish.uplink == "group" and not wish.ssrc:
        raise PortError(Refusal.INVALID, "under a group uplink key a leg must declare its `ssrc`")
    uplink = conference.uplink.active if wish.uplink == "group" else wish.rx
    if uplink is None and (wish.uplink == "group" or wish.direction != "recvonly"):
        what = "the conference has no `uplink_key`" if wish.uplink == "group" else "the leg needs `rx`"
        raise PortError(Refusal.KEY_MISSING, f"{what}: the key that protects what it sends")
    return uplink


def _check_tx(wish: LegAdd, conference: Conference, mode: Mode) -> None:
    if wish.tx is None:
        if mode == Mode.UNIQUE and wish.direction != "sendonly":
            raise PortError(Refusal.KEY_MISSING, "keying 'unique' needs `tx`: the key that protects what the leg hears")
        if mode == Mode.GROUP_MKI and wish.direction != "recvonly":
            raise PortError(
                Refusal.KEY_MISSING, "in style 'mki' a leg that may speak needs `tx`, for the mix without itself"
            )
        if wish.alone:
            check_alone(mode, has_key=False)
        return
    check_key(wish.tx, "tx")
    if wish.rx and wish.rx.secret == wish.tx.secret:
        raise PortError(
            Refusal.BAD_KEY, "rx and tx are the same key; each direction needs its own (RFC 4568 section 6.1)"
        )
    if mode == Mode.GROUP_MKI:
        check_beside_group(wish.tx, conference)


def check_alone(mode: int, *, has_key: bool) -> None:
    """Check that a leg can hear nothing of its conference: in style `mki` what it alone hears is under its own key.

    Raises:
        PortError: KEY_MISSING.
    """
    if mode == Mode.GROUP_MKI and not has_key:
        raise PortError(Refusal.KEY_MISSING, "in style 'mki' a leg needs `tx` to be `alone`; add it anew")


def check_beside_group(tx: Key, conference: Conference) -> None:
    """In style `mki` a leg's own key and the group's share an SSRC, and only the MKI tells them apart.

    Raises:
        PortError: INVALID.
    """
    _check_shape(tx, conference.shape, "`tx`")
    if not tx.mki or tx.mki in conference.mkis():
        raise PortError(Refusal.INVALID, "in style 'mki' `tx` needs an MKI, and not that of a group key")


def _check_shape(key: Key, shape: tuple[str, int] | None, what: str) -> None:
    if shape is None or (key.suite, len(key.mki)) == shape:
        return
    suite, length = shape
    raise PortError(
        Refusal.INVALID,
        f"in style 'mki' all keys of a conference share one SSRC (RFC 3711 section 3.1): {what} must be of {suite} "
        f"with an MKI of {length // 2} octets",
    )


def _format(wish: LegAdd, conference: Conference) -> tuple[Format, int]:
    codec = _codec(wish)
    clock = wish.rate or (conference.rate if conference.rate in codec.clocks else codec.clocks[0])
    if clock not in codec.clocks:
        raise PortError(Refusal.INVALID, f"{codec.name} has a clock rate of {codec.clocks[0]} Hz, not {clock}")
    settings = _settings(wish)
    _check_length(wish, codec, clock, settings)
    rate = codec.sampling(clock, conference.rate) if isinstance(codec, Coder) else clock
    if isinstance(codec, Coder):
        _check_encoder(codec, rate, wish.ptime, settings)
    payload_type = codec.payload_type if wish.payload_type is None else wish.payload_type
    for event_type in (wish.dtmf, wish.dtmf_out):  # of what comes, and of what leaves
        _check_types([each for each in (payload_type, wish.comfort_noise, event_type) if each is not None])
    noise_type = -1 if wish.comfort_noise is None else wish.comfort_noise
    form = Format(
        conference.row, CODECS.index(codec), clock, payload_type, wish.ptime, wish.level_out or 0, settings, noise_type
    )
    return form, rate


def _check_types(types: Sequence[int]) -> None:
    """Payload types that a receiver must be able to tell from each other, and from RTCP."""
    for each in types:
        if 64 <= each <= 95:
            raise PortError(Refusal.INVALID, f"payload type {each} would be taken for RTCP (RFC 5761 section 4)")
    if len(set(types)) < len(types):
        raise PortError(Refusal.INVALID, "audio, comfort noise and telephone events need different payload types")


@lru_cache
def _check_encoder(codec: Coder, rate: int, ptime: int, settings: Opus | Amr | None) -> None:
    """What a library refuses, it had better refuse now. It is asked once for each kind of leg."""
    try:
        codec.encoder(rate, ptime, settings)
    except CodecError as error:
        raise PortError(Refusal.INVALID, str(error)) from None


def _codec(wish: LegAdd) -> Codec:
    """The codec of a leg, in the way that it is written to packets."""
    codec = find(wish.codec, octet_aligned=wish.amr is not None and wish.amr.octet_aligned)
    if codec is None:
        raise PortError(Refusal.UNAVAILABLE, f"this mixer has no {wish.codec}")
    if isinstance(codec, Coder) and codec.missing:
        raise PortError(Refusal.UNAVAILABLE, f"this mixer has no {wish.codec}: {codec.missing}")
    return codec


def _settings(wish: LegAdd) -> Opus | Amr | None:
    if wish.opus and wish.codec != "opus":
        raise PortError(Refusal.INVALID, f"`opus` says how to encode Opus, and the codec is {wish.codec}")
    if wish.amr and wish.codec not in ("AMR", "AMR-WB"):
        raise PortError(Refusal.INVALID, f"`amr` says how to write AMR, and the codec is {wish.codec}")
    if wish.codec == "opus":
        return wish.opus or Opus()
    return (wish.amr or Amr()) if wish.codec in ("AMR", "AMR-WB") else None


def _check_length(wish: LegAdd, codec: Codec, clock: int, settings: Opus | Amr | None) -> None:
    octets = 0
    if isinstance(codec, Table):
        octets = clock * wish.ptime // 1000 * codec.width
    elif isinstance(settings, Opus):
        octets = settings.bitrate * wish.ptime // 8000
    if octets > MAX_PAYLOAD:
        text = f"{wish.ptime} ms of {codec.name}/{clock} is too long for a packet; use a shorter ptime"
        raise PortError(Refusal.INVALID, text)
