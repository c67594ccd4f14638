"""Keys pressed for a leg: digits become telephone events, packet by packet (RFC 4733 section 2.5.1).

A tone of 100 ms is reported in every packet while it lasts. The last report says that it is over, and is sent
three times (section 2.5.1.4); the copies lie in the pause of at least 50 ms. All carry the timestamp of the
beginning. Knows the interval of packets, and neither timestamps nor sequence numbers.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from mixer.codecs import events

DIGITS: Final = "0123456789*#ABCD"
TONE_MS: Final = 100
PAUSE_MS: Final = 50
COPIES: Final = 2
"""How often the end is sent again."""
VOLUME: Final = 10
"""-dBm0."""
QUEUE: Final = 64
"""Digits that may wait."""


class DiallingError(Exception):
    """Digits that cannot be sent."""


class QueueFull(DiallingError):
    """Digits that cannot be sent now."""


@dataclass(frozen=True, slots=True)
class Event:
    """What to send in place of sound.

    Attributes:
        payload: of a telephone event.
        first: the first packet of the event: set the marker bit.
        began: how many packets ago the event began. Its timestamp is so many packets before that which sound
            would have now.
    """

    payload: bytes
    first: bool
    began: int


class Dialling:
    """The digits for one leg."""

    def __init__(self, clock: int, ptime: int) -> None:
        """`clock`: RTP clock of the events, Hz; `ptime`: of the leg's packets, ms."""
        self._unit = clock * ptime // 1000
        self._tone = -(-TONE_MS // ptime)
        self._period = self._tone + max(COPIES, -(-PAUSE_MS // ptime))
        self._waiting: deque[int] = deque()
        self._packet = 0

    @property
    def waiting(self) -> int:
        """Digits that are not yet sent to the end of their pause."""
        return len(self._waiting)

    def dial(self, digits: str) -> None:
        """Send these digits, after those that wait.

        Raises:
            DiallingError: a character is no digit. None of them is sent then.
            QueueFull: too many wait. The same.
        """
        strange = sorted(set(digits) - set(DIGITS))
        if strange:
            raise DiallingError(f"no key of a telephone: {' '.join(map(repr, strange))}; these are: {DIGITS}")
        if self.waiting + len(digits) > QUEUE:
            raise QueueFull(f"{self.waiting} digits wait, {len(digits)} more are over {QUEUE}: send them later")
        self._waiting.extend(DIGITS.index(digit) for digit in digits)

    def stop(self) -> None:
        """Forget what waits. A tone that is being sent goes on to its end."""
        while len(self._waiting) > (self._packet > 0):
            self._waiting.pop()

    def step(self) -> Event | None:
        """Once a packet: the event to send, or None for sound."""
        if not self._waiting:
            return None
        event, packet = self._waiting[0], self._packet
        self._packet += 1
        if self._packet == self._period:
            self._waiting.popleft()
            self._packet = 0
        if packet >= self._tone + COPIES:
            return None
        length = min(packet + 1, self._tone)
        payload = events.block(event, length * self._unit, VOLUME, end=packet + 1 >= self._tone)
        return Event(payload, packet == 0, packet)
