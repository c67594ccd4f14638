"""Keys pressed on a caller's phone, as telephone events (RFC 4733). Knows their payloads; must never know sockets."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple

KEYS: Final = "0123456789*#ABCD"
"""By the number of the event."""
_EVENT: Final = struct.Struct("!BBH")
_END: Final = 0x80
_VOLUME: Final = 10
_STEPS: Final = 4
"""Packets in which a key is down; the last one is sent three times (RFC 4733 section 2.5.1.4)."""
_PAUSE: Final = 3
"""Packets of audio between two keys."""


class Step(NamedTuple):
    """What a packet tells of a key in place of audio."""

    payload: bytes
    first: bool


class Keypad:
    """What is still to be said of the keys that were pressed."""

    def __init__(self) -> None:
        self._steps: deque[Step | None] = deque()

    def press(self, keys: str, samples: int) -> None:
        """Press them one after another. `samples`: of the clock, in one packet."""
        for key in keys:
            self._steps.extend(_stroke(KEYS.index(key.upper()), samples))

    def step(self) -> Step | None:
        """What the next packet tells; None for audio."""
        return self._steps.popleft() if self._steps else None


def _stroke(event: int, samples: int) -> Iterator[Step | None]:
    for number in range(1, _STEPS + 1):
        yield Step(_EVENT.pack(event, _VOLUME, number * samples), number == 1)
    for _ in range(3):
        yield Step(_EVENT.pack(event, _END | _VOLUME, _STEPS * samples), first=False)
    yield from [None] * _PAUSE
