"""RTCP of all legs: when to report what to whom, and what their reports tell.

Each leg is sent a compound of its own about every 5 s (RFC 3550 section 6.2, randomised by half): SR if
we send it an own stream, RR with what we received of it, SDES. A common stream under a group key has an
SR of its own, encrypted once for all its listeners; nothing in it is about one leg. SRTCP indices are
counted by libsrtp, one session a (key, SSRC), so that none repeats.
"""

from __future__ import annotations

import random
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer import rtcp
from mixer.admission import Admission
from mixer.batch import Batch
from mixer.drops import Drop
from mixer.grace import OTHER_KEY, Grace, more_telling
from mixer.legs import Leg, Mode
from mixer.plans import alone
from mixer.port import LegBye, LegDeaf
from mixer.routes import FIRST_LEG_PORT
from mixer.state import State

DEAF_REPORTS: Final = 2
"""So many reports in a row without news are no accident: the first may have been written before a switch."""
DEAF_PACKETS: Final = 150
"""And so many packets must have been sent meanwhile."""
INTERVAL_MS: Final = 5000
AT_ONCE: Final = 64
"""Reports sent in one tick at most; the others follow in the next."""

Packet = tuple[bytes, NDArray[np.uint8], int]
"""Octets, destination, local port."""


class Reports:
    """Sends and receives RTCP."""

    def __init__(self, state: State, admission: Admission, grace: Grace) -> None:
        self._state, self._admission, self._grace = state, admission, grace
        self._legs, self._streams, self._sessions = state.legs, state.streams, state.sessions
        self._random = random.Random()
        self.wall_clock = 0.0
        """Unix time of the engine's time 0, s."""

    # -- sending ------------------------------------------------------------------------------

    def schedule(self, row: int) -> None:
        """Plan a leg's next report."""
        self._legs.next_report[row] = self._state.frame + self._interval()

    def due(self) -> list[Packet]:
        """The reports of this tick."""
        legs, top = self._legs, self._legs.top
        ready = legs.used[:top] & legs.located[:top] & (legs.next_report[:top] <= self._state.frame)
        packets: list[Packet] = []
        for row in np.flatnonzero(ready)[:AT_ONCE].tolist():
            self.schedule(row)
            packets += self.compose(legs.at(row))
        for row in np.flatnonzero(
            (self._streams.session >= 0) & (self._streams.next_report <= self._state.frame)
        ).tolist():
            self._streams.next_report[row] = self._state.frame + self._interval()
            packets += self._common(row)
        return packets

    def compose(self, leg: Leg, *, goodbye: bool = False) -> list[Packet]:
        """The compound for one leg. One that only ever listened under a group key has no stream of its own: it
        hears the common reports, and a goodbye only when the common stream ends, too. Sent to one that leaves
        alone, the goodbye of a stream that goes on could be replayed to all others, by anybody."""
        legs, row = self._legs, leg.row
        mode, stream = legs.mode[row], int(legs.stream[row])
        lone = bool(alone(self._state, np.array([row]))[0])
        minus = mode == Mode.GROUP_SSRC and not lone
        apart = legs.rtcp_tx_session if legs.rtcp_apart[row] else legs.tx_session
        session = int(legs.minus_session[row] if minus else apart[row])
        if session < 0 and mode != Mode.CLEAR:
            ends = self._state.conference_of(row).parting or self._streams.members[stream] == 1
            return self._common(stream, only=row) if goodbye and ends and mode >= Mode.GROUP_SSRC and not lone else []
        if mode == Mode.GROUP_MKI:
            ssrc, sent = int(self._streams.ssrc[stream]), int(self._streams.index[stream] - self._streams.first[stream])
        elif minus:
            ssrc, sent = int(legs.minus_ssrc[row]), int(legs.minus_sent[row])
        else:
            ssrc, sent = int(legs.own_ssrc[row]), int(legs.own_sent[row])
        octets = rtcp.build(
            ssrc,
            self._state.config.cname,
            self._block(leg),
            sent=self._sender_info(stream, sent) if sent and legs.listens[row] else None,
            goodbye=goodbye,
        )
        if session >= 0:
            octets = self._sessions.protect_rtcp(session, octets)
        return [(octets, legs.rtcp_address[row], int(legs.rtcp_local[row]))]

    def _common(self, stream: int, *, only: int | None = None) -> list[Packet]:
        """The SR of a common stream under a group key, one ciphertext for all who listen; with `only`, and a
        BYE, for one leg that leaves."""
        legs, top = self._legs, self._legs.top
        style = self._state.conferences.at(int(self._streams.conference[stream])).style
        sequence = int(self._streams.index[stream] - self._streams.first[stream])
        sent = sequence if style == "mki" else int(self._streams.sent[stream])
        if not sent:
            return []
        info = self._sender_info(stream, sent)
        ssrc = int(self._streams.ssrc[stream])
        octets = rtcp.build(ssrc, self._state.config.cname, None, sent=info, goodbye=only is not None)
        sealed = self._sessions.protect_rtcp(int(self._streams.session[stream]), octets)
        if only is not None:
            return [(sealed, legs.rtcp_address[only], int(legs.rtcp_local[only]))]
        mine = legs.used[:top] & legs.located[:top] & legs.listens[:top] & (legs.stream[:top] == stream)
        mine &= ~legs.bridged[:top]
        # On one SSRC a receiver counts one SRTCP index, whatever the key (RFC 3711 section 3.2.1): who is sent
        # reports on it under its own key is not sent these.
        shared = (legs.mode[:top] == Mode.GROUP_SSRC) | (
            (legs.mode[:top] == Mode.GROUP_MKI) & (legs.tx_session[:top] < 0)
        )
        group = np.flatnonzero(mine & shared)
        return [(sealed, legs.rtcp_address[row], int(legs.rtcp_local[row])) for row in group.tolist()]

    def _sender_info(self, stream: int, sent: int) -> tuple[int, int, int, int]:
        now_ms = self._state.elapsed_ms
        clock = int(self._streams.clock[stream])
        timestamp = int(self._streams.timestamp[stream]) + now_ms * clock // 1000
        # Packets of one stream may have unequal lengths: octets are told by their mean.
        lead = int(self._streams.lead[stream])
        octets = sent * int(self._streams.octets[lead]) // max(1, int(self._streams.encoded[lead]))
        return self.ntp(now_ms * 1_000_000), timestamp, sent, octets & 0xFFFF_FFFF

    def _block(self, leg: Leg) -> rtcp.Report | None:
        seen = self._state.reception.report(leg.row)
        if seen is None or not self._legs.ssrc[leg.row]:
            return None
        lsr = dlsr = 0
        if leg.sender_report:
            lsr, arrived = leg.sender_report
            dlsr = max(0, (self._state.elapsed_ms * 1_000_000 - arrived) * 65536 // 1_000_000_000)
        fraction, lost, highest, jitter = seen
        return rtcp.Report(int(self._legs.ssrc[leg.row]), fraction, lost, highest, jitter, lsr, min(dlsr, 0xFFFF_FFFF))

    def ntp(self, elapsed_ns: int) -> int:
        """64-bit NTP time of a moment on the engine's clock."""
        return rtcp.ntp(self.wall_clock + elapsed_ns * 1e-9)

    def _interval(self) -> int:
        return int(INTERVAL_MS * self._random.uniform(0.5, 1.5)) // self._state.config.tick_ms

    # -- receiving ----------------------------------------------------------------------------

    def receive(
        self, batch: Batch, rows: NDArray[np.int64], address: NDArray[np.uint64], fate: NDArray[np.uint8]
    ) -> None:
        """Read the RTCP datagrams of a batch, int64[n], and fill in their fates."""
        for row in rows.tolist():
            fate[row] = self._receive(batch, row, int(address[row]))

    def _receive(self, batch: Batch, row: int, address: int) -> Drop:
        packet = batch.octets[row, : batch.length[row]].tobytes()
        sender = int.from_bytes(packet[4:8])
        local = int(batch.local[row])
        verdict = Drop.UNKNOWN_SOURCE
        if not self._admission.spend_look():
            return Drop.OVERLOAD
        for candidate in self._candidates(address, sender, local):
            leg = self._legs.at(candidate)
            verdict, clear = self._unlock(leg, packet)
            self._legs.auth_failures[candidate] += int(verdict == Drop.AUTH_FAILED)
            if verdict == Drop.ACCEPTED:
                return self._read(leg, clear, batch, row, address)
        return verdict

    def _candidates(self, address: int, sender: int, local: int) -> list[int]:
        if local >= FIRST_LEG_PORT:
            row = (local - FIRST_LEG_PORT) >> 1
            return [row] if self._legs.used[row] and self._legs.rtcp_local[row] == local else []
        placed = self._state.routes.by_address.get(address, set())
        named = self._state.routes.by_ssrc.get(sender, set())
        # Clear RTCP proves nothing: it must at least come from where the leg is.
        moved = {row for row in named - placed if self._legs.rx_session[row] >= 0}
        return [*sorted(named & placed), *sorted(placed - named), *sorted(moved)][:4]

    def _unlock(self, leg: Leg, packet: bytes) -> tuple[Drop, bytes]:
        apart = self._legs.rtcp_apart[leg.row]
        session = int((self._legs.rtcp_rx_session if apart else self._legs.rx_session)[leg.row])
        if session >= 0:
            fate, clear = self._sessions.unprotect_rtcp(session, packet)
            if self._legs.changing_key[leg.row] and fate in OTHER_KEY:
                other, clear = self._grace.open_rtcp(leg, packet)
                fate = more_telling(fate, other)
            return fate, clear
        if self._legs.mode[leg.row] != Mode.CLEAR or leg.late_key:
            return Drop.AUTH_FAILED, b""
        return Drop.ACCEPTED, packet

    def _read(self, leg: Leg, octets: bytes, batch: Batch, row: int, address: int) -> Drop:
        found = rtcp.parse(octets)
        if isinstance(found, Drop):
            return found
        legs = self._legs
        legs.heard[leg.row] = self._state.frame
        if legs.rx_session[leg.row] >= 0 and not legs.located[leg.row] and leg.wish.rtcp_mux:
            self._admission.locate(leg.row, address, batch.source[row])  # a listener that never sends RTP
        arrival = int(batch.arrival[row])
        if found.sender_ntp is not None:
            leg.sender_report = (rtcp.middle(found.sender_ntp), arrival)
        ours = {
            int(legs.own_ssrc[leg.row]),
            int(legs.minus_ssrc[leg.row]),
            int(self._streams.ssrc[legs.stream[leg.row]]),
        }
        mine = [report for report in found.reports if report.ssrc in ours]
        for report in mine:
            self._note(leg, report, arrival)
        self._note_hearing(leg, mine)
        if found.goodbye and not leg.said_goodbye:
            leg.said_goodbye = True
            self._state.events.append(LegBye(conference=self._state.conference_of(leg.row).name, leg=leg.name))
        return Drop.ACCEPTED

    def _note_hearing(self, leg: Leg, reports: list[rtcp.Report]) -> None:
        """A receiver whose key is wrong goes on to report: of the stream that it lost, or of none."""
        sent = int(self._legs.sent[leg.row])
        news = [told for report in reports if (told := (report.ssrc, report.highest)) != leg.told]
        if news or not self._legs.listens[leg.row]:
            leg.told, leg.told_sent, leg.stale_reports = (*news, leg.told)[0], sent, 0
        elif leg.told is not None and sent - leg.told_sent >= DEAF_PACKETS:
            leg.stale_reports += 1
            if leg.stale_reports == DEAF_REPORTS:
                conference = self._state.conference_of(leg.row).name
                self._state.events.append(LegDeaf(conference=conference, leg=leg.name, sent=sent - leg.told_sent))

    def _note(self, leg: Leg, report: rtcp.Report, arrival: int) -> None:
        """Loss, jitter and round-trip time as the leg sees them (RFC 3550 section 6.4.1)."""
        leg.remote_lost, leg.remote_jitter = report.lost, report.jitter
        if report.lsr:
            round_trip = (rtcp.middle(self.ntp(arrival)) - report.lsr - report.dlsr) & 0xFFFF_FFFF
            if round_trip < 1 << 31:
                leg.rtt_ms = round_trip * 1000 / 65536
