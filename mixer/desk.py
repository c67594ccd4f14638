"""The desk: takes commands, checks them whole, and only then changes anything.

Each command is one method. It raises `PortError` before its first change, or succeeds entirely.
Conferences are served here, legs at the leg desk, keys at the key desk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mixer.admission import Admission
from mixer.downlink import Downlink
from mixer.grace import Grace
from mixer.handshakes import Handshakes
from mixer.keydesk import KeyDesk
from mixer.keying import Keying
from mixer.keypads import Keypads
from mixer.ledger import KeyLedger, Ledgers
from mixer.legdesk import LegDesk
from mixer.legs import Leg, Mode
from mixer.port import (
    Command,
    ConferenceCreate,
    ConferenceDestroy,
    ConferenceLevels,
    ConferenceList,
    ConferenceModify,
    ConferenceNames,
    ConferenceShow,
    ConferenceStatus,
    Done,
    KeyAbort,
    KeyActivate,
    KeyBridge,
    KeyPrepare,
    KeyRetire,
    LegAdd,
    LegAdded,
    LegModify,
    LegRemove,
    LegStatus,
    Levels,
    PlayStart,
    PlayStop,
    PortError,
    RecordStart,
    RecordStop,
    Refusal,
    Reply,
)
from mixer.prompts import JOIN, LEAVE, Prompts
from mixer.rates import Rates
from mixer.reports import Packet, Reports
from mixer.state import State
from mixer.status import Status
from mixer.taps import Taps


class Desk:
    """Applies commands between ticks."""

    def __init__(
        self,
        state: State,
        admission: Admission,
        grace: Grace,
        keying: Keying,
        downlink: Downlink,
        reports: Reports,
        rates: Rates,
        handshakes: Handshakes,
        keypads: Keypads,
        ledger: KeyLedger,
        prompts: Prompts,
        taps: Taps,
    ) -> None:
        self._state = state
        self._prompts, self._taps = prompts, taps
        self._conferences = state.conferences
        self._status = Status(state, keying)
        self._keying = keying
        ledgers = Ledgers(sent=ledger, received=KeyLedger())
        self._keys = KeyDesk(state, grace, keying, ledgers)
        self._legs = LegDesk(
            state,
            admission,
            grace,
            keying,
            downlink,
            reports,
            rates,
            handshakes,
            keypads,
            self._status,
            self._keys,
            ledgers,
        )
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
            KeyActivate: self._keys.activate,
            KeyRetire: self._keys.retire,
            KeyAbort: self._keys.abort,
            KeyBridge: self._keys.bridge,
            ConferenceLevels: self._levels,
            PlayStart: self.play,
            PlayStop: self._stop_play,
            RecordStart: self._record,
            RecordStop: self._stop_record,
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
        conference = self._state.conference_of(leg.row)
        if conference.leave_tone:
            self._prompts.chime(conference, LEAVE)
        return self._legs.remove(leg)

    def part(self, conference: str) -> None:
        """A conference is about to be emptied leg by leg. Raises `PortError` UNKNOWN_CONFERENCE."""
        self._conferences.named(conference).parting = True

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
        self._keys.check_first(wish.key, wish.uplink_key, wish.style)
        conference = self._conferences.add(wish.conference, wish.rate, wish.keying, wish.style, self._state.frame)
        try:
            self._keys.begin(conference, wish.key, wish.uplink_key)
        except PortError:
            self._conferences.remove(conference, self._state.frame)
            raise
        self._conferences.max_talkers[conference.row] = wish.max_talkers
        conference.join_tone, conference.leave_tone = wish.join_tone, wish.leave_tone
        return Done()

    def _modify(self, wish: ConferenceModify) -> Done:
        conference = self._conferences.named(wish.conference)
        if wish.keying:
            conference.keying = wish.keying
        if wish.max_talkers:
            self._conferences.max_talkers[conference.row] = wish.max_talkers
        if wish.join_tone is not None:
            conference.join_tone = wish.join_tone
        if wish.leave_tone is not None:
            conference.leave_tone = wish.leave_tone
        return Done()

    def _destroy(self, wish: ConferenceDestroy) -> Done:
        conference = self._conferences.named(wish.conference)
        conference.parting = True
        for row in sorted(conference.legs):
            self._legs.remove(self._state.legs.at(row))
        conference.wipe()
        self._state.registry.forget(conference.row)
        self._conferences.remove(conference, self._state.frame)
        return Done()

    def _show(self, wish: ConferenceShow) -> ConferenceStatus:
        conference = self._conferences.named(wish.conference)
        shown = self._status.conference(conference, wish.first, wish.limit)
        plays, records = self._prompts.names_in(conference), self._taps.names_in(conference)
        return msgspec.structs.replace(shown, plays=plays, records=records)

    def _levels(self, wish: ConferenceLevels) -> Levels:
        legs, rows = self._state.legs, sorted(self._conferences.named(wish.conference).legs)
        level = (-legs.level[np.array(rows, np.int64)]).tolist()
        return Levels(levels={legs.at(row).name: loud for row, loud in zip(rows, level, strict=True)})

    def _list(self, wish: ConferenceList) -> ConferenceNames:
        return ConferenceNames(conferences=self._conferences.names())

    # -- keys ---------------------------------------------------------------------------------

    def _prepare(self, wish: KeyPrepare) -> Done:
        self._check_open(wish.boot)
        return self._keys.prepare(wish)

    # -- legs ---------------------------------------------------------------------------------

    def _add_leg(self, wish: LegAdd) -> LegAdded:
        self._check_open(wish.boot)
        added = self._legs.add(wish)
        conference = self._conferences.named(wish.conference)
        if conference.join_tone:
            self._prompts.chime(conference, JOIN)
        return added

    def _modify_leg(self, wish: LegModify) -> Done:
        self._legs.modify(wish)
        return Done()

    def _remove_leg(self, wish: LegRemove) -> LegStatus:
        leg = self._state.legs.named(wish.leg)
        conference, cohort = self._state.conference_of(leg.row), int(self._state.legs.cohort[leg.row])
        bridge = wish.bridge and self._state.legs.mode[leg.row] >= Mode.GROUP_SSRC
        status = self.remove(leg)
        if bridge:
            self._keying.bridge(self._keying.legs_of(conference, cohort), True)
        return status

    # -- services -----------------------------------------------------------------------------

    def play(self, wish: PlayStart, samples: NDArray[np.int16] | None = None) -> Done:
        """Start a prompt; `samples`, int16[n] at `sounds.RATE`, are those of its file. Raises `PortError`."""
        self._prompts.start(wish, samples)
        return Done()

    def _stop_play(self, wish: PlayStop) -> Done:
        self._prompts.stop(wish.play)
        return Done()

    def _record(self, wish: RecordStart) -> Done:
        self._taps.start(wish)
        return Done()

    def _stop_record(self, wish: RecordStop) -> Done:
        self._taps.stop(wish.record)
        return Done()
