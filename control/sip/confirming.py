"""Confirming: our 2xx to an INVITE, sent until its ACK comes (RFC 3261 section 13.3.1.4). On every transport."""

from __future__ import annotations

from collections.abc import Callable

from control.sip.timers import Intervals, Repeat, Timers


class Confirming:
    """One 2xx that waits for its ACK."""

    __slots__ = ("_give_up", "_limit", "_repeat")

    def __init__(
        self, timers: Timers, intervals: Intervals, send: Callable[[], object], give_up: Callable[[], None]
    ) -> None:
        self._repeat = Repeat(timers, send, first=intervals.t1, longest=intervals.t2)
        self._limit = timers.after(intervals.timeout, self._expire)
        self._give_up = give_up

    def stop(self) -> None:
        self._repeat.stop()
        self._limit.unset()

    def _expire(self) -> None:
        self._repeat.stop()
        self._give_up()
