"""The engine: a mixer as a value that eats batches and commands, and yields packets and events.

It opens no socket, reads no clock and awaits nothing. Time is `frame`, which only `tick` advances; what
the shell knows of real time it passes in as data (`Batch.arrival`, `set_wall_clock`). The contract:

* three inputs: `receive` what arrived, `apply` what control wants, `tick` when an interval is over;
* two outputs: the fanouts that `tick` returns, to be sent before the next call, and `events`;
* nothing that a peer sends raises; `apply` raises `PortError`, and then nothing has changed;
* not re-entrant: one caller, one call at a time. Commands take effect between ticks.

Read `receive` and `tick` for the way of a packet; each step is a room of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mixer import mixing, window
from mixer.admission import Admission
from mixer.batch import Batch, Fanout
from mixer.certificate import Identity, self_signed
from mixer.config import MixerConfig
from mixer.counters import Counters
from mixer.decoding import Decoding
from mixer.desk import Desk
from mixer.dials import Dials
from mixer.downlink import Downlink, fanout_of
from mixer.drops import Tally
from mixer.dtls import Endpoint
from mixer.grace import Grace
from mixer.handshakes import Handshakes
from mixer.keying import Keying
from mixer.keypads import Keypads
from mixer.ledger import KeyLedger
from mixer.levelling import Levelling
from mixer.limiter import Limiter
from mixer.mixing import Mix
from mixer.parts import Parts
from mixer.plans import Plan, make_plans
from mixer.port import Command, Event, PlayStart, RecordStart, Reply
from mixer.prompts import Prompts
from mixer.rates import Rates
from mixer.reports import Reports
from mixer.spread import Spread, one_by_one
from mixer.state import State
from mixer.takeover import Takeover
from mixer.talkers import Seating, Talkers
from mixer.taps import Tap, Taps
from mixer.uplink import Uplink
from mixer.voices import Rows, Voice, Voices
from mixer.watch import Watch


class Engine:
    """One mixer.

    Args:
        config: sizes and the length of a tick.
        lap: called with the name of each step when it is done, to time the steps.
        ledger: remembers every key ever sent under; of this life only if omitted.
        identity: the certificate for DTLS; one of its own if omitted.
        spread: how calls of codecs are done; with threads, if the shell has some.
    """

    def __init__(
        self,
        config: MixerConfig,
        *,
        lap: Callable[[str], None] | None = None,
        ledger: KeyLedger | None = None,
        identity: Identity | None = None,
        spread: Spread = one_by_one,
    ) -> None:
        self.config = config
        self.identity = identity or self_signed()
        self.tally = Tally()
        self.counters = Counters()
        self._lap = lap or (lambda step: None)
        self._state = State(config)
        self._grace = Grace(self._state)
        self._admission = Admission(self._state, self._grace)
        self._keypads, self._dials = Keypads(self._state), Dials(self._state)
        self._uplink = Uplink(self._state, self._admission, self._grace, self._keypads)
        self._decoding = Decoding(self._state, spread, self.counters)
        self._voices = Voices(self._state)
        self._levelling = Levelling(self._state)
        self._talkers = Talkers(self._state)
        self._keying = Keying(self._state)
        self._downlink = Downlink(self._state, self._keying, spread, self.counters, self._dials)
        self._rates = Rates(self._state)
        self._reports = Reports(self._state, self._admission, self._grace)
        takeover = Takeover(self._state, self._admission, self._grace)
        self.handshakes = Handshakes(self._state, Endpoint(self.identity), takeover)
        self._prompts, self._taps = Prompts(self._state), Taps(self._state)
        parts = Parts(
            state=self._state,
            admission=self._admission,
            grace=self._grace,
            keying=self._keying,
            downlink=self._downlink,
            reports=self._reports,
            rates=self._rates,
            handshakes=self.handshakes,
            keypads=self._keypads,
            dials=self._dials,
            prompts=self._prompts,
            taps=self._taps,
        )
        self._desk = Desk(parts, KeyLedger() if ledger is None else ledger)
        self._watch = Watch(self._state, self._desk.remove)
        self._plans: list[Plan] = []
        self._limiters: dict[int, Limiter] = {}
        """By rate."""
        self._mixes: dict[int, deque[Mix]] = {}
        """The mixes of the last ticks, by rate: a packet may be longer than a tick."""

    # -- the way of a packet, in --------------------------------------------------------------

    def receive(self, batch: Batch) -> None:
        """Take what arrived since the last call. The octets are decrypted in place."""
        if not batch.count:
            return
        fate, rtcp, address = self._uplink.receive(batch, self._lap)
        self._reports.receive(batch, np.flatnonzero(rtcp), address, fate)
        self.handshakes.receive(batch, fate)
        self.tally.settle(fate)
        self._lap("rtcp")

    # -- the way of a packet, out -------------------------------------------------------------

    def tick(self) -> list[Fanout]:
        """Mix one interval and return what is to be sent; it stays valid until the next tick."""
        self._downlink.begin()
        self._admission.begin()
        self._grace.begin()
        self._decoding.step()
        self._lap("decode")
        voices = self._voices.take()
        self._lap("take")
        mixes = self._prompts.onto(self._mix(voices))
        self._taps.note(voices, mixes)
        self._remember(mixes)
        self._lap("mix")
        self._keying.expire()
        fanouts = self._serve()
        self._state.frame += 1
        packets = self.handshakes.step() + self._desk.goodbyes() + self._reports.due()
        self._watch.look()
        self._keypads.step()
        self._rates.look()
        self._lap("rtcp")
        return [*fanouts, fanout_of(packets)] if packets else fanouts

    def _mix(self, voices: dict[int, tuple[Rows, Voice]]) -> dict[int, Mix]:
        """Level the voices, choose the talkers of all conferences, and mix them: one mix for each rate."""
        for rows, voice in voices.values():
            rms = mixing.loudness(voice)
            self._levelling.level(rows, voice, rms)
            self._talkers.hear(rows, rms)
            self._watch.note_levels(rows, rms)
        seating = self._talkers.choose()
        self._watch.note_talkers(seating)
        rate = self._state.conferences.rate[seating.conference]
        return {hertz: self._sum(hertz, seating.part(rate == hertz), voice) for hertz, (_, voice) in voices.items()}

    def _sum(self, rate: int, seating: Seating, voices: Voice) -> Mix:
        """Mix those who sit in the conferences of one rate."""
        legs, voice = self._state.legs, voices[seating.at]
        mixing.fade(voice, seating.enters, seating.leaves, self.config.tick_ms)
        if rate not in self._limiters:
            self._limiters[rate] = Limiter(len(self._state.conferences.rate), self.config.tick_ms)
        position = legs.position[seating.leg] if self._state.stereo(rate) else None
        return mixing.mix(seating.leg, seating.conference, voice, self._limiters[rate], position)

    def _remember(self, mixes: dict[int, Mix]) -> None:
        """Keep as many ticks as the longest packet spans; of a rate that no conference has any more, nothing."""
        depth = window.LONGEST_MS // self.config.tick_ms + 1
        before = self._mixes
        self._mixes = {rate: before.get(rate, deque(maxlen=depth)) for rate in mixes}
        # A limiter that is not asked would stand still, and turn down who comes next.
        self._limiters = {rate: limiter for rate, limiter in self._limiters.items() if rate in mixes}
        for rate, mix in mixes.items():
            self._mixes[rate].append(mix)

    def _serve(self) -> list[Fanout]:
        """Encode, encrypt and address the packets that this tick completes."""
        if self._state.moved:
            self._plans = make_plans(self._state)
            self._state.moved = False
        fanouts = []
        for plan in self._plans:
            for number in window.due(plan.ptime, self.config.tick_ms, self.frame):
                begin = number * plan.ptime
                mix = window.compose(self._mixes[plan.rate], self.config.tick_ms, self.frame, begin, plan.ptime)
                fanouts.append(self._downlink.emit(plan, mix, begin, self._lap))
        return fanouts

    # -- control ------------------------------------------------------------------------------

    def apply(self, command: Command) -> Reply:
        """Put a command in force, or refuse it and change nothing.

        Raises:
            PortError: with the reason.
        """
        return self._desk.apply(command)

    def play(self, command: PlayStart, samples: NDArray[np.int16]) -> Reply:
        """Put the command to play a file in force.

        Args:
            samples: int16[n], mono at `sounds.RATE`, what is in the file. Kept, not copied.

        Raises:
            PortError: it was refused, and nothing has changed.
        """
        return self._desk.play(command, samples)

    def recordable(self, command: RecordStart) -> tuple[str, int]:
        """Whether a recording can be started: the name of its conference, and the rate of its mix now, Hz.

        Raises:
            PortError: it would be refused.
        """
        return self._taps.check(command)

    def taps(self) -> list[Tap]:
        """What the last tick has for each recording; once."""
        return self._taps.take()

    def events(self) -> list[Event]:
        """What happened since the last call."""
        happened = list(self._state.events)
        self._state.events.clear()
        return happened

    def refuse_newcomers(self) -> None:
        """Take no new conferences or legs from now on."""
        self._desk.draining = True

    def part(self, conference: str) -> None:
        """A conference is about to be emptied leg by leg: the goodbye of its common streams goes to every listener.

        Raises:
            PortError: UNKNOWN_CONFERENCE.
        """
        self._desk.part(conference)

    def drain(self) -> None:
        """Refuse newcomers and remove every leg; the next tick carries their RTCP BYEs."""
        self._desk.drain()

    def close(self) -> None:
        """Destroy all SRTP sessions."""
        self._state.sessions.close_all()

    def skip(self, ticks: int) -> None:
        """Tell that so many ticks are given up: `frame` stands still, and the world went on."""
        for playout in self._state.playouts.values():
            playout.skipped(ticks)

    def set_wall_clock(self, unix_seconds: float) -> None:
        """Tell the Unix time of frame 0, for NTP timestamps in sender reports."""
        self._reports.wall_clock = unix_seconds

    # -- what the shell may ask ---------------------------------------------------------------

    @property
    def boot_id(self) -> str:
        """The name of this life of the mixer."""
        return self._state.boot_id

    @property
    def frame(self) -> int:
        """The number of the next tick."""
        return self._state.frame

    @property
    def draining(self) -> bool:
        return self._desk.draining

    @property
    def legs_count(self) -> int:
        return len(self._state.legs)

    @property
    def conferences_count(self) -> int:
        return len(self._state.conferences)

    @property
    def bridged_count(self) -> int:
        """Legs that were bridged, and are still."""
        legs, top = self._state.legs, self._state.legs.top
        return int(np.count_nonzero(legs.bridged[:top] & legs.used[:top]))

    @property
    def plays_count(self) -> int:
        """Prompts that control started."""
        return len(self._prompts)

    @property
    def records_count(self) -> int:
        return len(self._taps)

    @property
    def group_keys_count(self) -> int:
        """Cohorts with an active group key."""
        return self._state.conferences.group_keys()

    def conferences(self) -> list[str]:
        """Names of all conferences."""
        return self._state.conferences.names()

    def legs_of(self, conference: str) -> list[str]:
        """Names of a conference's legs.

        Raises:
            PortError: UNKNOWN_CONFERENCE.
        """
        rows = self._state.conferences.named(conference).legs
        return [self._state.legs.at(row).name for row in sorted(rows)]

    def has_leg(self, leg: str) -> bool:
        """True while there is a leg of that name."""
        return leg in self._state.legs

    def local_port_of(self, leg: str) -> int:
        """The local port number that a leg's RTP uses (see `Batch.local`).

        Raises:
            PortError: UNKNOWN_LEG.
        """
        return int(self._state.legs.local[self._state.legs.named(leg).row])

    def owns_port(self, leg: str, local: int) -> bool:
        """True while a leg of that name has that local port for its RTP or RTCP."""
        return self.has_leg(leg) and (local & ~1) == self.local_port_of(leg)
