"""Chances: whose packets are decoded, if more legs of a conference claim to speak than could ever be mixed.

A claim (RFC 6464) gets a leg decoded; what it says is then measured, and only that is believed. First come legs that
talk already, then the loudest by their own account, and last those that are in doubt: they claimed to be loud, were
listened to for `TRIAL_MS`, and nothing was heard. Who makes no claim is always decoded.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer.state import State

RESERVE: Final = 2
"""So many times as many legs as a conference mixes are decoded."""
TRIAL_MS: Final = 400
DOUBT_MS: Final = 10_000

Rows = NDArray[np.int64]


class Chances:
    """Chooses for all conferences."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._trial, self._doubt = state.ticks(TRIAL_MS), state.ticks(DOUBT_MS)

    def choose(self, rows: Rows) -> NDArray[np.bool_]:
        """Which of these legs, all awake, to decode: bool[n]."""
        legs = self._state.legs
        claim = legs.claim[rows]
        if (claim < 0).all():
            return np.ones(len(rows), bool)
        conference = legs.conference[rows]
        room = RESERVE * self._state.conferences.max_talkers[conference]
        order = np.lexsort((claim, self._in_doubt(rows), ~legs.talking[rows], conference))
        position = np.arange(len(rows))
        first = np.ones(len(rows), bool)
        first[1:] = conference[order][1:] != conference[order][:-1]
        place = np.empty(len(rows), np.int64)
        place[order] = position - np.maximum.accumulate(np.where(first, position, 0))
        chosen: NDArray[np.bool_] = (place < room) | (claim < 0) | legs.talking[rows]
        legs.running[rows[~chosen]] = False
        return chosen

    def _in_doubt(self, rows: Rows) -> NDArray[np.bool_]:
        """Legs that claimed what nobody could hear, for a while after."""
        legs, frame = self._state.legs, self._state.frame
        legs.tried[rows[~legs.running[rows]]] = frame
        heard = np.maximum(legs.voiced[rows], legs.tried[rows])
        legs.doubted[rows[frame - heard > self._trial]] = frame + self._doubt
        doubted: NDArray[np.bool_] = frame < legs.doubted[rows]
        return doubted
