"""The watch: notices what happens to legs and keys over time, and tells it as events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer import mixing
from mixer.dominance import LOOK_MS, Dominance
from mixer.legs import Leg, Mode
from mixer.port import AuthFailures, KeyExpiring, LegTimeout, Talking
from mixer.state import State
from mixer.talkers import Seating

SILENT_MS: Final = 300
"""A talker that was not heard for so long has stopped talking."""
SLOW_LOOK_MS: Final = 1000


class Watch:
    """Keeps an eye on the tables."""

    def __init__(self, state: State, remove: Callable[[Leg], object]) -> None:
        self._state = state
        self._remove = remove
        self._dominance = Dominance(state)
        self._failures_told = np.zeros(state.legs.rows, np.int64)

    def note_levels(self, rows: NDArray[np.int64], rms: NDArray[np.float32]) -> None:
        """Take note of how loud legs are."""
        self._state.legs.level[rows], self._state.legs.sounded[rows] = mixing.dbov(rms), self._state.frame

    def note_talkers(self, seating: Seating) -> None:
        """Take note of who is heard."""
        legs, frame = self._state.legs, self._state.frame
        heard = seating.leg[~seating.leaves & (legs.voiced[seating.leg] == frame)]
        for row in heard[~legs.talking[heard]].tolist():
            self._tell_talking(row, True)
        legs.talked[heard] = frame

    def look(self) -> None:
        """Look after what needs no hurry. To be called every tick."""
        if self._state.frame % self._state.ticks(LOOK_MS) == 0:
            self._look_for_silence()
            self._dominance.look()
        if self._state.frame % self._state.ticks(SLOW_LOOK_MS) == 0:
            self._look_for_timeouts()
            self._look_for_failures()
            self._look_for_worn_keys()

    def _look_for_silence(self) -> None:
        legs, top, frame = self._state.legs, self._state.legs.top, self._state.frame
        over = legs.talking[:top] & (frame - legs.talked[:top] > self._state.ticks(SILENT_MS))
        for row in np.flatnonzero(over).tolist():
            self._tell_talking(row, False)
        legs.level[:top][legs.sounded[:top] < frame - 1] = 127

    def _tell_talking(self, row: int, talking: bool) -> None:
        legs = self._state.legs
        legs.talking[row] = talking
        name = self._state.conference_of(row).name
        self._state.events.append(Talking(conference=name, leg=legs.at(row).name, talking=talking))

    def _look_for_timeouts(self) -> None:
        legs, top = self._state.legs, self._state.legs.top
        silent = self._state.frame - legs.heard[:top]
        # A leg without a key to hear it by can't be told from one that is gone.
        audible = (legs.rx_session[:top] >= 0) | (legs.mode[:top] == Mode.CLEAR)
        over = legs.used[:top] & audible & (legs.timeout[:top] > 0) & (silent >= legs.timeout[:top])
        legs.timed_out[:top] &= over
        for row in np.flatnonzero(over & ~legs.timed_out[:top]).tolist():
            legs.timed_out[row] = True
            self._time_out(legs.at(row), int(silent[row]))

    def _time_out(self, leg: Leg, ticks: int) -> None:
        self._state.events.append(
            LegTimeout(
                conference=self._state.conference_of(leg.row).name,
                leg=leg.name,
                silent_s=round(ticks * self._state.config.tick_ms / 1000, 3),
                removed=leg.wish.remove_on_timeout,
            )
        )
        if leg.wish.remove_on_timeout:
            self._remove(leg)

    def _look_for_failures(self) -> None:
        legs, top = self._state.legs, self._state.legs.top
        told = np.minimum(self._failures_told[:top], legs.auth_failures[:top])
        more = np.where(legs.used[:top], legs.auth_failures[:top] - told, 0)
        for row in np.flatnonzero(more).tolist():
            name = self._state.conference_of(row).name
            self._state.events.append(AuthFailures(conference=name, leg=legs.at(row).name, failures=int(more[row])))
        self._failures_told[:top] = legs.auth_failures[:top]

    def _look_for_worn_keys(self) -> None:
        streams, top, frame = self._state.streams, self._state.streams.top, self._state.frame
        for row in np.flatnonzero(streams.session[:top] >= 0).tolist():
            conference, cohort = self._state.conferences.at(int(streams.conference[row])), int(streams.cohort[row])
            line = conference.line(cohort)
            if line.active is None or line.warned:
                continue
            packets, ticks = int(streams.under_key[row]), frame - line.since
            soft = line.active.max_packets // 2 if line.active.max_packets else self._state.config.soft_epoch_packets
            if packets >= soft or 2 * ticks >= streams.expiry[row] - line.since:
                line.warned = True
                self._state.events.append(
                    KeyExpiring(
                        conference=conference.name,
                        cohort=cohort,
                        epoch=line.active.epoch,
                        packets=packets,
                        age_s=ticks * self._state.config.tick_ms / 1000,
                    )
                )
