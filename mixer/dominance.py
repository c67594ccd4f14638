"""Dominance: who leads the talk in a conference. For a user interface: whom to show.

Each leg has a `dominance`, that follows its presence (see `talkers`) while it speaks in the mix, and falls back to
nothing while it does not, both within some FOLLOW_MS. So it grows with how long and how loud somebody speaks. Of each
conference the first is dominant, and stays so, also through silence, until another is ahead by MARGIN.

It is the square root that counts: who speaks four times as loud as another does not lead four times as long. What is
mostly noise (less than half of its loudness is above its noise floor) does not count as speech.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer.port import DominantSpeaker
from mixer.state import State

LOOK_MS: Final = 100
FOLLOW_MS: Final = 1200
MARGIN: Final = np.float32(1.25)
LEAST: Final = np.float32(2.0)
"""Who has less does not lead: it has just begun, or whispers."""


class Dominance:
    """Tells who is dominant."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._follow = np.float32(1 - np.exp(-LOOK_MS / FOLLOW_MS))

    def look(self) -> None:
        """Look who leads now. To be called every LOOK_MS."""
        legs, top, frame = self._state.legs, self._state.legs.top, self._state.frame
        speaks = legs.seated[:top] & (frame - legs.voiced[:top] <= self._state.ticks(LOOK_MS))
        speaks &= legs.score[:top] > 0.5 * legs.loudness[:top]
        strength = np.where(speaks, np.sqrt(legs.presence[:top]), np.float32(0))
        legs.dominance[:top] += self._follow * (strength - legs.dominance[:top])
        for row in self._leaders().tolist():
            self._tell(row)

    def _leaders(self) -> NDArray[np.int64]:
        """Of each conference the leg that is ahead of the dominant one, if there is one."""
        legs, top = self._state.legs, self._state.legs.top
        rows = np.flatnonzero(legs.used[:top] & (legs.dominance[:top] > LEAST))
        ahead = np.where(legs.dominant[rows], MARGIN, np.float32(1)) * legs.dominance[rows]
        order = np.lexsort((-ahead, legs.conference[rows]))
        _, first = np.unique(legs.conference[rows[order]], return_index=True)
        leaders = rows[order[first]]
        return leaders[~legs.dominant[leaders]]

    def _tell(self, row: int) -> None:
        legs, conference = self._state.legs, self._state.conference_of(row)
        legs.dominant[list(conference.legs)] = False
        legs.dominant[row] = True
        self._state.events.append(DominantSpeaker(conference=conference.name, leg=legs.at(row).name))
