"""Talkers: who has a seat in the mix of its conference.

A conference has as many seats as it mixes legs (`max_talkers`). In each tick a leg is

    away      it has no seat and cannot be heard: below the gate, absent, muted, or silent by its own word (RFC 6464)
    waiting   it can be heard and has no seat
    seated    it is mixed

and goes from one to another like this:

    from      to        when
    ----      --        ----
    away      seated    its sound appears and a seat is free. In that very tick, whole: no onset is chopped
    away      waiting   its sound appears and all seats are taken
    waiting   seated    a seat is free; or it has been, and is now, louder by MARGIN than the weakest who sits
    seated    waiting   somebody displaced it, or there are fewer seats
    seated    away      it could not be heard for HOLD_MS; or it was muted, or its direction changed

Who is `waiting` already sounds: it is faded in, and who leaves a seat while it sounds is faded out in one tick more
(FADE_MS), so that neither clicks.

What counts is not the sound of one tick but `presence`: loudness that follows within some ATTACK_MS and is forgotten
slowly (FORGET_DB a second). So neither a click takes a seat nor a pause between words loses it, and two who are
equally loud do not take turns. And what is always there is no speech: each leg's noise floor, the least it has said
in the last one to two seconds, is taken off its loudness, all but a tenth; so fans, music and tones are mixed while
seats are free, and yield to whoever speaks.

All legs of all conferences are seated in the same expressions. Knows nothing of samples; levels are RMS on the
16-bit scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer.state import State

GATE: Final = 16.0
"""RMS at or below which a leg is not heard (-66 dBov)."""
HOLD_MS: Final = 400
"""A seat is kept through pauses so long."""
MARGIN: Final = np.float32(10 ** (4.0 / 20))
"""How much louder a challenger must be: 4 dB."""
ATTACK_MS: Final = 40
FORGET_DB: Final = 10.0
RELEASE_DB: Final = 97.0
"""By how much the remembered loudness falls in a second: word ends count as loud."""
FLOOR_MS: Final = 1000
ABOVE_FLOOR: Final = np.float32(2.0)
"""What is below so many times the floor counts as noise: noise itself is not always equally loud."""
REMAINS: Final = np.float32(0.1)
"""What steady sound counts for."""

Rows = NDArray[np.int64]
Levels = NDArray[np.float32]
Flags = NDArray[np.bool_]


@dataclass(slots=True)
class Seating:
    """Who is mixed in one tick.

    Attributes:
        leg: int64[t], rows, by conference and then loudest first.
        conference: int64[t].
        at: int64[t], where in the voices of its rate each is.
        enters: bool[t], begins amid its sound: fade it in.
        leaves: bool[t], has lost its seat: fade it out.
    """

    leg: Rows
    conference: Rows
    at: Rows
    enters: Flags
    leaves: Flags

    def part(self, which: Flags) -> Seating:
        """Some of them."""
        return Seating(self.leg[which], self.conference[which], self.at[which], self.enters[which], self.leaves[which])


class Talkers:
    """Seats them."""

    def __init__(self, state: State) -> None:
        self._state = state
        tick_s = state.config.tick_ms / 1000
        self._attack = np.float32(1 - np.exp(-1000 * tick_s / ATTACK_MS))
        self._forget = np.float32(10 ** (-FORGET_DB * tick_s / 20))
        self._release = np.float32(10 ** (-RELEASE_DB * tick_s / 20))
        self._rms = np.zeros(state.legs.rows, np.float32)
        self._present = np.zeros(state.legs.rows, bool)
        self._at = np.zeros(state.legs.rows, np.int64)

    def hear(self, rows: Rows, rms: Levels) -> None:
        """Take note of how loud legs are in this tick, those of one rate. Who is not named is silent."""
        self._rms[rows], self._present[rows], self._at[rows] = rms, True, np.arange(len(rows))

    def choose(self) -> Seating:
        """Seat the talkers of all conferences for this tick."""
        legs, top, frame = self._state.legs, self._state.legs.top, self._state.frame
        sounds = (self._rms[:top] > GATE) & ~legs.claimed_silent[:top]
        legs.voiced[:top][sounds] = frame
        score = self._score(top)
        self._follow(score)
        held = legs.seated[:top] & (frame - legs.voiced[:top] <= self._state.ticks(HOLD_MS))
        may = legs.used[:top] & legs.speaks[:top] & ~legs.muted[:top]
        contenders = np.flatnonzero((held | sounds) & may)
        seated = np.zeros(top, bool)
        seated[self._strongest(contenders, score)] = True
        seating = self._seating(seated, sounds)
        legs.seated[:top], legs.sounds[:top] = seated, sounds | legs.muted[:top]
        self._rms[:top], self._present[:top] = 0.0, False
        return seating

    def _score(self, top: int) -> Levels:
        """Loudness of each leg without what is always there; keeps loudness and noise floors, float32[top]."""
        legs, rms, loudness = self._state.legs, self._rms[:top], self._state.legs.loudness[:top]
        np.maximum(rms, self._release * loudness, out=loudness)
        before, since = legs.floor_before[:top], legs.floor_since[:top]
        np.minimum(since, rms, out=since)
        if self._state.frame % self._state.ticks(FLOOR_MS) == 0:
            before[:], since[:] = since, np.inf
        noise = ABOVE_FLOOR * np.maximum(np.minimum(before, since), 0.0)
        score = legs.score[:top]
        np.sqrt(np.maximum(loudness**2 - noise**2, (REMAINS * loudness) ** 2), out=score)
        return score

    def _follow(self, score: Levels) -> None:
        """Let presences follow."""
        presence = self._state.legs.presence[: len(score)]
        rising = presence + self._attack * (score - presence)
        presence[:] = np.where(score > presence, rising, np.maximum(self._forget * presence, score))

    def _strongest(self, contenders: Rows, score: Levels) -> Rows:
        """Those of each conference for whom there is a seat."""
        legs = self._state.legs
        conference, presence = legs.conference[contenders], legs.presence[contenders]
        strength = np.where(legs.seated[contenders], MARGIN * presence, np.minimum(presence, score[contenders]))
        order = np.lexsort((-strength, conference))
        conference = conference[order]
        rank = np.arange(len(order)) - np.searchsorted(conference, conference)
        return contenders[order[rank < self._state.conferences.max_talkers[conference]]]

    def _seating(self, seated: Flags, sounds: Flags) -> Seating:
        """Who is mixed now, among them those who were until now."""
        legs, top = self._state.legs, len(seated)
        mixed = self._present[:top] & (seated | legs.seated[:top])
        leg = np.flatnonzero(mixed)
        leg = leg[np.lexsort((-legs.loudness[leg], legs.conference[leg]))]
        # Whose sound did not reach the last tick begins now; whoever was not in the mix then begins amid it.
        enters = ~legs.seated[leg] & legs.sounds[leg]
        return Seating(leg, legs.conference[leg], self._at[leg], enters, ~seated[leg])
