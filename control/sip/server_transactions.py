"""The server's half of a transaction: RFC 3261 section 17.2, with the Accepted state of RFC 6026.

Knows what to send again and when to forget. Must never know what is in a message, nor what it means.

    INVITE   Proceeding --2xx--> Accepted --L--> Terminated
                        --3xx..6xx--> Completed --ACK--> Confirmed --I--> Terminated
                                                --H--> Terminated
    others   Trying --1xx--> Proceeding --final--> Completed --J--> Terminated

A refusal that is the first word to an INVITE is not repeated by timer G: whoever has heard nothing repeats the INVITE,
and gets it again. So it would from a server without a memory (section 8.2.7); and one who pretends to have another's
address cannot have that flooded.

Nor is it remembered when memory is short, as no answer to anything but INVITE is then: what is repeated is answered
anew. Else some hundred requests a second from addresses that nobody has would keep everybody else out.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from control.sip.flows import Flow
from control.sip.timers import Intervals, Repeat, Timers

Send = Callable[[Flow, bytes], bool]


class State(Enum):
    """Of a server transaction. An INVITE begins in PROCEEDING, all else in TRYING."""

    TRYING = "trying"
    PROCEEDING = "proceeding"
    COMPLETED = "completed"
    CONFIRMED = "confirmed"
    ACCEPTED = "accepted"
    TERMINATED = "terminated"


class ServerTransaction:
    """Everything but INVITE.

    Args:
        send: puts octets on a flow.
        flow: where the responses go.
        forget: told when nothing more can come.
        crowded: tells whether memory is short.
    """

    __slots__ = ("_crowded", "_forget", "_intervals", "_last", "_send", "_timers", "flow", "state", "user")

    def __init__(
        self,
        timers: Timers,
        intervals: Intervals,
        send: Send,
        flow: Flow,
        forget: Callable[[], None],
        crowded: Callable[[], bool] = lambda: False,
    ) -> None:
        self._timers = timers
        self._intervals = intervals
        self._send = send
        self._forget = forget
        self._crowded = crowded
        self._last = b""
        self.flow = flow
        self.state = State.TRYING
        self.user: object = None
        """What the user agent has made of the request."""

    @property
    def answered(self) -> bool:
        """A final response has been sent."""
        return self.state not in {State.TRYING, State.PROCEEDING}

    def again(self) -> None:
        """The request came once more: so does the last response."""
        if self._last:
            self._send(self.flow, self._last)

    def respond(self, status: int, octets: bytes) -> bool:
        """Send a response; False if it comes too late."""
        if self.answered:
            return False
        self._put(octets)
        if status < 200:
            self.state = State.PROCEEDING
        else:
            self._final(status)
        return True

    def _put(self, octets: bytes) -> None:
        self._last = octets
        self._send(self.flow, octets)

    def _final(self, status: int) -> None:
        self.user = None  # half a minute is long to hold a request that is done with
        self.state = State.COMPLETED
        self._end_after(0 if self.flow.reliable or self._crowded() else self._intervals.timeout)  # timer J

    def _end_after(self, delay: float) -> None:
        if delay:
            self._timers.after(delay, self._end)
        else:
            self._end()

    def _end(self) -> None:
        self.state = State.TERMINATED
        self._forget()


class InviteServerTransaction(ServerTransaction):
    """INVITE.

    Args:
        trying: the 100 that is sent if nobody answers in time.
    """

    __slots__ = ("_trying", "_unsaid", "_until", "_wait")

    def __init__(
        self,
        timers: Timers,
        intervals: Intervals,
        send: Send,
        flow: Flow,
        forget: Callable[[], None],
        trying: Callable[[], bytes],
        crowded: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(timers, intervals, send, flow, forget, crowded)
        self.state = State.PROCEEDING
        self._trying = trying
        self._unsaid = True
        self._wait: Repeat | None = None  # timer G
        self._until = timers.after(intervals.trying, self._try)  # then timer H

    def again(self) -> None:
        if self.state is State.PROCEEDING and not self._last:
            self._try()
        elif self.state in {State.PROCEEDING, State.COMPLETED}:
            super().again()

    def respond(self, status: int, octets: bytes) -> bool:
        if not self.answered:
            self._until.unset()
            self._unsaid = not self._last
        return super().respond(status, octets)

    def acknowledge(self) -> None:
        """The ACK of a refusal has come."""
        if self.state is State.COMPLETED:
            self.state = State.CONFIRMED
            self._stop()
            self._end_after(0 if self.flow.reliable else self._intervals.t4)  # timer I

    def _try(self) -> None:
        self._until.unset()
        if self.state is State.PROCEEDING and not self._last:
            self._put(self._trying())

    def _final(self, status: int) -> None:
        self._trying = bytes  # lets go of the request
        self.user = None
        if status < 300:
            self.state = State.ACCEPTED
            self._end_after(self._intervals.timeout)  # timer L
            return
        self.state = State.COMPLETED
        if self._unsaid and self._crowded():
            self._end()
            return
        if not self.flow.reliable and not self._unsaid:
            self._wait = Repeat(self._timers, self.again, first=self._intervals.t1, longest=self._intervals.t2)
        self._until = self._timers.after(self._intervals.timeout, self._end)

    def _stop(self) -> None:
        self._until.unset()
        if self._wait is not None:
            self._wait.stop()

    def _end(self) -> None:
        self._stop()
        super()._end()
