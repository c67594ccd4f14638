"""Time: the constants of RFC 3261 (table 4) and a heap of alarms. The clock is passed in: a loop's, or a test's."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count


@dataclass(frozen=True, slots=True)
class Intervals:
    """The base values, in seconds; every other timer is made of them."""

    t1: float = 0.5
    """An estimate of a round trip."""
    t2: float = 4.0
    """The longest wait between two retransmissions."""
    t4: float = 5.0
    """How long a message may wander about in the network."""
    trying: float = 0.2
    """When an INVITE that nobody has answered yet gets its 100 (section 17.2.1)."""
    proceeding: float = 180.0
    """How long a provisional response keeps an INVITE waiting (timer C, section 16.6)."""

    @property
    def timeout(self) -> float:
        """Timers B, F, H, J, L and M."""
        return 64 * self.t1


class Alarm:
    """A call in the future; `unset` forgets it."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def unset(self) -> None:
        self.call = None


class Timers:
    """Alarms on one clock.

    Args:
        clock: tells the time in seconds.
        sooner: told when something is now due earlier than all else: arm the clock for it.
    """

    __slots__ = ("_clock", "_heap", "_order", "_sooner")

    def __init__(self, clock: Callable[[], float], sooner: Callable[[float], None] = lambda _: None) -> None:
        self._clock = clock
        self._sooner = sooner
        self._heap: list[tuple[float, int, Alarm]] = []
        self._order = count()

    @property
    def now(self) -> float:
        return self._clock()

    def after(self, delay: float, call: Callable[[], None]) -> Alarm:
        """Call it once, `delay` seconds from now."""
        alarm, when = Alarm(call), self._clock() + delay
        heapq.heappush(self._heap, (when, next(self._order), alarm))
        if self._heap[0][2] is alarm:
            self._sooner(when)
        return alarm

    def due(self) -> float | None:
        """When to call `ring` next."""
        while self._heap and self._heap[0][2].call is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def ring(self) -> None:
        """Make every call that is due."""
        now = self._clock()
        while (when := self.due()) is not None and when <= now:
            call = heapq.heappop(self._heap)[2].call
            if call is not None:
                call()


class Repeat:
    """A retransmission: at `first`, then after twice the time each, but never more than `longest`."""

    __slots__ = ("_alarm", "_longest", "_send", "_timers", "_wait")

    def __init__(self, timers: Timers, send: Callable[[], object], *, first: float, longest: float) -> None:
        self._timers = timers
        self._send = send
        self._longest = longest
        self._wait = first
        self._alarm = timers.after(first, self._again)

    def stop(self) -> None:
        self._alarm.unset()

    def _again(self) -> None:
        self._wait = min(2 * self._wait, self._longest)
        self._alarm = self._timers.after(self._wait, self._again)
        self._send()
