"""Reliable: a provisional response, sent until its PRACK comes (RFC 3262 section 3)."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from control.sip.message import Envelope
from control.sip.requests import Fields
from control.sip.timers import Alarm, Intervals, Repeat, Timers
from control.sip.values import tokens

if TYPE_CHECKING:
    from control.sip.core import Core
    from control.sip.incoming import Incoming


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


def respond_reliably(
    core: Core, incoming: Incoming, status: int, send: Callable[[Fields], object], done: Callable[[], object]
) -> bool:
    """Send a reliable provisional response, by `send` with further fields, and tell when it is `done`.

    Returns:
        False if the peer, or the moment, does not allow one. Then nothing has been sent.
    """
    headers = incoming.request.headers
    able = tokens([*headers.getlist("Supported"), *headers.getlist("Require")])
    if "100rel" not in able or "100rel" not in core.supported or incoming.method != "INVITE":
        return False
    if incoming.answered or not 101 <= status < 200:
        return False
    dialog = core.dialog_for(incoming, status)
    if dialog is None:
        return False
    if dialog.reliable is None:
        number = incoming.envelope.cseq
        dialog.reliable = Reliable(core.timers, core.intervals, number, lambda: incoming.respond(504))
    if dialog.reliable.busy:
        return False
    send((("Require", "100rel"), ("RSeq", str(dialog.reliable.next_number()))))
    dialog.reliable.sent(incoming.again, done)
    return True


_RACK: Final = re.compile(r"\s*+([0-9]{1,10})\s++([0-9]{1,10})\s++([A-Za-z]++)\s*+")
