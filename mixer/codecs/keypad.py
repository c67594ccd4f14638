"""What keys the legs press: each of them once, whatever packets are lost, repeated or late (RFC 4733 section 2.5.2).

All packets of an event have one timestamp, that of its beginning; its end is sent three times. So a key goes down
with the first packet of a newer timestamp, no matter which of the event's packets that is, and comes up with the
first end, with the next key, or when nothing was heard of it for half a second.

Few legs press keys at any time, so this is a small dict and not a column of every leg. Time is the tick.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mixer.codecs.events import KEYS, LONGEST

SILENCE_MS: Final = 500
"""A key comes up when nothing was heard of it for so long."""

MEMORY_MS: Final = 10_000
"""So long, packets of an event that is over are known again, and those of an earlier one refused."""


@dataclass(frozen=True, slots=True)
class Stroke:
    """A key goes down, or comes up.

    Attributes:
        row: the leg.
        key: one of `KEYS`.
        duration_ms: None when it goes down, and when it comes up for how long it was down, as far as that was heard.
    """

    row: int
    key: str
    duration_ms: int | None = None


@dataclass(slots=True)
class _Press:
    """The last event of a leg; times in units of the clock."""

    event: int
    timestamp: int
    clock: int
    heard: int
    before: int = 0
    """What earlier segments lasted."""
    duration: int = 0
    """What the present segment lasted so far."""
    down: bool = True

    def lengthen(self, ahead: int) -> None:
        """Go on in a further segment, which begins where the last one ended: the event is longer than a block can
        tell (section 2.5.1.3)."""
        self.before += ahead
        self.timestamp = self.timestamp + ahead & 0xFFFF_FFFF
        self.duration = 0


class KeyPad:
    """The keys of all legs. Holds one event a leg, and none of legs that pressed nothing for ten seconds."""

    def __init__(self, tick_ms: int) -> None:
        self._silence = SILENCE_MS // tick_ms
        self._memory = MEMORY_MS // tick_ms
        self._last: dict[int, _Press] = {}

    def __len__(self) -> int:
        """Legs that are remembered."""
        return len(self._last)

    def hear(
        self, row: int, timestamp: int, event: int, duration: int, frame: int, *, end: bool, clock: int
    ) -> list[Stroke]:
        """One event of one packet, as `events.parse` gave it.

        Args:
            row: the leg.
            timestamp: that of the packet plus `Events.offset`, modulo 2^32.
            event: index of `KEYS`.
            duration: since the timestamp, units of the clock, more than 0.
            frame: the tick.
            end: the event is over.
            clock: of the leg, Hz.

        Returns:
            What happened, in order: often nothing, and at most three strokes.
        """
        strokes: list[Stroke] = []
        timestamp &= 0xFFFF_FFFF
        press = self._last.get(row)
        ahead = _ahead(timestamp, press.timestamp) if press else 1
        if press and event == press.event and press.down and ahead in {press.duration, LONGEST}:
            press.lengthen(ahead)
        elif ahead > 0:
            strokes = [*self._up(row), Stroke(row, KEYS[event])]
            press = self._last[row] = _Press(event, timestamp, clock, frame)
        if not press or timestamp != press.timestamp or event != press.event:
            return []  # of an earlier event or segment, or another at the same time
        press.heard = frame
        press.duration = max(press.duration, duration)
        return strokes + self._up(row) if end else strokes

    def step(self, frame: int) -> list[Stroke]:
        """Once a tick: let keys come up of which nothing is heard any more, and forget old ones."""
        if not self._last:
            return []
        quiet = [row for row, press in self._last.items() if press.down and frame - press.heard >= self._silence]
        strokes = [stroke for row in quiet for stroke in self._up(row)]
        for row in [row for row, press in self._last.items() if frame - press.heard >= self._memory]:
            del self._last[row]
        return strokes

    def forget(self, row: int) -> list[Stroke]:
        """A leg is removed, or its timestamps start afresh (new SSRC): a key that is down comes up."""
        strokes = self._up(row)
        self._last.pop(row, None)
        return strokes

    def _up(self, row: int) -> list[Stroke]:
        press = self._last.get(row)
        if press is None or not press.down:
            return []
        press.down = False
        return [Stroke(row, KEYS[press.event], (press.before + press.duration) * 1000 // press.clock)]


def _ahead(timestamp: int, other: int) -> int:
    """How much later a timestamp is, signed, modulo 2^32."""
    return (timestamp - other + (1 << 31) & 0xFFFF_FFFF) - (1 << 31)
