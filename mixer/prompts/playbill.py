"""Prompts: what plays, by the names that control gave, and who is still there to hear it.

Whoever was to hear something and is no more takes it along: that is seen in the tables at the next tick, so
nobody need tell. Must never know: where samples come from, or how they get into a mix (`promptmix`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer.conferences import Conference
from mixer.legs import Leg, Mode
from mixer.mixing import Mix
from mixer.port import PlayDone, PlayReason, PlayStart, PortError, Refusal, Tone
from mixer.prompts.playing import Playing
from mixer.prompts.promptmix import PromptMix
from mixer.prompts.sounds import SHORTEST_MS, Recorded, Sound, tones
from mixer.state import State

MOST: Final = 256
"""Sounds that may play at a time: each costs some Python a tick."""
LOW: Final = Tone(hz=440.0, ms=120, level_dbov=-26.0)
HIGH: Final = Tone(hz=660.0, ms=120, level_dbov=-26.0)
JOIN: Final = tones([LOW, HIGH])
LEAVE: Final = tones([HIGH, LOW])


class Prompts:
    """All that plays in an engine."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._named: dict[str, Playing] = {}
        self._playing: list[Playing] = []
        self._mix = PromptMix(state)

    def __len__(self) -> int:
        return len(self._named)

    # -- what control wants -------------------------------------------------------------------

    def start(self, wish: PlayStart, samples: NDArray[np.int16] | None = None) -> None:
        """Begin with the next tick.

        Args:
            samples: int16[n] at `sounds.RATE`, what is in the file of the wish.

        Raises:
            PortError: it was refused, and nothing has changed.
        """
        if wish.play in self._named:
            raise PortError(Refusal.DUPLICATE_PLAY, f"{wish.play!r} is playing; stop it, or take another name")
        conference, legs = self._audience(wish)
        sound = _sound(wish, samples)
        if len(self._playing) >= MOST:
            raise PortError(Refusal.LIMIT, f"{MOST} prompts are playing; stop one")
        self._named[wish.play] = playing = Playing(wish.play, sound, conference, legs, left=wish.times - 1)
        playing.gain = 10.0 ** (wish.gain_db / 20.0)
        playing.factor = 0.0 if wish.exclusive else 10.0 ** (-wish.duck_db / 20.0)
        self._playing.append(playing)

    def stop(self, name: str) -> None:
        """Fade out within the next tick. Raises `PortError` UNKNOWN_PLAY."""
        if name not in self._named:
            raise PortError(Refusal.UNKNOWN_PLAY, f"nothing called {name!r} is playing")
        playing = self._named[name]
        playing.fading = True
        self._forget(playing, "stopped")

    def chime(self, conference: Conference, sound: Sound) -> None:
        """Play a tone of our own to all; once for many who come or go together."""
        sounding = any(one.sound is sound and one.conference is conference for one in self._playing)
        if not conference.parting and not sounding and len(self._playing) < MOST:
            self._playing.append(Playing("", sound, conference))

    def names_in(self, conference: Conference) -> tuple[str, ...]:
        """What plays in a conference, to all or to some."""
        return tuple(name for name, playing in self._named.items() if playing.conference is conference)

    def _audience(self, wish: PlayStart) -> tuple[Conference, list[Leg] | None]:
        if (wish.conference is None) == (not wish.legs):
            raise PortError(Refusal.INVALID, "say who is to hear it: either `conference` or `legs`")
        if wish.conference is not None:
            return self._state.conferences.named(wish.conference), None
        legs = [self._state.legs.named(name) for name in dict.fromkeys(wish.legs)]
        for leg in legs:
            if not self._has_ear(leg):
                text = f"leg {leg.name!r} has no key of its own to hear a prompt under; add it with `tx`"
                raise PortError(Refusal.KEY_MISSING, text)
        row, *others = {int(self._state.legs.conference[leg.row]) for leg in legs}
        if others:
            raise PortError(Refusal.INVALID, "these legs are in several conferences: start one play for each of them")
        return self._state.conferences.at(row), legs

    def _has_ear(self, leg: Leg) -> bool:
        """In style `mki` what a leg hears alone is under its own key, which it may not have."""
        legs = self._state.legs
        return bool(legs.mode[leg.row] != Mode.GROUP_MKI or legs.tx_session[leg.row] >= 0)

    # -- every tick ---------------------------------------------------------------------------

    def onto(self, mixes: Mapping[int, Mix]) -> dict[int, Mix]:
        """Lay one tick of all that plays over the mixes, by rate."""
        if not self._playing and not self._mix.turning:
            return dict(mixes)
        self._leave_out_the_gone()
        laid = self._mix.lay(self._playing, mixes)
        for playing in self._playing:
            if playing.over:
                self._forget(playing, "ended")
        self._playing = [playing for playing in self._playing if not playing.over]
        return laid

    def _leave_out_the_gone(self) -> None:
        staying = []
        for playing in self._playing:
            if playing.legs is not None:
                playing.legs = [leg for leg in playing.legs if self._state.legs.holds(leg) and self._has_ear(leg)]
            if playing.legs == [] or not self._state.conferences.holds(playing.conference):
                self._forget(playing, "gone")
            else:
                staying.append(playing)
        self._playing = staying

    def _forget(self, playing: Playing, reason: PlayReason) -> None:
        """Its name is free again, and that is told; unless it was told before, or it has none."""
        if self._named.get(playing.name) is playing:
            del self._named[playing.name]
            told = PlayDone(conference=playing.conference.name, play=playing.name, reason=reason)
            self._state.events.append(told)


def _sound(wish: PlayStart, samples: NDArray[np.int16] | None) -> Sound:
    """What a wish says is to be played. Raises `PortError`."""
    if (wish.file is None) == (not wish.tones):
        raise PortError(Refusal.INVALID, "say what to play: either `file` or `tones`")
    if wish.tones:
        if sum(tone.ms for tone in wish.tones) < SHORTEST_MS:
            raise PortError(Refusal.INVALID, f"tones must last {SHORTEST_MS} ms or more in all")
        return tones(wish.tones)
    if samples is None:
        raise PortError(Refusal.BAD_FILE, "this mixer reads no files; play tones")
    return Recorded(samples)
