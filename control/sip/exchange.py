"""Exchange: one request until its final answer, challenges (RFC 3261 section 22) and glare (14.1) included. Sans-IO.

Knows when to ask again. Must never know what is asked.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from control.sip.errors import SipError
from control.sip.flows import Flow
from control.sip.message import Envelope
from control.sip.requests import Outgoing

if TYPE_CHECKING:
    from control.sip.core import Core
    from control.sip.digest import Credentials
    from control.sip.timers import Alarm

Make = Callable[[tuple[tuple[str, str], ...]], tuple[Flow, Outgoing]]
"""Makes the request anew, with further fields: a new number and branch each time."""


class Outcome(Protocol):
    """Who wants the answer. A 2xx to INVITE may come again."""

    def provisional(self, envelope: Envelope) -> None: ...

    def succeeded(self, envelope: Envelope) -> None: ...

    def refused(self, envelope: Envelope) -> None: ...

    def lost(self, error: SipError) -> None: ...


class Exchange:
    """It begins when it is made.

    Args:
        credentials: to answer challenges with.
        owner: we have chosen the Call-ID, so in glare we wait the longer time.
    """

    __slots__ = (
        "_challenged",
        "_core",
        "_credentials",
        "_flow",
        "_glare",
        "_make",
        "_outcome",
        "_owner",
        "_tries",
        "abandoned",
        "request",
    )

    def __init__(
        self, core: Core, make: Make, outcome: Outcome, credentials: Credentials | None, *, owner: bool = True
    ) -> None:
        self._core = core
        self._make = make
        self._outcome = outcome
        self._credentials = credentials
        self._owner = owner
        self._challenged = False
        self._tries = 0
        self._glare: Alarm | None = None
        self.abandoned = False
        self.request: Outgoing | None = None
        self._ask(())

    def stop(self) -> None:
        """Ask no more; what is on its way is not called back."""
        self.abandoned = True
        if self._glare is not None:
            self._glare.unset()

    def cancel(self) -> None:
        """Send CANCEL for it."""
        if self.request is not None and self._flow is not None:
            self._core.layer.ask(self._flow, self.request.cancelled(), _Nobody())

    def responded(self, envelope: Envelope) -> None:
        status = envelope.status
        if status < 200:
            self._outcome.provisional(envelope)
        elif status < 300:
            self._outcome.succeeded(envelope)
        elif not self._again(envelope):
            self._outcome.refused(envelope)

    def failed(self, error: SipError) -> None:
        self._outcome.lost(error)

    def _ask(self, fields: tuple[tuple[str, str], ...]) -> None:
        self._tries += 1
        self._flow, self.request = self._make(fields)
        self._core.layer.ask(self._flow, self.request, self)

    def _again(self, envelope: Envelope) -> bool:
        if self.abandoned or self._tries >= _MAX_TRIES or self.request is None:
            return False
        if envelope.status in {401, 407} and self._credentials is not None:
            request, again = self.request, self._challenged
            fields = self._credentials.answer(envelope.response, request.method, request.uri, again=again)
            self._challenged = True
            if fields:
                self._ask(tuple(fields))
            return bool(fields)
        if envelope.status == 491 and envelope.to.tag and self.request.method in {"INVITE", "UPDATE"}:
            wait = random.randint(210, 400) if self._owner else random.randint(0, 200)
            self._glare = self._core.timers.after(wait / 100, lambda: self._ask(()))
            return True
        return False


class _Nobody:
    """Who does not wait for an answer."""

    def responded(self, envelope: Envelope) -> None: ...

    def failed(self, error: SipError) -> None: ...


_MAX_TRIES: Final = 5
