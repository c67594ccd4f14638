"""The client's half of a transaction: RFC 3261 section 17.1, with the Accepted state of RFC 6026.

Knows when to send again, when to give up and when to forget. Must never know what a request is for.

    INVITE   Calling --1xx--> Proceeding --2xx--> Accepted --M--> Terminated
                                         --3xx..6xx--> Completed --D--> Terminated
    others   Trying --1xx--> Proceeding --final--> Completed --K--> Terminated
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Protocol

from control.sip.errors import SipError, SipTimeout
from control.sip.flows import Flow
from control.sip.message import Envelope
from control.sip.requests import Outgoing
from control.sip.server_transactions import Send
from control.sip.timers import Alarm, Intervals, Repeat, Timers


class State(Enum):
    """Of a client transaction. CALLING is Trying, for what is no INVITE."""

    CALLING = "calling"
    PROCEEDING = "proceeding"
    COMPLETED = "completed"
    ACCEPTED = "accepted"
    TERMINATED = "terminated"


class Asker(Protocol):
    """Who waits for the responses. A 2xx to INVITE may come again and again, from one and from many."""

    def responded(self, envelope: Envelope) -> None: ...

    def failed(self, error: SipError) -> None: ...


class ClientTransaction:
    """Everything but INVITE.

    Args:
        send: puts octets on a flow.
        forget: told when nothing more can come.
    """

    __slots__ = (
        "_asker",
        "_forget",
        "_intervals",
        "_octets",
        "_repeat",
        "_send",
        "_timers",
        "_until",
        "flow",
        "request",
        "state",
    )

    def __init__(
        self,
        timers: Timers,
        intervals: Intervals,
        send: Send,
        flow: Flow,
        request: Outgoing,
        asker: Asker,
        forget: Callable[[], None],
    ) -> None:
        self._timers = timers
        self._intervals = intervals
        self._send = send
        self._asker = asker
        self._forget = forget
        self._octets = request.encode()
        self._repeat: Repeat | None = None
        self.flow = flow
        self.request = request
        self.state = State.CALLING
        if not flow.reliable:
            self._repeat = Repeat(timers, self._again, first=intervals.t1, longest=self._longest())  # timers A and E
        self._until: Alarm = timers.after(intervals.timeout, self._expire)  # timers B and F

    def begin(self) -> bool:
        """Send it; False if the transport is gone."""
        return self._send(self.flow, self._octets)

    @property
    def waiting(self) -> bool:
        """For a final response."""
        return self.state in {State.CALLING, State.PROCEEDING}

    def receive(self, envelope: Envelope) -> None:
        """A response to it."""
        if not self.waiting:
            return
        if envelope.status < 200:
            self.state = State.PROCEEDING
        else:
            self._finish(State.COMPLETED, 0 if self.flow.reliable else self._intervals.t4)  # timer K
        self._asker.responded(envelope)

    def lose(self, error: SipError) -> None:
        """It cannot be answered any more."""
        if self.waiting:
            self._finish(State.TERMINATED, 0)
            self._asker.failed(error)

    def _longest(self) -> float:
        return self._intervals.t2

    def _again(self) -> None:
        self._send(self.flow, self._octets)

    def _expire(self) -> None:
        method, (host, port) = self.request.method, self.flow.remote
        self.lose(SipTimeout(f"{host}:{port} has not answered {method}: look whether the peer is up"))

    def _finish(self, state: State, linger: float) -> None:
        self.state = state
        self._stop()
        if linger:
            self._timers.after(linger, self._end)
        else:
            self._end()

    def _stop(self) -> None:
        self._until.unset()
        if self._repeat is not None:
            self._repeat.stop()

    def _end(self) -> None:
        self.state = State.TERMINATED
        self._forget()


class InviteClientTransaction(ClientTransaction):
    """INVITE. It acknowledges refusals itself; who sent the INVITE acknowledges a 2xx."""

    __slots__ = ("_ack",)

    def receive(self, envelope: Envelope) -> None:
        if envelope.status >= 300:
            self._refused(envelope)
        elif envelope.status >= 200:
            if self.waiting:
                self._finish(State.ACCEPTED, self._intervals.timeout)  # timer M
            if self.state is State.ACCEPTED:
                self._asker.responded(envelope)
        elif self.waiting:
            self._proceed(envelope)

    def _proceed(self, envelope: Envelope) -> None:
        self.state = State.PROCEEDING
        self._stop()
        self._until = self._timers.after(self._intervals.proceeding, self._expire)
        self._asker.responded(envelope)

    def _refused(self, envelope: Envelope) -> None:
        if self.waiting:
            self._ack = self.request.refused(envelope.headers["To"]).encode()
            self._send(self.flow, self._ack)
            self._finish(State.COMPLETED, 0 if self.flow.reliable else self._intervals.timeout)  # timer D
            self._asker.responded(envelope)
        elif self.state is State.COMPLETED:
            self._send(self.flow, self._ack)

    def _longest(self) -> float:
        return self._intervals.timeout  # timer A has no other bound
