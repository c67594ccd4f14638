"""Reliable: a provisional response, sent until its PRACK comes (RFC 3262 section 3)."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Final

from control.sip.message import Envelope
from control.sip.timers import Alarm, Intervals, Repeat, Timers


class Reliable:
    """The reliable provisional responses to one INVITE, one at a time.

    Args:
        give_up: told when the peer has not acknowledged one in time: the INVITE is to be refused.
    """

    def __init__(self, timers: Timers, intervals: Intervals, cseq: int, give_up: Callable[[], object]) -> None:
        self._timers = timers
        self._intervals = intervals
        self._cseq = cseq
        self._give_up = give_up
        self._number = random.randint(1, 2**16)
        self._repeat: Repeat | None = None
        self._limit: Alarm | None = None
        self._done: Callable[[], object] | None = None

    @property
    def busy(self) -> bool:
        """One waits for its PRACK; the next may be sent after that."""
        return self._repeat is not None

    def next_number(self) -> int:
        """RSeq of the next."""
        self._number += 1
        return self._number

    def sent(self, again: Callable[[], None], done: Callable[[], object]) -> None:
        """One has been sent; `again` sends it once more."""
        self._done = done
        self._repeat = Repeat(self._timers, again, first=self._intervals.t1, longest=self._intervals.timeout)
        self._limit = self._timers.after(self._intervals.timeout, self._expire)

    def acknowledged(self, envelope: Envelope) -> bool:
        """A PRACK: True if it is for the one that waits."""
        found = _RACK.fullmatch(envelope.headers.get("RAck") or "")
        if not found or not self.busy:
            return False
        if (int(found[1]), int(found[2]), found[3]) != (self._number, self._cseq, "INVITE"):
            return False
        self.stop()
        return True

    def stop(self) -> None:
        """Send it no more; whoever waits goes on."""
        if self._repeat is not None and self._limit is not None:
            self._repeat.stop()
            self._limit.unset()
            self._repeat = self._limit = None
        if self._done is not None:
            self._done()
            self._done = None

    def _expire(self) -> None:
        self.stop()
        self._give_up()


_RACK: Final = re.compile(r"\s*+([0-9]{1,10})\s++([0-9]{1,10})\s++([A-Za-z]++)\s*+")
