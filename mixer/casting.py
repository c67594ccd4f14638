"""Casting: who hears what in one packet time. Most hear the common mix of their conference; some, an own one:

    talkers     the mix without themselves
    listeners   to a prompt that nobody else hears; or who are just told keys (`dials`)
    the lonely  what is played to them, or silence; and their packets name nobody
    lingerers   the common mix, by the encoder that they had while they talked, until there is a pause (`encoding`)

Must never know: codecs, and octets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixer.mixing import Mix, Samples
from mixer.plans import Plan
from mixer.state import State

Rows = NDArray[np.int64]


@dataclass(slots=True)
class Cast:
    """The parts of one packet time: n legs, q prototypes.

    Attributes:
        own: bool[n], the leg hears something of its own.
        leg: int64[q], whose own it is, -1 for the common ones, which come first.
        stream: int64[q], the leading stream of each prototype's format.
        audio: int16[q, samples], what each prototype says, at the rate of the mix.
        side: int16[q, samples], half the difference of left and right, None if nobody hears stereo.
        commons: how many of the prototypes are common.
        of: int64[n], the prototype of each leg.
        first, count: int64[q], where its conference's talkers begin in the mix, and how many.
        itself: int64[q], position of the talker left out, or -1 if nobody is.
        heard: bool[q], somebody hears it; a common mix that nobody does is only resampled.
        began_ms: int64[q], how long before this packet that began which it tells of; 0 for sound.
        marked: bool[q], something new begins with it.
    """

    own: NDArray[np.bool_]
    leg: Rows
    stream: Rows
    audio: Samples
    side: Samples | None
    commons: int
    of: Rows
    first: Rows
    count: Rows
    itself: Rows
    heard: NDArray[np.bool_]
    began_ms: Rows
    marked: NDArray[np.bool_]


class Casting:
    """Casts every packet time of a plan."""

    def __init__(self, state: State) -> None:
        self._state, self._legs, self._streams = state, state.legs, state.streams
        self._position = np.full(state.legs.rows, -1, np.int64)
        self._slot = np.full(len(state.conferences.rate), -1, np.int64)

    def cast(self, plan: Plan, mix: Mix, told: NDArray[np.bool_], lingers: NDArray[np.bool_]) -> Cast:
        """Decide who hears what.

        Args:
            told, lingers: bool[n], legs of the plan that are told keys, and those that must not be handed back yet.
        """
        self._position[mix.talker] = np.arange(len(mix.talker))
        at = self._position[plan.leg]
        self._position[mix.talker] = -1
        apart = (at >= 0) | told | self._legs.alone[plan.leg]
        self._legs.apart[plan.leg[apart]] = self._state.frame
        own = apart | lingers
        leg = plan.leg[own]
        # A resampler must hear every tick, even one in which all its listeners talk.
        needed = plan.sounds if plan.resampled else np.unique(plan.sound[~own])
        slot = self._slots(mix, np.concatenate([self._streams.conference[needed], self._legs.conference[leg]]))
        first = np.where(slot >= 0, np.append(mix.start, 0)[slot], 0)
        count = np.append(mix.count, 0)[slot]
        itself = np.concatenate([np.full(len(needed), -1), at[own]])
        talks = itself < first + count
        alone = np.concatenate([np.zeros(len(needed), bool), self._legs.alone[leg]])
        slot[alone], first[alone], count[alone] = -1, 0, 0
        itself[alone & talks] = -1
        return Cast(
            own=own,
            leg=np.concatenate([np.full(len(needed), -1), leg]),
            stream=np.concatenate([needed, plan.sound[own]]),
            audio=_said(mix.common, mix.minus, slot, itself),
            side=None if mix.side is None or mix.minus_side is None else _said(mix.side, mix.minus_side, slot, itself),
            commons=len(needed),
            of=np.where(own, len(needed) + np.cumsum(own) - 1, np.searchsorted(needed, plan.sound)),
            first=first,
            count=count,
            itself=np.where(talks & ~alone, itself, -1),
            heard=np.concatenate([np.isin(needed, plan.sound[~own]), np.ones(len(leg), bool)]),
            began_ms=np.zeros(len(slot), np.int64),
            marked=np.zeros(len(slot), bool),
        )

    def _slots(self, mix: Mix, conference: Rows) -> Rows:
        """Where conferences are in the mix; -1 if nobody talks there."""
        self._slot[mix.conference] = np.arange(len(mix.conference))
        slot = self._slot[conference]
        self._slot[mix.conference] = -1
        return slot


def _said(common: Samples, minus: Samples, slot: Rows, own: Rows) -> Samples:
    """Rows of `minus` where there is an own one, else of `common`; slot -1 is the silence behind them."""
    said = np.concatenate([common, np.zeros((1, common.shape[1]), np.int16)])[slot]
    said[own >= 0] = minus[own[own >= 0]]
    return said
