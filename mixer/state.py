"""State: the tables of one engine side by side, and its clock.

The floor on which the story takes place. Each table's own file says what its columns mean; the steps
(`uplink`, `voices`, `downlink`, `reports`, `desk`, `watch`) read and write them, one after another.
"""

from __future__ import annotations

import secrets
from collections import deque

import numpy as np

from mixer.conferences import Conference, Conferences
from mixer.config import MixerConfig
from mixer.hush import Hush
from mixer.legs import Legs
from mixer.playout import Playout
from mixer.port import Event
from mixer.reception import Reception
from mixer.registry import SsrcRegistry
from mixer.routes import Routes
from mixer.srtp import Sessions
from mixer.streams import Streams
from mixer.waiting import Waiting


class State:
    """All that an engine knows."""

    def __init__(self, config: MixerConfig) -> None:
        self.config = config
        self.boot_id = secrets.token_hex(8)
        """The name of this life of the mixer."""
        self.frame = 0
        """Ticks since the beginning: the engine's only clock."""
        self.legs = Legs(config.max_legs, config.tick_ms)
        self.conferences = Conferences(config.max_legs, config.tick_ms)
        self.streams = Streams(config.max_legs)
        self.sessions = Sessions()
        self.reception = Reception(config.max_legs)
        self.playouts: dict[int, Playout] = {}
        """By sampling rate, Hz; made when the first leg of that rate comes."""
        self.waiting = Waiting(config.max_legs)
        self.hush = Hush(self.legs, self.reception)
        self.routes = Routes()
        self.registry = SsrcRegistry()
        self.events: deque[Event] = deque()
        self.moved = True
        """Who is sent what, or where, has changed since plans were made."""

    @property
    def elapsed_ms(self) -> int:
        """Milliseconds since the beginning."""
        return self.frame * self.config.tick_ms

    def ticks(self, ms: int) -> int:
        """How many ticks so many milliseconds are."""
        return ms // self.config.tick_ms

    def playout(self, rate: int) -> Playout:
        """The playout buffers of a sampling rate."""
        if rate not in self.playouts:
            self.playouts[rate] = Playout(self.legs.rows, rate, self.config.tick_ms)
        return self.playouts[rate]

    def fall_silent(self, row: int) -> None:
        """What a leg said before has nothing to do with what it will say: it left, or has another SSRC."""
        self.playouts[int(self.legs.rate[row])].stop(row)
        self.waiting.forget(row)
        self.hush.forget(row)
        self.legs.awake[row] = self.legs.running[row] = False

    def conference_of(self, leg: int) -> Conference:
        """The conference that a leg row is in."""
        return self.conferences.at(int(self.legs.conference[leg]))

    def stereo(self, rate: int) -> bool:
        """True if somebody hears a conference of that rate in stereo."""
        ears = np.flatnonzero(self.legs.stereo[: self.legs.top] & self.legs.used[: self.legs.top])
        return bool((self.conferences.rate[self.legs.conference[ears]] == rate).any())
