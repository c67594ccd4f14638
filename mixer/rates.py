"""Rates that follow their members: a conference mixes at the lowest rate at which nobody loses anything.

A conference of rate `auto` has the rate of its best leg: 8 kHz for telephones, 16 for G.722 and AMR-WB, 48 for
Opus. Another rate means other resamplers, decoders and encoders, none of which can take over from those before. So
it is changed in a pause; if there is none, after `PATIENCE_MS`.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from mixer.codecs import CODECS, Coder
from mixer.conferences import Conference
from mixer.port import Opus
from mixer.state import State
from mixer.streams import Format

PATIENCE_MS: Final = 5000
LOOK_MS: Final = 100
HIGHEST: Final = 48000


def useful(form: Format) -> int:
    """The rate of a mix, Hz, beyond which a leg of this format gains nothing."""
    codec = CODECS[form.codec]
    rate = codec.sampling(form.clock, HIGHEST) if isinstance(codec, Coder) else form.clock
    return min(rate, form.settings.max_rate) if isinstance(form.settings, Opus) else rate


class Rates:
    """Watches who is in, and changes rates."""

    def __init__(self, state: State) -> None:
        self._state = state

    def begin(self, conference: Conference, form: Format) -> int:
        """The first leg chooses the rate at once. Returns the rate at which a leg of this format is sampled."""
        if conference.follows and not conference.legs:
            self.change(conference, useful(form))
        codec = CODECS[form.codec]
        return codec.sampling(form.clock, conference.rate) if isinstance(codec, Coder) else form.clock

    def look(self) -> None:
        """Look after all conferences that follow. To be called every tick."""
        if self._state.frame % self._state.ticks(LOOK_MS):
            return
        for conference in self._state.conferences.following():
            if conference.legs:
                self._look_at(conference)

    def _look_at(self, conference: Conference) -> None:
        rate = max(useful(self._state.streams.form(stream)) for stream in conference.streams)
        if rate == conference.rate:
            conference.wanted = None
            return
        if conference.wanted is None or conference.wanted[0] != rate:
            conference.wanted = rate, self._state.frame
        patient = self._state.frame - conference.wanted[1] < self._state.ticks(PATIENCE_MS)
        rows = np.fromiter(conference.legs, np.int64)
        if not (patient and self._state.legs.talking[rows].any()):
            self.change(conference, rate)

    def change(self, conference: Conference, rate: int) -> None:
        """Mix at another rate from the next tick on."""
        state = self._state
        conference.rate = state.conferences.rate[conference.row] = rate
        conference.wanted = None
        for stream in conference.streams:
            codec = CODECS[int(state.streams.codec[stream])]
            state.streams.past[stream] = 0
            if isinstance(codec, Coder):
                state.streams.rate[stream] = codec.sampling(int(state.streams.clock[stream]), rate)
        for row in conference.legs:
            codec = CODECS[int(state.legs.codec[row])]
            if isinstance(codec, Coder):
                self._resample(row, codec.sampling(int(state.legs.clock[row]), rate))
        state.moved = True

    def _resample(self, row: int, rate: int) -> None:
        """Decode what a leg sends at another rate."""
        state = self._state
        if rate == state.legs.rate[row]:
            return
        state.fall_silent(row)
        wish = state.legs.at(row).wish
        state.legs.rate[row] = rate
        state.playout(rate).open(row, wish.delay_min_ms, wish.delay_max_ms)
