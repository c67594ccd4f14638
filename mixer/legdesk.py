"""The leg desk: legs come, change and go. Checks first, then opens rows, sessions, streams and routes."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from mixer import wishes
from mixer.conferences import Conference
from mixer.denoise import Denoiser
from mixer.keydesk import KeyDesk
from mixer.ledger import Ledgers
from mixer.legs import Leg, Mode
from mixer.parts import Parts
from mixer.plans import alone
from mixer.port import (
    Key,
    LegAdd,
    LegAdded,
    LegModify,
    LegStatus,
    PortError,
    Refusal,
    StreamPosition,
    Talking,
)
from mixer.reports import Packet
from mixer.routes import FIRST_LEG_PORT
from mixer.secret import Secret
from mixer.status import Status
from mixer.streams import first_index
from mixer.suites import SUITES
from mixer.wishes import LegPlan


class LegDesk:
    """Serves what concerns one leg."""

    def __init__(self, parts: Parts, status: Status, keys: KeyDesk, ledgers: Ledgers) -> None:
        state = parts.state
        self._state, self._admission, self._grace, self._keying = state, parts.admission, parts.grace, parts.keying
        self._downlink, self._reports, self._handshakes = parts.downlink, parts.reports, parts.handshakes
        self._rates, self._keypads, self._dials = parts.rates, parts.keypads, parts.dials
        self._status, self._keys, self._ledgers = status, keys, ledgers
        self._legs, self._sessions, self._streams = state.legs, state.sessions, state.streams
        self.goodbyes: list[Packet] = []
        """RTCP BYEs that the next tick takes along."""

    # -- come ---------------------------------------------------------------------------------

    def add(self, wish: LegAdd) -> LegAdded:
        """Take a leg in.

        Raises:
            PortError: it was refused, and nothing has changed.
        """
        conference = self._state.conferences.named(wish.conference)
        if wish.leg in self._legs:
            raise PortError(Refusal.DUPLICATE_LEG, f"leg {wish.leg!r} exists")
        plan = wishes.plan_leg(wish, conference)
        wishes.check_sound(wish)
        for key in (wish.rx, wish.tx):
            if key:
                self._ledgers.sent.check(key.secret)
        if wish.ssrc and not self._may_claim(conference, wish.ssrc):
            raise PortError(Refusal.SSRC_CONFLICT, f"SSRC {wish.ssrc} is in use in {conference.name!r}; take another")
        leg = self._legs.add(wishes.without_keys(wish), conference.row, plan.suite, self._state.frame)
        if wish.tx:
            self._record(leg, wish.tx)
        plan = replace(plan, rate=self._rates.begin(conference, plan.form))
        conference.legs.add(leg.row)
        if plan.mode >= Mode.GROUP_SSRC:
            conference.cohort_legs[wish.cohort].add(leg.row)
        self._begin_keys(leg, plan, wish.tx, conference)
        self._join_stream(leg, conference, plan)
        self._describe(leg, plan)
        self._open_uplink(leg, plan.uplink)
        if wish.uplink == "group":
            self._keys.uplink(conference).join(leg)
        self._open_downlink(leg, wish.tx, conference, plan.mode)
        if wish.dtls:
            self._handshakes.expect(leg, plan.remote)
        elif plan.remote is not None:
            self._admission.place(leg.row, plan.remote)
        self._reports.schedule(leg.row)
        self._downlink.reserve(len(self._legs) + len(conference.streams))
        return self._added(leg)

    def _begin_keys(self, leg: Leg, plan: LegPlan, tx: Key | None, conference: Conference) -> None:
        if plan.uplink:
            self._keys.rx(leg).begin(plan.uplink)
        if tx:
            self._keys.tx(conference, leg).begin(tx)

    def _record(self, leg: Leg, tx: Key) -> None:
        """Keep a key's fingerprint before it is used; if that fails, the leg was never there."""
        try:
            self._ledgers.sent.record(tx.secret)
        except PortError:
            self._legs.remove(leg, self._state.frame)
            raise

    def _may_claim(self, conference: Conference, ssrc: int) -> bool:
        registry = self._state.registry
        return not registry.is_ours(ssrc) and registry.owner(conference.row, ssrc) < 0

    def _describe(self, leg: Leg, plan: LegPlan) -> None:
        legs, row, wish, form = self._legs, leg.row, leg.wish, plan.form
        legs.mode[row], legs.cohort[row] = plan.mode, wish.cohort
        legs.bridged[row] = wish.bridged and plan.mode >= Mode.GROUP_SSRC
        legs.codec[row], legs.clock[row], legs.payload_type[row] = form.codec, form.clock, form.payload_type
        legs.rate[row] = plan.rate
        legs.noise_type[row] = form.noise_type
        legs.event_type[row] = -1 if wish.dtmf is None else wish.dtmf
        legs.gain[row] = _factor(wish.gain_db)
        self._set_apart(leg)
        legs.stereo[row] = wish.opus is not None and wish.opus.stereo
        self._shape(leg, wish)
        legs.level_in[row] = wish.level_in or 0
        legs.group_uplink[row] = wish.uplink == "group"
        legs.heard[row] = self._state.frame
        if wish.own_port:
            legs.local[row] = FIRST_LEG_PORT + 2 * row
        legs.rtcp_local[row] = legs.local[row] + (0 if wish.rtcp_mux else 1)
        legs.rtcp_apart[row] = wish.dtls is not None and not wish.rtcp_mux
        self._direct(leg, wish.direction)
        self._set_timeout(leg, wish.timeout_s)
        self._state.playout(plan.rate).open(row, wish.delay_min_ms, wish.delay_max_ms)
        self._state.reception.open(row)

    def _shape(self, leg: Leg, wish: LegAdd | LegModify) -> None:
        """How what it says is to sound."""
        if wish.agc is not None:
            self._legs.agc[leg.row] = wish.agc
        if wish.position is not None:
            self._legs.position[leg.row] = wish.position
        if wish.noise_suppression is not None:
            self._legs.denoised[leg.row] = wish.noise_suppression
            leg.denoiser = (leg.denoiser or Denoiser()) if wish.noise_suppression else None

    def _open_uplink(self, leg: Leg, key: Key | None) -> None:
        legs, row, ssrc = self._legs, leg.row, leg.wish.ssrc
        legs.declared[row] = ssrc is not None
        if ssrc:
            self._state.registry.claim(int(legs.conference[row]), ssrc, row)
            legs.ssrc[row] = ssrc
            self._state.routes.know_ssrc(ssrc, row)
        if key is None:
            return
        suite, mki = SUITES[key.suite], bytes.fromhex(key.mki)
        if key.roc and not ssrc:
            leg.late_key = (suite, Secret(key.secret.reveal()), mki, key.roc)
            return
        legs.rx_session[row] = self._sessions.open(suite, key.secret, mki, ssrc=ssrc or 0, roc=key.roc)

    def _open_downlink(self, leg: Leg, tx: Key | None, conference: Conference, mode: Mode) -> None:
        legs, row, stream = self._legs, leg.row, int(self._legs.stream[leg.row])
        keyed = tx is not None or leg.wish.dtls is not None
        own = mode == Mode.CLEAR or (keyed and mode != Mode.GROUP_MKI)
        legs.own_ssrc[row] = self._state.registry.allocate(conference.row) if own else 0
        legs.own_index[row], legs.fresh[row] = first_index(), True
        if tx:
            ssrc = int(legs.own_ssrc[row] if own else self._streams.ssrc[stream])
            legs.tx_session[row] = self._sessions.open(SUITES[tx.suite], tx.secret, bytes.fromhex(tx.mki), ssrc=ssrc)
        if tx and mode == Mode.GROUP_MKI:
            conference.shape = (tx.suite, len(tx.mki))
            self._keys.tx(conference, leg).name(tx)
        if mode >= Mode.GROUP_SSRC and self._streams.session[stream] < 0:
            self._keying.key_stream(stream)

    def _join_stream(self, leg: Leg, conference: Conference, plan: LegPlan) -> None:
        row = self._streams.find(plan.form, leg.wish.cohort)
        if row < 0:
            ssrc = self._state.registry.allocate(conference.row)
            row = self._streams.open(plan.form, leg.wish.cohort, ssrc, plan.rate)
            conference.streams.add(row)
        self._streams.members[row] += 1
        self._legs.stream[leg.row] = row

    def _added(self, leg: Leg) -> LegAdded:
        legs, row = self._legs, leg.row
        position = self._keying.position(int(legs.stream[row]))
        lone = bool(alone(self._state, np.array([row]))[0]) and legs.mode[row] == Mode.GROUP_SSRC
        if (legs.mode[row] in (Mode.CLEAR, Mode.UNIQUE) or lone) and legs.own_ssrc[row]:
            ssrc, index = int(legs.own_ssrc[row]), int(legs.own_index[row])
            payload_type = position.payload_type
            position = StreamPosition(ssrc=ssrc, roc=index >> 16, seq=index & 0xFFFF, payload_type=payload_type)
        return LegAdded(leg=leg.name, payload_type=position.payload_type, stream=position)

    # -- change -------------------------------------------------------------------------------

    def modify(self, wish: LegModify) -> None:
        """Change a leg.

        Raises:
            PortError: it was refused, and nothing has changed.
        """
        leg = self._legs.named(wish.leg)
        remote = wishes.address(wish.remote)
        wishes.check_sound(wish)
        if wish.alone:
            wishes.check_alone(int(self._legs.mode[leg.row]), has_key=bool(self._legs.tx_session[leg.row] >= 0))
        if wish.direction:
            self._check_direction(leg, wish.direction)
            self._direct(leg, wish.direction)
            self._legs.heard[leg.row] = self._state.frame
        if wish.gain_db is not None:
            self._legs.gain[leg.row] = _factor(wish.gain_db)
        self._shape(leg, wish)
        if wish.mute is not None:
            leg.wish = msgspec.structs.replace(leg.wish, mute=wish.mute)
        if wish.alone is not None:
            leg.wish = msgspec.structs.replace(leg.wish, alone=wish.alone)
        self._set_apart(leg)
        if wish.timeout_s is not None:
            self._set_timeout(leg, wish.timeout_s)
        if wish.remove_on_timeout is not None:
            leg.wish = msgspec.structs.replace(leg.wish, remove_on_timeout=wish.remove_on_timeout)
        if remote is not None:
            self._move(leg, remote)

    def _move(self, leg: Leg, remote: NDArray[np.uint8]) -> None:
        if leg.wish.dtls and not leg.secured:
            self._handshakes.expect(leg, remote)
            return
        self._state.routes.forget(leg.row)
        self._admission.place(leg.row, remote)

    def _check_direction(self, leg: Leg, direction: str) -> None:
        legs, row = self._legs, leg.row
        if legs.mode[row] == Mode.CLEAR or leg.wish.dtls:
            return
        if direction in ("sendrecv", "sendonly") and legs.rx_session[row] < 0 and leg.late_key is None:
            raise PortError(Refusal.KEY_MISSING, "this leg was added without `rx` and cannot speak; add it anew")
        unique = legs.mode[row] == Mode.UNIQUE and direction in ("sendrecv", "recvonly")
        needs_own = unique or (legs.mode[row] == Mode.GROUP_MKI and direction != "recvonly")
        if needs_own and legs.tx_session[row] < 0:
            raise PortError(
                Refusal.KEY_MISSING, "this leg was added without `tx` and cannot hear a mix of its own; add it anew"
            )

    def _direct(self, leg: Leg, direction: str) -> None:
        if leg.wish.dtls and not leg.secured:
            leg.wish = msgspec.structs.replace(leg.wish, direction=direction)  # for when it has keys
            self._admission.direct(leg, "inactive")
        else:
            self._admission.direct(leg, direction)

    def _set_apart(self, leg: Leg) -> None:
        self._legs.muted[leg.row] = leg.wish.mute or leg.wish.alone
        self._legs.alone[leg.row] = leg.wish.alone

    def _set_timeout(self, leg: Leg, seconds: float) -> None:
        self._legs.timeout[leg.row] = math.ceil(seconds * 1000 / self._state.config.tick_ms)

    # -- go -----------------------------------------------------------------------------------

    def remove(self, leg: Leg) -> LegStatus:
        """Let a leg go, say goodbye to it, and return its final statistics."""
        legs, row = self._legs, leg.row
        conference = self._state.conference_of(row)
        (status,) = self._status.legs(conference, np.array([row]))
        if legs.located[row]:
            farewell = self._reports.compose(leg, goodbye=True)
            self.goodbyes += [(octets, to.copy(), port) for octets, to, port in farewell]
        if legs.talking[row]:
            self._state.events.append(Talking(conference=conference.name, leg=leg.name, talking=False))
        self._keypads.forget(row)
        self._dials.forget(row)
        self._admission.forget(row)
        self._handshakes.forget(leg)
        for session in (
            legs.rx_session,
            legs.tx_session,
            legs.minus_session,
            legs.rtcp_rx_session,
            legs.rtcp_tx_session,
        ):
            self._sessions.close(int(session[row]))
        self._forget_keys(leg, conference)
        if leg.late_key:
            leg.late_key[1].wipe()
        self._state.fall_silent(row)
        self._leave_stream(conference, int(legs.stream[row]))
        conference.legs.discard(row)
        conference.cohort_legs[leg.wish.cohort].discard(row)
        legs.remove(leg, self._state.frame)
        return status

    def _forget_keys(self, leg: Leg, conference: Conference) -> None:
        self._grace.leave(leg)
        self._keys.tx(conference, leg).leave()

    def _leave_stream(self, conference: Conference, row: int) -> None:
        self._streams.members[row] -= 1
        if self._streams.members[row] == 0:
            self._sessions.close(int(self._streams.session[row]))
            self._streams.close(row)
            conference.streams.discard(row)
            self._state.moved = True  # it may have led others, though nobody was sent it


def _factor(gain_db: float) -> float:
    return float(10.0 ** (gain_db / 20.0))
