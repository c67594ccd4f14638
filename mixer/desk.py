"""The desk: takes commands, checks them whole, and only then changes anything.

Each command is one method. It raises `PortError` before its first change, or succeeds entirely.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from mixer import addresses
from mixer.admission import Admission
from mixer.codecs import CODEC_INDEX, CODECS
from mixer.conferences import Conference, Conferences
from mixer.config import MixerConfig
from mixer.downlink import Downlink
from mixer.epochs import GroupKeys, KeyLedger, check_key
from mixer.legs import Leg, Legs, Mode
from mixer.playout import Playout
from mixer.port import (
    Command,
    ConferenceCreate,
    ConferenceDestroy,
    ConferenceList,
    ConferenceModify,
    ConferenceNames,
    ConferenceShow,
    ConferenceStatus,
    Done,
    Event,
    Key,
    KeyAbort,
    KeyActivate,
    KeyPrepare,
    KeySwitched,
    LegAdd,
    LegAdded,
    LegModify,
    LegRemove,
    LegStatus,
    PortError,
    Refusal,
    Reply,
    StreamPosition,
    Talking,
)
from mixer.reception import Reception
from mixer.registry import SsrcRegistry
from mixer.reports import Packet, Reports
from mixer.routes import FIRST_LEG_PORT, Routes
from mixer.secret import Secret
from mixer.srtp import Sessions
from mixer.status import Status
from mixer.streams import Format, Streams, first_index
from mixer.suites import SUITES

MAX_PAYLOAD = 1920
"""Octets of payload that a packet of ours may have."""


@dataclass(slots=True)
class Rooms:
    """The state that the desk works on, each part with its owner's rules."""

    legs: Legs
    conferences: Conferences
    streams: Streams
    routes: Routes
    registry: SsrcRegistry
    sessions: Sessions
    reception: Reception
    playouts: dict[int, Playout]
    admission: Admission
    downlink: Downlink
    reports: Reports


class Desk:
    """Applies commands between ticks."""

    def __init__(self, config: MixerConfig, boot_id: str, rooms: Rooms, raise_event: Callable[[Event], None]) -> None:
        self._config, self._boot_id, self._raise = config, boot_id, raise_event
        self._rooms = rooms
        self._ledger, self._uplinks = KeyLedger(), KeyLedger()
        """Keys that we sent under, and group keys that legs send under: SSRCs are unique in one conference only."""
        self._status = Status(
            rooms.legs, rooms.conferences, rooms.streams, rooms.reception, rooms.playouts, rooms.downlink
        )
        self._methods: dict[type[Command], Callable[[Any, int], Reply]] = {
            ConferenceCreate: self._create,
            ConferenceModify: self._modify_conference,
            ConferenceDestroy: self._destroy,
            ConferenceShow: self._show,
            ConferenceList: self._list,
            LegAdd: self._add,
            LegModify: self._modify_leg,
            LegRemove: self._remove_named,
            KeyPrepare: self._prepare,
            KeyActivate: self._activate,
            KeyAbort: self._abort,
        }
        self.draining = False
        self.farewell: list[Packet] = []
        """RTCP BYEs that the next tick takes along."""

    def apply(self, command: Command, frame: int) -> Reply:
        """Put a command in force.

        Raises:
            PortError: it was refused, and nothing has changed.
        """
        return self._methods[type(command)](command, frame)

    def _check_open(self, boot: str | None) -> None:
        if self.draining:
            raise PortError(Refusal.DRAINING, "this mixer is draining; use another")
        if boot is not None and boot != self._boot_id:
            raise PortError(
                Refusal.BAD_BOOT, f"this mixer's boot_id is {self._boot_id}; it remembers nothing of {boot}"
            )

    # -- conferences --------------------------------------------------------------------------

    def _create(self, wish: ConferenceCreate, frame: int) -> Done:
        self._check_open(wish.boot)
        rooms = self._rooms
        if wish.conference in rooms.conferences:
            raise PortError(Refusal.DUPLICATE_CONFERENCE, f"conference {wish.conference!r} exists")
        if wish.keying == "group" and wish.key is None:
            raise PortError(Refusal.KEY_MISSING, "keying 'group' needs a group key in `key`")
        if wish.uplink_key:
            check_key(wish.uplink_key, "uplink_key")
            self._ledger.check(wish.uplink_key.secret)
            self._uplinks.check(wish.uplink_key.secret)
        keys, uplink = GroupKeys(), _copy(wish.uplink_key) if wish.uplink_key else None
        if wish.key:
            self._check_group_key(wish.key, wish.style)
        if wish.uplink_key:
            self._uplinks.record(wish.uplink_key.secret)
        conference = rooms.conferences.add(wish.conference, wish.rate, wish.keying, wish.style, keys, uplink, frame)
        rooms.conferences.max_talkers[conference.row] = wish.max_talkers
        if wish.key:
            keys.prepare(_copy(wish.key))
            self._ledger.record(wish.key.secret)
            keys.activate(wish.key.epoch)
        return Done()

    def _check_group_key(self, key: Key, style: str) -> None:
        check_key(key, "the group key")
        if style == "mki" and not key.mki:
            raise PortError(Refusal.INVALID, "style 'mki' needs an MKI in every group key")
        if key.roc:
            raise PortError(
                Refusal.INVALID,
                "a group key has no `roc`: the mixer begins its streams, and reports where they stand",
            )
        self._ledger.check(key.secret)

    def _modify_conference(self, wish: ConferenceModify, frame: int) -> Done:
        conference = self._rooms.conferences.named(wish.conference)
        if wish.keying == "group" and conference.keys.active is None:
            raise PortError(Refusal.KEY_MISSING, "keying 'group' needs an active group key")
        if wish.keying:
            conference.keying = wish.keying
        if wish.max_talkers:
            self._rooms.conferences.max_talkers[conference.row] = wish.max_talkers
        return Done()

    def _destroy(self, wish: ConferenceDestroy, frame: int) -> Done:
        conference = self._rooms.conferences.named(wish.conference)
        for row in sorted(conference.legs):
            self.remove(self._rooms.legs.at(row), frame)
        conference.keys.wipe()
        if conference.uplink:
            conference.uplink.secret.wipe()
        self._rooms.registry.forget(conference.row)
        self._rooms.conferences.remove(conference, frame)
        return Done()

    def _show(self, wish: ConferenceShow, frame: int) -> ConferenceStatus:
        return self._status.conference(self._rooms.conferences.named(wish.conference), wish.first, wish.limit)

    def _list(self, wish: ConferenceList, frame: int) -> ConferenceNames:
        return ConferenceNames(conferences=self._rooms.conferences.names())

    # -- keys ---------------------------------------------------------------------------------

    def _prepare(self, wish: KeyPrepare, frame: int) -> Done:
        self._check_open(wish.boot)
        conference = self._rooms.conferences.named(wish.conference)
        self._check_group_key(wish.key, conference.style)
        if wish.key.mki in {self._mki_of(row) for row in conference.legs}:
            raise PortError(Refusal.INVALID, f"MKI {wish.key.mki} names the own key of a leg")
        conference.keys.prepare(_copy(wish.key))
        self._ledger.record(wish.key.secret)
        return Done()

    def _mki_of(self, row: int) -> str | None:
        """MKI of the key that a leg has for itself beside the group's, None if it has none."""
        sessions, session = self._rooms.sessions, int(self._rooms.legs.tx_session[row])
        if session < 0 or self._rooms.legs.mode[row] != Mode.GROUP_MKI:
            return None
        return sessions.mki[session, : sessions.mki_length[session]].tobytes().hex()

    def _activate(self, wish: KeyActivate, frame: int) -> Done:
        conference = self._rooms.conferences.named(wish.conference)
        conference.keys.activate(wish.epoch)
        downlink, streams = self._rooms.downlink, self._rooms.streams
        for row in sorted(conference.streams):
            streams.under_key[row] = 0
            if conference.style == "ssrc":
                streams.restart(row, self._rooms.registry.allocate(conference.row))
            downlink.key_stream(row)
        downlink.forget_minus(np.array(sorted(conference.legs), np.int64))
        positions = [downlink.position(row) for row in sorted(conference.streams)]
        self._raise(KeySwitched(conference=conference.name, epoch=wish.epoch, streams=positions))
        return Done()

    def _abort(self, wish: KeyAbort, frame: int) -> Done:
        self._rooms.conferences.named(wish.conference).keys.abort(wish.epoch)
        return Done()

    # -- legs ---------------------------------------------------------------------------------

    def _add(self, wish: LegAdd, frame: int) -> LegAdded:
        self._check_open(wish.boot)
        rooms = self._rooms
        conference = rooms.conferences.named(wish.conference)
        if wish.leg in rooms.legs:
            raise PortError(Refusal.DUPLICATE_LEG, f"leg {wish.leg!r} exists")
        mode = _mode(wish, conference)
        uplink = self._check_keys(wish, conference, mode)
        form = _format(wish, conference)
        remote = _address(wish.remote)
        if wish.ssrc and not self._may_claim(conference, wish.ssrc):
            raise PortError(Refusal.SSRC_CONFLICT, f"SSRC {wish.ssrc} is in use in {conference.name!r}; take another")
        suite = SUITES[wish.tx.suite] if wish.tx else SUITES[uplink.suite] if uplink else None
        leg = rooms.legs.add(_without_keys(wish), conference.row, suite, frame)
        conference.legs.add(leg.row)
        self._open_stream(leg, conference, form)
        self._describe(leg, wish, mode, form, frame)
        self._open_uplink(leg, wish, uplink)
        self._open_downlink(leg, wish, conference, mode)
        if remote is not None:
            rooms.admission.locate(leg.row, self._address_hash(leg, remote), remote)
            rooms.admission.expect(leg.row)
        rooms.admission.moved = True
        rooms.reports.schedule(leg.row, frame)
        rooms.downlink.reserve(len(rooms.legs) + len(conference.streams))
        return self._added(leg, mode)

    def _may_claim(self, conference: Conference, ssrc: int) -> bool:
        registry = self._rooms.registry
        return not registry.is_ours(ssrc) and registry.owner(conference.row, ssrc) < 0

    def _check_keys(self, wish: LegAdd, conference: Conference, mode: Mode) -> Key | None:
        """Check every key of a leg; returns the one its uplink is under."""
        if mode == Mode.CLEAR:
            return None
        uplink = conference.uplink if wish.uplink == "group" else wish.rx
        if wish.uplink == "group" and not wish.ssrc:
            raise PortError(Refusal.INVALID, "under a group uplink key a leg must declare its `ssrc`")
        if uplink is None and (wish.uplink == "group" or wish.direction != "recvonly"):
            what = "the conference has no `uplink_key`" if wish.uplink == "group" else "the leg needs `rx`"
            raise PortError(Refusal.KEY_MISSING, f"{what}: the key that protects what it sends")
        if wish.rx:
            check_key(wish.rx, "rx")
        self._check_tx(wish, conference, mode)
        if wish.rx and wish.tx and wish.rx.secret == wish.tx.secret:
            raise PortError(
                Refusal.BAD_KEY,
                "rx and tx are the same key; each direction needs its own (RFC 4568 section 6.1)",
            )
        return uplink

    def _check_tx(self, wish: LegAdd, conference: Conference, mode: Mode) -> None:
        speaks = wish.direction != "recvonly"
        if wish.tx is None:
            if mode == Mode.UNIQUE and wish.direction != "sendonly":
                raise PortError(
                    Refusal.KEY_MISSING,
                    "keying 'unique' needs `tx`: the key that protects what the leg hears",
                )
            if mode == Mode.GROUP_MKI and speaks:
                raise PortError(
                    Refusal.KEY_MISSING,
                    "in style 'mki' a leg that may speak needs `tx`, for the mix without itself",
                )
            return
        check_key(wish.tx, "tx")
        self._ledger.check(wish.tx.secret)
        if mode != Mode.GROUP_MKI:
            return
        group = conference.keys.active
        if group and wish.tx.suite != group.suite:
            raise PortError(Refusal.INVALID, "in style 'mki' `tx` must be of the group's suite: they share one SSRC")
        names = conference.keys.mkis()
        if wish.tx.mki in names or {len(wish.tx.mki)} != {len(mki) for mki in names}:
            raise PortError(
                Refusal.INVALID, "in style 'mki' the MKI of `tx` must be as long as the group's and differ from it"
            )

    def _describe(self, leg: Leg, wish: LegAdd, mode: Mode, form: Format, frame: int) -> None:
        legs, row = self._rooms.legs, leg.row
        legs.mode[row] = mode
        legs.codec[row], legs.clock[row], legs.payload_type[row] = form.codec, form.clock, form.payload_type
        legs.gain[row] = 10.0 ** (wish.gain_db / 20.0)
        legs.muted[row] = wish.mute
        legs.level_in[row] = wish.level_in or 0
        legs.group_uplink[row] = wish.uplink == "group" and mode != Mode.CLEAR
        legs.heard[row] = frame
        if wish.own_port:
            legs.local[row] = FIRST_LEG_PORT + 2 * row
        legs.rtcp_local[row] = legs.local[row] + (0 if wish.rtcp_mux else 1)
        self._direct(leg, wish.direction)
        self._set_timeout(leg, wish.timeout_s)
        self._playout(form.clock).open(row, wish.delay_min_ms, wish.delay_max_ms)
        self._rooms.reception.open(row)

    def _playout(self, clock: int) -> Playout:
        playouts = self._rooms.playouts
        if clock not in playouts:
            playouts[clock] = Playout(self._rooms.legs.rows, clock, self._config.tick_ms)
        return playouts[clock]

    def _direct(self, leg: Leg, direction: str) -> None:
        self._rooms.legs.speaks[leg.row] = direction in ("sendrecv", "sendonly")
        self._rooms.legs.listens[leg.row] = direction in ("sendrecv", "recvonly")
        self._rooms.admission.expect_by_key(leg.row)
        self._rooms.admission.moved = True

    def _set_timeout(self, leg: Leg, seconds: float) -> None:
        self._rooms.legs.timeout[leg.row] = math.ceil(seconds * 1000 / self._config.tick_ms)

    def _open_uplink(self, leg: Leg, wish: LegAdd, key: Key | None) -> None:
        rooms, row = self._rooms, leg.row
        rooms.legs.declared[row] = wish.ssrc is not None
        if wish.ssrc:
            rooms.registry.claim(int(rooms.legs.conference[row]), wish.ssrc, row)
            rooms.legs.ssrc[row] = wish.ssrc
            rooms.routes.know_ssrc(wish.ssrc, row)
        if key is None:
            return
        suite, mki = SUITES[key.suite], bytes.fromhex(key.mki)
        if key.roc and not wish.ssrc:
            leg.late_key = (suite, Secret(key.secret.reveal()), mki, key.roc)
            return
        rooms.legs.rx_session[row] = rooms.sessions.open(suite, key.secret, mki, ssrc=wish.ssrc or 0, roc=key.roc)

    def _open_downlink(self, leg: Leg, wish: LegAdd, conference: Conference, mode: Mode) -> None:
        rooms, row = self._rooms, leg.row
        stream = int(rooms.legs.stream[row])
        rooms.legs.out_ssrc[row] = rooms.registry.allocate(conference.row) if mode in (Mode.CLEAR, Mode.UNIQUE) else 0
        rooms.legs.out_index[row] = first_index()
        if wish.tx and mode in (Mode.UNIQUE, Mode.GROUP_MKI):
            ssrc = int(rooms.legs.out_ssrc[row] if mode == Mode.UNIQUE else rooms.streams.ssrc[stream])
            self._ledger.record(wish.tx.secret)
            rooms.legs.tx_session[row] = rooms.sessions.open(
                SUITES[wish.tx.suite], wish.tx.secret, bytes.fromhex(wish.tx.mki), ssrc=ssrc
            )
        if mode >= Mode.GROUP_SSRC and rooms.streams.session[stream] < 0:
            rooms.downlink.key_stream(stream)

    def _open_stream(self, leg: Leg, conference: Conference, form: Format) -> None:
        streams = self._rooms.streams
        row = streams.find(form)
        if row < 0:
            row = streams.open(form, self._rooms.registry.allocate(conference.row))
            conference.streams.add(row)
        streams.members[row] += 1
        self._rooms.legs.stream[leg.row] = row

    def _address_hash(self, leg: Leg, remote: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> int:
        local = self._rooms.legs.local[leg.row : leg.row + 1]
        return int(self._rooms.routes.hash_addresses(remote.reshape(1, -1), local)[0])

    def _added(self, leg: Leg, mode: Mode) -> LegAdded:
        legs, streams, row = self._rooms.legs, self._rooms.streams, leg.row
        position = self._rooms.downlink.position(int(legs.stream[row]))
        if mode in (Mode.CLEAR, Mode.UNIQUE):
            index = int(legs.out_index[row])
            position = StreamPosition(
                ssrc=int(legs.out_ssrc[row]),
                roc=index >> 16,
                seq=index & 0xFFFF,
                payload_type=position.payload_type,
            )
        return LegAdded(leg=leg.name, payload_type=int(streams.payload_type[legs.stream[row]]), stream=position)

    def _modify_leg(self, wish: LegModify, frame: int) -> Done:
        rooms = self._rooms
        leg = rooms.legs.named(wish.leg)
        remote = _address(wish.remote)
        if wish.direction:
            self._check_direction(leg, wish.direction)
        if wish.direction:
            self._direct(leg, wish.direction)
            rooms.legs.heard[leg.row] = frame
        if wish.gain_db is not None:
            rooms.legs.gain[leg.row] = 10.0 ** (wish.gain_db / 20.0)
        if wish.mute is not None:
            rooms.legs.muted[leg.row] = wish.mute
        if wish.timeout_s is not None:
            self._set_timeout(leg, wish.timeout_s)
        if wish.remove_on_timeout is not None:
            leg.wish = msgspec.structs.replace(leg.wish, remove_on_timeout=wish.remove_on_timeout)
        if remote is not None:
            rooms.routes.forget(leg.row)
            rooms.admission.locate(leg.row, self._address_hash(leg, remote), remote)
            rooms.admission.expect(leg.row)
        return Done()

    def _check_direction(self, leg: Leg, direction: str) -> None:
        legs, row = self._rooms.legs, leg.row
        if legs.mode[row] == Mode.CLEAR:
            return
        if direction in ("sendrecv", "sendonly") and legs.rx_session[row] < 0 and leg.late_key is None:
            raise PortError(Refusal.KEY_MISSING, "this leg was added without `rx` and cannot speak; add it anew")
        unique = legs.mode[row] == Mode.UNIQUE and direction in ("sendrecv", "recvonly")
        needs_own = unique or (legs.mode[row] == Mode.GROUP_MKI and direction != "recvonly")
        if needs_own and legs.tx_session[row] < 0:
            raise PortError(
                Refusal.KEY_MISSING, "this leg was added without `tx` and cannot hear a mix of its own; add it anew"
            )

    def _remove_named(self, wish: LegRemove, frame: int) -> LegStatus:
        return self.remove(self._rooms.legs.named(wish.leg), frame)

    def remove(self, leg: Leg, frame: int) -> LegStatus:
        """Remove a leg, say goodbye to it, and return its final statistics."""
        rooms, row = self._rooms, leg.row
        conference = rooms.conferences.at(int(rooms.legs.conference[row]))
        (status,) = self._status.legs(conference, np.array([row]))
        if rooms.legs.located[row]:
            self.farewell += [
                (octets, to.copy(), port) for octets, to, port in rooms.reports.compose(leg, frame, goodbye=True)
            ]
        if rooms.legs.talking[row]:
            self._raise(Talking(conference=conference.name, leg=leg.name, talking=False))
        rooms.admission.forget(row)
        for session in (rooms.legs.rx_session, rooms.legs.tx_session, rooms.legs.minus_session):
            rooms.sessions.close(int(session[row]))
        if leg.late_key:
            leg.late_key[1].wipe()
        rooms.playouts[int(rooms.legs.clock[row])].stop(row)
        conference.legs.discard(row)
        self._leave_stream(conference, int(rooms.legs.stream[row]))
        rooms.legs.remove(leg, frame)
        return status

    def _leave_stream(self, conference: Conference, row: int) -> None:
        streams = self._rooms.streams
        streams.members[row] -= 1
        if streams.members[row] == 0:
            self._rooms.sessions.close(int(streams.session[row]))
            streams.session[row] = -1
            streams.close(row)
            conference.streams.discard(row)

    def drain(self, frame: int) -> None:
        """Refuse newcomers, and say goodbye to every leg."""
        self.draining = True
        for name in self._rooms.conferences.names():
            self._destroy(ConferenceDestroy(conference=name), frame)


def _mode(wish: LegAdd, conference: Conference) -> Mode:
    keying = wish.keying or conference.keying
    if wish.clear:
        if wish.rx or wish.tx or wish.uplink == "group" or wish.keying:
            raise PortError(Refusal.INVALID, "`clear` means no keys; leave rx, tx, keying and uplink away")
        return Mode.CLEAR
    if keying == "unique":
        return Mode.UNIQUE
    if conference.keys.active is None:
        raise PortError(Refusal.KEY_MISSING, f"conference {conference.name!r} has no group key")
    return Mode.GROUP_MKI if conference.style == "mki" else Mode.GROUP_SSRC


def _format(wish: LegAdd, conference: Conference) -> Format:
    index = CODEC_INDEX[wish.codec]
    codec = CODECS[index]
    clock = wish.rate or (conference.rate if conference.rate in codec.rates else codec.rates[0])
    if clock not in codec.rates:
        raise PortError(Refusal.INVALID, f"{codec.name} has a clock rate of {codec.rates[0]} Hz, not {clock}")
    if clock * wish.ptime // 1000 * codec.width > MAX_PAYLOAD:
        raise PortError(
            Refusal.INVALID,
            f"{wish.ptime} ms of {codec.name}/{clock} is too long for a packet; use a shorter ptime",
        )
    payload_type = codec.payload_type if wish.payload_type is None else wish.payload_type
    if 64 <= payload_type <= 95:
        raise PortError(Refusal.INVALID, f"payload type {payload_type} would be taken for RTCP (RFC 5761 section 4)")
    return Format(conference.row, index, clock, payload_type, wish.ptime, wish.level_out or 0)


def _address(remote: str | None) -> np.ndarray[tuple[int], np.dtype[np.uint8]] | None:
    if remote is None:
        return None
    try:
        return addresses.pack(remote)
    except addresses.AddressError as error:
        raise PortError(Refusal.INVALID, str(error)) from None


def _copy(key: Key) -> Key:
    """A key of our own, so that wiping it wipes nobody else's."""
    return msgspec.structs.replace(key, secret=Secret(key.secret.reveal()))


def _without_keys(wish: LegAdd) -> LegAdd:
    return msgspec.structs.replace(wish, rx=None, tx=None)
