"""The prompt mix: one tick of everything that plays, added up by who hears it and laid over the mixes.

Sounds are brought to the rate of their conference tick by tick, so that this may change meanwhile; all of one
rate in one expression. What a prompt lowers is lowered, and raised again, along a line through a tick: a step
would click. Must never know: names, events, or why something plays.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mixer.mixing import Mix
from mixer.prompts import overlay
from mixer.prompts.playing import PAST, Ear, Playing
from mixer.prompts.sounds import RATE
from mixer.resample import resample, taps
from mixer.state import State

Rows = NDArray[np.int64]
Voice = NDArray[np.float32]


class PromptMix:
    """Adds prompts to mixes."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._factor: dict[Ear, float] = {}
        """What mixes were multiplied by at the end of the last tick, if not by 1."""

    @property
    def turning(self) -> bool:
        """Some mix is lower than it should be for ever."""
        return bool(self._factor)

    def lay(self, playing: Sequence[Playing], mixes: Mapping[int, Mix]) -> dict[int, Mix]:
        """Lay the next piece of each sound over the mixes, by rate."""
        heard = {rate: self._add_up(playing, rate, mix.common.shape[1]) for rate, mix in mixes.items()}
        before = {ear: factor for ear, factor in self._factor.items() if self._is_there(ear)}
        after = dict.fromkeys(before, 1.0)
        for one in playing:
            for ear in one.ears():
                after[ear] = min(after.get(ear, 1.0), one.wanted())
        self._factor = {ear: factor for ear, factor in after.items() if factor != 1.0}
        laid = {}
        for rate, mix in mixes.items():
            width = mix.common.shape[1]
            ears = [ear for ear in after if self._state.conferences.rate[ear.conference] == rate]
            turns = _lines([before.get(ear, 1.0) for ear in ears], [after[ear] for ear in ears], width)
            turns[[ear.leg >= 0 and bool(self._state.legs.alone[ear.leg]) for ear in ears]] = 0
            laid[rate] = _lay(mix, ears, [heard[rate][ear] for ear in ears], turns)
        return laid

    def _add_up(self, playing: Sequence[Playing], rate: int, width: int) -> defaultdict[Ear, Voice]:
        """What each ear of a rate is to hear: float32[width], silence for all that are not named."""
        heard: defaultdict[Ear, Voice] = defaultdict(lambda: np.zeros(width, np.float32))
        some = [one for one in playing if self._state.conferences.rate[one.conference.row] == rate]
        if some:
            taken = np.stack([one.take(width * RATE // rate) for one in some])
            sound = resample(taken[:, PAST - taps(RATE, rate) : PAST], taken[:, PAST:], RATE, rate)
            for one, voice in zip(some, sound, strict=True):
                for ear in one.ears():
                    heard[ear] += voice
        return heard

    def _is_there(self, ear: Ear) -> bool:
        """A mix that is no more need not be raised again."""
        legs = self._state.legs
        if ear.leg >= 0:
            return bool(legs.used[ear.leg] and legs.conference[ear.leg] == ear.conference)
        return self._state.conferences.has_row(ear.conference)


def _lines(before: Sequence[float], after: Sequence[float], width: int) -> Voice:
    """From one factor to the other: float32[ears, width]."""
    start, end = np.array(before, np.float32)[:, None], np.array(after, np.float32)[:, None]
    return np.asarray(start + (end - start) * (np.arange(1, width + 1) / width), np.float32)


def _lay(mix: Mix, ears: Sequence[Ear], sounds: Sequence[Voice], factor: Voice) -> Mix:
    if not ears:
        return mix
    conference, leg = np.array(ears, np.int64).T
    sound = np.stack(sounds)
    everybody, alone = np.flatnonzero(leg < 0), np.flatnonzero(leg >= 0)
    mix = overlay.including(mix, conference)
    if len(everybody):
        mix = overlay.into_conferences(mix, conference[everybody], sound[everybody], factor[everybody])
    if len(alone):
        mix = overlay.to_legs(mix, leg[alone], conference[alone], sound[alone], factor[alone])
    return mix
