"""The engine: a mixer as a value that eats batches and commands, and yields packets and events.

It opens no socket, reads no clock and awaits nothing. Time is `frame`, which only `tick` advances; what
the shell knows of real time it passes in as data (`Batch.arrival`, `wall_clock`). The contract:

* three inputs: `receive` what arrived, `apply` what control wants, `tick` when an interval is over;
* two outputs: the fanouts that `tick` returns, to be sent before the next call, and `events`;
* nothing that a peer sends raises; `apply` raises `PortError`, and then nothing has changed;
* not re-entrant: one caller, one call at a time. Commands take effect between ticks.

Read `receive` and `tick` for the way of a packet; each step is a room of its own.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer import mixing, window
from mixer.admission import Admission
from mixer.batch import Batch, Fanout
from mixer.conferences import Conferences
from mixer.config import MixerConfig
from mixer.desk import Desk, Rooms
from mixer.downlink import Downlink, Plan, fanout_of
from mixer.drops import Tally
from mixer.legs import Legs, Mode
from mixer.mixing import Mix
from mixer.playout import Playout
from mixer.port import AuthFailures, Command, Event, KeyExpiring, KeySwitched, LegTimeout, Reply, Talking
from mixer.reception import Reception
from mixer.registry import SsrcRegistry
from mixer.reports import Reports
from mixer.resample import next_past, resample, taps
from mixer.routes import Routes
from mixer.srtp import Sessions
from mixer.streams import PAST, Streams
from mixer.uplink import Uplink

SILENT_MS: Final = 300
"""A talker that was not mixed for so long has stopped talking."""
HOUSEKEEPING_MS: Final = 1000

Voices = tuple[NDArray[np.int64], NDArray[np.float32]]


@dataclass(slots=True)
class Counters:
    """What the engine did, cumulative."""

    frames: int = 0
    encodes: int = 0
    encrypts: int = 0
    common_encodes: int = 0
    """Encodes done once for all listeners of a stream."""
    common_encrypts: int = 0
    """Encrypts done once for all listeners of a stream."""
    packets_sent: int = 0


class Engine:
    """One mixer.

    Args:
        config: sizes and the length of a tick.
        lap: called with the name of each step when it is done, to time the steps.
    """

    def __init__(self, config: MixerConfig, *, lap: Callable[[str], None] | None = None) -> None:
        self.config = config
        self.boot_id = secrets.token_hex(8)
        self.frame = 0
        self.tally = Tally()
        self.counters = Counters()
        self._lap = lap or (lambda step: None)
        self._events: deque[Event] = deque()
        self._legs = Legs(config.max_legs, config.tick_ms)
        self._conferences = Conferences(config.max_legs, config.tick_ms)
        self._streams = Streams(config.max_legs)
        self._sessions = Sessions()
        self._reception = Reception(config.max_legs)
        self._playouts: dict[int, Playout] = {}
        routes, registry = Routes(), SsrcRegistry()
        self._admission = Admission(
            self._legs,
            self._conferences,
            routes,
            registry,
            self._sessions,
            self._reception,
            self._playouts,
            self._events.append,
            config.tick_ms,
        )
        self._uplink = Uplink(self._legs, routes, self._sessions, self._admission, self._reception, self._playouts)
        self._downlink = Downlink(self._legs, self._conferences, self._streams, self._sessions, registry)
        self._reports = Reports(
            self._legs,
            self._conferences,
            self._streams,
            routes,
            self._sessions,
            self._reception,
            self._admission,
            config.cname,
            config.tick_ms,
        )
        rooms = Rooms(
            self._legs,
            self._conferences,
            self._streams,
            routes,
            registry,
            self._sessions,
            self._reception,
            self._playouts,
            self._admission,
            self._downlink,
            self._reports,
        )
        self._desk = Desk(config, self.boot_id, rooms, self._events.append)
        self._plans: list[Plan] = []
        self._mixes: dict[int, deque[Mix]] = {}
        self._past: dict[int, NDArray[np.float32]] = {}
        self._past_frame = np.full(config.max_legs, -1, np.int64)
        self._failures_told = np.zeros(config.max_legs, np.int64)

    # -- the way of a packet, in --------------------------------------------------------------

    def receive(self, batch: Batch) -> None:
        """Take what arrived since the last call. The octets are decrypted in place."""
        if not batch.count:
            return
        fate, rtcp, address = self._uplink.receive(batch, self.frame, self._lap)
        for row in np.flatnonzero(rtcp).tolist():
            fate[row], goodbye = self._reports.receive(batch, row, int(address[row]), self.frame)
            if goodbye:
                self._events.append(goodbye)
        self.tally.settle(fate)
        self._lap("rtcp")

    # -- the way of a packet, out -------------------------------------------------------------

    def tick(self) -> list[Fanout]:
        """Mix one interval and return what is to be sent; it stays valid until the next tick."""
        self._downlink.begin()
        self._admission.begin()
        voices = self._take()
        self._lap("take")
        for silent in self._mixes.keys() - voices.keys():
            del self._mixes[silent]  # its last conference is gone, and so is what was said there
        for rate, (rows, voice) in voices.items():
            self._mixes.setdefault(rate, self._recent()).append(self._mix(rows, voice))
        self._lap("mix")
        fanouts = self._serve()
        self.frame += 1
        fanouts += self._rtcp()
        self._keep_house()
        self._count()
        self._lap("rtcp")
        return fanouts

    def _take(self) -> dict[int, Voices]:
        """One tick of every leg that is heard, for each rate at which conferences mix."""
        parts: dict[int, list[Voices]] = {rate: [] for rate in self._conferences.rates()}
        for playout in self._playouts.values():
            rows, frames = playout.take()
            heard = self._legs.speaks[rows] & ~self._legs.muted[rows]
            if not heard.all():
                rows, frames = rows[heard], frames[heard]
            rates = self._conferences.rate[self._legs.conference[rows]]
            for rate in np.unique(rates).tolist():
                some = rates == rate
                leg, voice = rows[some], frames[some].astype(np.float32)
                parts[rate].append((leg, self._at_rate(leg, voice, playout.rate, rate)))
        return {rate: self._join(some, rate) for rate, some in parts.items()}

    def _at_rate(
        self, leg: NDArray[np.int64], voice: NDArray[np.float32], clock: int, rate: int
    ) -> NDArray[np.float32]:
        """Apply the gain, and bring voices from the legs' clock to the rate of the mix."""
        gain = self._legs.gain[leg]
        if (gain != 1.0).any():
            voice *= gain[:, None]
        if clock == rate:
            return voice
        if clock not in self._past:
            self._past[clock] = np.zeros((self.config.max_legs, PAST), np.float32)
        depth = taps(clock, rate)
        past = self._past[clock][leg, :depth]
        past[self._past_frame[leg] != self.frame - 1] = 0  # it was silent: what is kept is old
        self._past[clock][leg, :depth] = next_past(past, voice)
        self._past_frame[leg] = self.frame
        return resample(past, voice, clock, rate)

    def _join(self, parts: list[Voices], rate: int) -> Voices:
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return np.empty(0, np.int64), np.empty((0, rate * self.config.tick_ms // 1000), np.float32)
        return np.concatenate([rows for rows, _ in parts]), np.concatenate([voice for _, voice in parts])

    def _mix(self, rows: NDArray[np.int64], voice: NDArray[np.float32]) -> Mix:
        """Choose the talkers of each conference and mix them."""
        legs = self._legs
        rms = mixing.loudness(voice)
        legs.loudness[rows] = np.maximum(rms, mixing.RELEASE * legs.loudness[rows])
        candidates = np.flatnonzero((legs.loudness[rows] > mixing.GATE) & ~legs.claimed_silent[rows])
        conference = legs.conference[rows[candidates]]
        chosen = mixing.loudest(conference, legs.loudness[rows[candidates]], self._conferences.max_talkers[conference])
        talker = candidates[chosen]
        mix = mixing.mix(rows[talker], conference[chosen], voice[talker])
        self._note_talkers(mix, rows, rms)
        return mix

    def _serve(self) -> list[Fanout]:
        """Encode, encrypt and address the packets that this tick completes."""
        if self._admission.moved:
            self._plans = self._downlink.plans()
            self._admission.moved = False
        fanouts = []
        switched: list[KeySwitched] = []
        for plan in self._plans:
            for number in window.due(plan.ptime, self.config.tick_ms, self.frame):
                begin = number * plan.ptime
                mix = window.compose(self._mixes[plan.rate], self.config.tick_ms, self.frame, begin, plan.ptime)
                fanouts.append(self._downlink.emit(plan, mix, begin, self._lap, switched))
        self._events.extend(switched)
        return fanouts

    def _recent(self) -> deque[Mix]:
        """Room for the mixes that the longest packet spans."""
        return deque(maxlen=window.LONGEST_MS // self.config.tick_ms + 1)

    def _rtcp(self) -> list[Fanout]:
        packets = self._desk.farewell + self._reports.due(self.frame)
        self._desk.farewell = []
        return [fanout_of(packets)] if packets else []

    # -- control ------------------------------------------------------------------------------

    def apply(self, command: Command) -> Reply:
        """Put a command in force, or refuse it and change nothing.

        Raises:
            PortError: with the reason.
        """
        return self._desk.apply(command, self.frame)

    def events(self) -> list[Event]:
        """What happened since the last call."""
        happened = list(self._events)
        self._events.clear()
        return happened

    def refuse_newcomers(self) -> None:
        """Take no new conferences or legs from now on."""
        self._desk.draining = True

    def drain(self) -> None:
        """Refuse newcomers and remove every leg; the next tick carries their RTCP BYEs."""
        self._desk.drain(self.frame)

    @property
    def draining(self) -> bool:
        return self._desk.draining

    def set_wall_clock(self, unix_seconds: float) -> None:
        """Tell the Unix time of frame 0, for NTP timestamps in sender reports."""
        self._reports.wall_clock = unix_seconds

    def local_port_of(self, leg: str) -> int:
        """The local port number that a leg's RTP uses (see `Batch.local`).

        Raises:
            PortError: UNKNOWN_LEG.
        """
        return int(self._legs.local[self._legs.named(leg).row])

    def legs_of(self, conference: str) -> list[str]:
        """Names of a conference's legs.

        Raises:
            PortError: UNKNOWN_CONFERENCE.
        """
        return [self._legs.at(row).name for row in sorted(self._conferences.named(conference).legs)]

    def conferences(self) -> list[str]:
        """Names of all conferences."""
        return self._conferences.names()

    def owns_port(self, leg: str, local: int) -> bool:
        """True while a leg of that name has that local port for its RTP or RTCP."""
        return leg in self._legs and (local & ~1) == self.local_port_of(leg)

    def has_leg(self, leg: str) -> bool:
        """True while there is a leg of that name."""
        return leg in self._legs

    def close(self) -> None:
        """Destroy all SRTP sessions."""
        self._sessions.close_all()

    @property
    def legs_count(self) -> int:
        return len(self._legs)

    @property
    def conferences_count(self) -> int:
        return len(self._conferences)

    # -- what is noticed on the way -----------------------------------------------------------

    def _note_talkers(self, mix: Mix, rows: NDArray[np.int64], rms: NDArray[np.float32]) -> None:
        legs = self._legs
        legs.level[rows], legs.sounded[rows] = mixing.dbov(rms), self.frame
        for row in mix.talker[~legs.talking[mix.talker]].tolist():
            self._tell_talking(row, True)
        legs.talked[mix.talker] = self.frame

    def _tell_talking(self, row: int, talking: bool) -> None:
        self._legs.talking[row] = talking
        name = self._conferences.at(int(self._legs.conference[row])).name
        self._events.append(Talking(conference=name, leg=self._legs.at(row).name, talking=talking))

    def _keep_house(self) -> None:
        """Look after what needs no hurry."""
        legs, top = self._legs, self._legs.top
        tick_ms = self.config.tick_ms
        if self.frame % (100 // tick_ms) == 0:
            stale = legs.talking[:top] & (self.frame - legs.talked[:top] > SILENT_MS // tick_ms)
            for row in np.flatnonzero(stale).tolist():
                self._tell_talking(row, False)
            legs.level[:top][legs.sounded[:top] < self.frame - 1] = 127
        if self.frame % (HOUSEKEEPING_MS // tick_ms) == 0:
            self._tell_timeouts()
            self._tell_failures()
            self._tell_expiry()

    def _tell_timeouts(self) -> None:
        legs, top = self._legs, self._legs.top
        silent = self.frame - legs.heard[:top]
        # A leg without a key to hear it by can't be told from one that is gone.
        audible = (legs.rx_session[:top] >= 0) | (legs.mode[:top] == Mode.CLEAR)
        over = legs.used[:top] & audible & (legs.timeout[:top] > 0) & (silent >= legs.timeout[:top])
        legs.timed_out[:top] &= over
        for row in np.flatnonzero(over & ~legs.timed_out[:top]).tolist():
            leg = legs.at(row)
            legs.timed_out[row] = True
            self._events.append(
                LegTimeout(
                    conference=self._conferences.at(int(legs.conference[row])).name,
                    leg=leg.name,
                    silent_s=round(int(silent[row]) * self.config.tick_ms / 1000, 3),
                    removed=leg.wish.remove_on_timeout,
                )
            )
            if leg.wish.remove_on_timeout:
                self._desk.remove(leg, self.frame)

    def _tell_failures(self) -> None:
        legs, top = self._legs, self._legs.top
        told = np.minimum(self._failures_told[:top], legs.auth_failures[:top])
        more = np.where(legs.used[:top], legs.auth_failures[:top] - told, 0)
        for row in np.flatnonzero(more).tolist():
            name = self._conferences.at(int(legs.conference[row])).name
            self._events.append(AuthFailures(conference=name, leg=legs.at(row).name, failures=int(more[row])))
        self._failures_told[:top] = legs.auth_failures[:top]

    def _tell_expiry(self) -> None:
        streams = self._streams
        worn = (streams.session >= 0) & (streams.under_key >= self.config.soft_epoch_packets)
        for row in np.flatnonzero(worn).tolist():
            conference = self._conferences.at(int(streams.conference[row]))
            key = conference.keys.active
            if key and not conference.keys.expiry_told:
                conference.keys.expiry_told = True
                packets = int(streams.under_key[row])
                self._events.append(KeyExpiring(conference=conference.name, epoch=key.epoch, packets=packets))

    def _count(self) -> None:
        counters, downlink = self.counters, self._downlink
        counters.frames = self.frame
        counters.encodes, counters.encrypts = downlink.encodes, downlink.encrypts
        counters.common_encodes, counters.common_encrypts = downlink.common_encodes, downlink.common_encrypts
        counters.packets_sent = downlink.packets_sent
