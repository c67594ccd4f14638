"""The desk: takes commands, checks them whole, and only then changes anything.

Each command is one method. It raises `PortError` before its first change, or succeeds entirely.
Conferences and their keys are served here, legs at the leg desk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mixer import wishes
from mixer.admission import Admission
from mixer.downlink import Downlink
from mixer.epochs import GroupKeys, KeyLedger, check_key
from mixer.legdesk import LegDesk
from mixer.legs import Leg, Mode
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
)
from mixer.reports import Packet, Reports
from mixer.state import State
from mixer.status import Status


class Desk:
    """Applies commands between ticks."""

    def __init__(self, state: State, admission: Admission, downlink: Downlink, reports: Reports) -> None:
        self._state, self._downlink = state, downlink
        self._conferences = state.conferences
        self._sent_under, self._received_under = KeyLedger(), KeyLedger()
        """Keys of our own packets, and group keys of legs' packets: SSRCs are unique in one conference only."""
        self._status = Status(state, downlink)
        self._legs = LegDesk(state, admission, downlink, reports, self._status, self._sent_under)
        self._methods: dict[type[Command], Callable[[Any], Reply]] = {
            ConferenceCreate: self._create,
            ConferenceModify: self._modify,
            ConferenceDestroy: self._destroy,
            ConferenceShow: self._show,
            ConferenceList: self._list,
            LegAdd: self._add_leg,
            LegModify: self._modify_leg,
            LegRemove: self._remove_leg,
            KeyPrepare: self._prepare,
            KeyActivate: self._activate,
            KeyAbort: self._abort,
        }
        self.draining = False

    def apply(self, command: Command) -> Reply:
        """Put a command in force.

        Raises:
            PortError: it was refused, and nothing has changed.
        """
        return self._methods[type(command)](command)

    def goodbyes(self) -> list[Packet]:
        """RTCP BYEs to send, once."""
        packets, self._legs.goodbyes = self._legs.goodbyes, []
        return packets

    def remove(self, leg: Leg) -> LegStatus:
        """Remove a leg."""
        return self._legs.remove(leg)

    def drain(self) -> None:
        """Refuse newcomers, and say goodbye to every leg."""
        self.draining = True
        for name in self._conferences.names():
            self._destroy(ConferenceDestroy(conference=name))

    def _check_open(self, boot: str | None) -> None:
        if self.draining:
            raise PortError(Refusal.DRAINING, "this mixer is draining; use another")
        ours = self._state.boot_id
        if boot is not None and boot != ours:
            raise PortError(Refusal.BAD_BOOT, f"this mixer's boot_id is {ours}; it remembers nothing of {boot}")

    # -- conferences --------------------------------------------------------------------------

    def _create(self, wish: ConferenceCreate) -> Done:
        self._check_open(wish.boot)
        if wish.conference in self._conferences:
            raise PortError(Refusal.DUPLICATE_CONFERENCE, f"conference {wish.conference!r} exists")
        if wish.keying == "group" and wish.key is None:
            raise PortError(Refusal.KEY_MISSING, "keying 'group' needs a group key in `key`")
        if wish.uplink_key:
            check_key(wish.uplink_key, "uplink_key")
            self._sent_under.check(wish.uplink_key.secret)
            self._received_under.check(wish.uplink_key.secret)
        if wish.key:
            self._check_group_key(wish.key, wish.style)
        keys, uplink = GroupKeys(), wishes.copy_of(wish.uplink_key) if wish.uplink_key else None
        frame = self._state.frame
        conference = self._conferences.add(wish.conference, wish.rate, wish.keying, wish.style, keys, uplink, frame)
        self._conferences.max_talkers[conference.row] = wish.max_talkers
        if uplink:
            self._received_under.record(uplink.secret)
        if wish.key:
            self._hold(keys, wish.key)
            keys.activate(wish.key.epoch)
        return Done()

    def _modify(self, wish: ConferenceModify) -> Done:
        conference = self._conferences.named(wish.conference)
        if wish.keying == "group" and conference.keys.active is None:
            raise PortError(Refusal.KEY_MISSING, "keying 'group' needs an active group key")
        if wish.keying:
            conference.keying = wish.keying
        if wish.max_talkers:
            self._conferences.max_talkers[conference.row] = wish.max_talkers
        return Done()

    def _destroy(self, wish: ConferenceDestroy) -> Done:
        conference = self._conferences.named(wish.conference)
        for row in sorted(conference.legs):
            self._legs.remove(self._state.legs.at(row))
        conference.keys.wipe()
        if conference.uplink:
            conference.uplink.secret.wipe()
        self._state.registry.forget(conference.row)
        self._conferences.remove(conference, self._state.frame)
        return Done()

    def _show(self, wish: ConferenceShow) -> ConferenceStatus:
        return self._status.conference(self._conferences.named(wish.conference), wish.first, wish.limit)

    def _list(self, wish: ConferenceList) -> ConferenceNames:
        return ConferenceNames(conferences=self._conferences.names())

    # -- keys ---------------------------------------------------------------------------------

    def _check_group_key(self, key: Key, style: str) -> None:
        wishes.check_group_key(key, style)
        self._sent_under.check(key.secret)

    def _hold(self, keys: GroupKeys, key: Key) -> None:
        keys.prepare(wishes.copy_of(key))
        self._sent_under.record(key.secret)

    def _prepare(self, wish: KeyPrepare) -> Done:
        self._check_open(wish.boot)
        conference = self._conferences.named(wish.conference)
        self._check_group_key(wish.key, conference.style)
        if wish.key.mki in {self._mki_of(row) for row in conference.legs}:
            raise PortError(Refusal.INVALID, f"MKI {wish.key.mki} names the own key of a leg")
        self._hold(conference.keys, wish.key)
        return Done()

    def _mki_of(self, row: int) -> str | None:
        """MKI of the key that a leg has for itself beside the group's, None if it has none."""
        sessions, session = self._state.sessions, int(self._state.legs.tx_session[row])
        if session < 0 or self._state.legs.mode[row] != Mode.GROUP_MKI:
            return None
        return sessions.mki[session, : sessions.mki_length[session]].tobytes().hex()

    def _activate(self, wish: KeyActivate) -> Done:
        conference = self._conferences.named(wish.conference)
        conference.keys.activate(wish.epoch)
        streams = self._state.streams
        for row in sorted(conference.streams):
            streams.under_key[row] = 0
            if conference.style == "ssrc":
                streams.restart(row, self._state.registry.allocate(conference.row))
            self._downlink.key_stream(row)
        self._downlink.forget_minus(np.array(sorted(conference.legs), np.int64))
        positions = [self._downlink.position(row) for row in sorted(conference.streams)]
        self._state.events.append(KeySwitched(conference=conference.name, epoch=wish.epoch, streams=positions))
        return Done()

    def _abort(self, wish: KeyAbort) -> Done:
        self._conferences.named(wish.conference).keys.abort(wish.epoch)
        return Done()

    # -- legs ---------------------------------------------------------------------------------

    def _add_leg(self, wish: LegAdd) -> LegAdded:
        self._check_open(wish.boot)
        return self._legs.add(wish)

    def _modify_leg(self, wish: LegModify) -> Done:
        self._legs.modify(wish)
        return Done()

    def _remove_leg(self, wish: LegRemove) -> LegStatus:
        return self._legs.remove(self._state.legs.named(wish.leg))
