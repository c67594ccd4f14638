"""Taps: what is recorded, handed out tick by tick. Whoever takes it writes it, or not: nobody here waits.

Must never know: files, formats, or disks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer.conferences import Conference
from mixer.legs import Leg
from mixer.mixing import FULL_SCALE, Mix
from mixer.port import PortError, RecordStart, Refusal
from mixer.state import State

MOST: Final = 1024
"""Taps that may be open at a time, if nobody sets a lower limit."""

Rows = NDArray[np.int64]
Voice = NDArray[np.float32]
Samples = NDArray[np.int16]


@dataclass(slots=True)
class Tap:
    """One tick of one recording.

    Attributes:
        record: its name.
        rate: Hz of the samples; that of the conference's mix.
        samples: int16[n], never empty; None if there is nothing to record any more, now and later.
    """

    record: str
    rate: int
    samples: Samples | None


@dataclass(eq=False, slots=True)
class _Source:
    conference: Conference
    leg: Leg | None


class Taps:
    """All recordings of an engine."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._sources: dict[str, _Source] = {}
        self._taken: list[Tap] = []

    def __len__(self) -> int:
        return len(self._sources)

    def start(self, wish: RecordStart) -> None:
        """Record from the next tick on. Raises `PortError`, and then nothing has changed."""
        self._sources[wish.record] = self._source(wish)

    def check(self, wish: RecordStart) -> tuple[str, int]:
        """What a recording would be of: the name of its conference, and at how many Hz that mixes now. Raises
        `PortError` if it would be refused."""
        conference = self._source(wish).conference
        return conference.name, int(self._state.conferences.rate[conference.row])

    def _source(self, wish: RecordStart) -> _Source:
        if wish.record in self._sources:
            text = f"{wish.record!r} is being recorded; stop it, or take another name"
            raise PortError(Refusal.DUPLICATE_RECORD, text)
        if (wish.conference is None) == (wish.leg is None):
            raise PortError(Refusal.INVALID, "say what to record: either `conference` or `leg`")
        if len(self._sources) >= MOST:
            raise PortError(Refusal.LIMIT, f"{MOST} recordings are running; stop one")
        if wish.leg is not None:
            leg = self._state.legs.named(wish.leg)
            return _Source(self._state.conference_of(leg.row), leg)
        assert wish.conference is not None
        return _Source(self._state.conferences.named(wish.conference), None)

    def stop(self, record: str) -> None:
        """Record it no more. Raises `PortError` UNKNOWN_RECORD."""
        if self._sources.pop(record, None) is None:
            raise PortError(Refusal.UNKNOWN_RECORD, f"nothing called {record!r} is being recorded")

    def names_in(self, conference: Conference) -> tuple[str, ...]:
        """Recordings of a conference and of its legs."""
        return tuple(name for name, source in self._sources.items() if source.conference is conference)

    # -- every tick ---------------------------------------------------------------------------

    def note(self, voices: Mapping[int, tuple[Rows, Voice]], mixes: Mapping[int, Mix]) -> None:
        """Keep what one tick has for each recording.

        Args:
            voices: by rate, what legs say: int64[n] and float32[n, samples].
            mixes: by rate, what is heard.
        """
        self._taken = [self._tap(name, source, voices, mixes) for name, source in self._sources.items()]
        for tap in self._taken:
            if tap.samples is None:
                del self._sources[tap.record]

    def take(self) -> list[Tap]:
        """What the last tick has; once."""
        taken, self._taken = self._taken, []
        return taken

    def _tap(
        self, name: str, source: _Source, voices: Mapping[int, tuple[Rows, Voice]], mixes: Mapping[int, Mix]
    ) -> Tap:
        state = self._state
        there = state.conferences.holds(source.conference) and (source.leg is None or state.legs.holds(source.leg))
        rate = int(state.conferences.rate[source.conference.row])
        if not there:
            return Tap(name, rate, None)
        if source.leg is None:
            return Tap(name, rate, _row(mixes[rate].conference, mixes[rate].common, source.conference.row))
        rows, voice = voices[rate]
        return Tap(name, rate, _row(rows, voice, source.leg.row))


def _row(keys: Rows, samples: Voice | Samples, key: int) -> Samples:
    """A copy of the row of a key as 16 bit samples; silence if it has none."""
    at = np.flatnonzero(keys == key)
    if not len(at):
        return np.zeros(samples.shape[1], np.int16)
    return np.asarray(np.clip(np.rint(samples[at[0]]), -FULL_SCALE, FULL_SCALE), np.int16)
