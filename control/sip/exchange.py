"""Exchange: one request until its final answer, challenges included (RFC 3261 section 22). Sans-IO.

Knows when to ask again. Must never know what is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from control.sip.errors import SipError
from control.sip.flows import Flow
from control.sip.message import Envelope
from control.sip.requests import Outgoing

if TYPE_CHECKING:
    from control.sip.digest import Credentials
    from control.sip.layer import Layer

Make = Callable[[tuple[tuple[str, str], ...]], tuple[Flow, Outgoing]]
"""Makes the request anew, with further fields: a new number and branch each time."""


class Outcome(Protocol):
    """Who wants the answer. A 2xx to INVITE may come again."""

    def provisional(self, envelope: Envelope) -> None: ...

    def succeeded(self, envelope: Envelope) -> None: ...

    def refused(self, envelope: Envelope) -> None: ...

    def lost(self, error: SipError) -> None: ...


class Exchange:
    """One request, by one `make` after the other. `ask` begins it.

    Args:
        credentials: to answer challenges with.
    """

    __slots__ = (
        "_challenged",
        "_credentials",
        "_flow",
        "_layer",
        "_make",
        "_outcome",
        "_tries",
        "abandoned",
        "request",
    )

    def __init__(self, layer: Layer, make: Make, outcome: Outcome, credentials: Credentials | None) -> None:
        self._layer = layer
        self._make = make
        self._outcome = outcome
        self._credentials = credentials
        self._challenged = False
        self._tries = 0
        self._flow: Flow | None = None
        self.abandoned = False
        """Nobody wants to ask again."""
        self.request: Outgoing | None = None

    def ask(self, fields: tuple[tuple[str, str], ...] = ()) -> None:
        """Send the request. May be called again once it has been refused."""
        self._tries += 1
        self._flow, self.request = self._make(fields)
        self._layer.ask(self._flow, self.request, self)

    def cancel(self) -> None:
        """Send CANCEL for it."""
        if self.request is not None and self._flow is not None:
            self._layer.ask(self._flow, self.request.cancelled(), _Nobody())

    def responded(self, envelope: Envelope) -> None:
        status = envelope.status
        if status < 200:
            self._outcome.provisional(envelope)
        elif status < 300:
            self._outcome.succeeded(envelope)
        elif not self._authenticate(envelope):
            self._outcome.refused(envelope)

    def failed(self, error: SipError) -> None:
        self._outcome.lost(error)

    def _authenticate(self, envelope: Envelope) -> bool:
        """Answer a challenge; False if it is none, or cannot be answered."""
        request, credentials = self.request, self._credentials
        if self.abandoned or self._tries >= _MAX_TRIES or request is None or credentials is None:
            return False
        if envelope.status not in {401, 407}:
            return False
        fields = credentials.answer(envelope.response, request.method, request.uri, again=self._challenged)
        self._challenged = True
        if fields:
            self.ask(tuple(fields))
        return bool(fields)


class _Nobody:
    """Who does not wait for an answer."""

    def responded(self, envelope: Envelope) -> None: ...

    def failed(self, error: SipError) -> None: ...


_MAX_TRIES: Final = 8
