"""Our own requests within a dialog: what their answers do to it (RFC 3261 sections 12.2.1.2, 13.2.2.4 and 14.1)."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final, TypeAlias

from sipmessage import Response

from control.sip.dialogs import Dialog
from control.sip.errors import DialogGone, SipError, SipTimeout
from control.sip.exchange import Exchange
from control.sip.flows import Flow
from control.sip.message import Envelope
from control.sip.requests import Outgoing, Question

if TYPE_CHECKING:
    from control.sip.timers import Alarm

Awaited: TypeAlias = asyncio.Future[Response]
"""An answer to come."""


class InDialog:
    """One request in a dialog. Without a future nobody waits for its answer."""

    def __init__(self, dialog: Dialog, question: Question, future: Awaited | None = None) -> None:
        self._dialog = dialog
        self._question, self._method = question, question.method
        self._future = future
        self._answered = False
        self._proceeding = False
        self._glares = 0
        self._glare: Alarm | None = None
        self._exchange = Exchange(dialog.core.layer, self._make, self, dialog.credentials)
        self._exchange.ask()

    def abandon(self) -> None:
        """Nobody waits any more. An INVITE that is still open is cancelled."""
        if not self._answered:
            self._exchange.abandoned = True
            if self._glare is not None:
                self._glare.unset()
                self._dialog.give_way = None
            self._done()
            if self._method == "INVITE" and self._proceeding:
                self._exchange.cancel()

    def provisional(self, envelope: Envelope) -> None:
        self._proceeding = True

    def succeeded(self, envelope: Envelope) -> None:
        dialog = self._dialog
        if self._method == "INVITE":
            if dialog.acknowledgement[0] == envelope.cseq:
                dialog.acknowledge_again(envelope.cseq)
                return
            body = self._question.ack_body(envelope.response)
            dialog.acknowledge(envelope.cseq, body)  # even if nobody waits any more
        if self._method in _REFRESHING:
            dialog.refresh(envelope)
        self._result(envelope.response)

    def refused(self, envelope: Envelope) -> None:
        if envelope.status == 491 and self._method in _OFFERING and not self._answered and self._glares < _MAX_GLARES:
            self._wait_out(envelope.response)
        elif envelope.status in {408, 481}:
            self._gone(DialogGone(f"{self._method} was answered {envelope.status}: the peer has left the dialog"))
        else:
            self._result(envelope.response)

    def lost(self, error: SipError) -> None:
        if isinstance(error, SipTimeout):
            self._gone(DialogGone(str(error)))
        else:
            self._error(error)

    def _make(self, further: tuple[tuple[str, str], ...]) -> tuple[Flow, Outgoing]:
        asked = self._question
        self._dialog.asking.add(self._method)
        request = self._dialog.compose(self._method, (*asked.fields, *further), asked.body, asked.content_type)
        return self._dialog.hop(), request

    def _wait_out(self, refusal: Response) -> None:
        """Both have asked at once: ask again later, and meanwhile let the peer (section 14.1)."""
        self._glares += 1
        self._proceeding = False  # there is nothing to cancel
        self._dialog.asking.discard(self._method)
        wait = random.randint(210, 400) if self._dialog.caller else random.randint(0, 200)
        self._glare = self._dialog.core.timers.after(wait / 100, self._again)
        self._dialog.give_way = lambda: self._give_way(refusal)

    def _again(self) -> None:
        self._dialog.give_way = None
        self._exchange.ask()

    def _give_way(self, refusal: Response) -> None:
        """The peer was sooner. Its offer may wait for who waits here, and ours must wait for its (section 14.1)."""
        self.abandon()
        self._result(refusal)

    def _gone(self, error: DialogGone) -> None:
        dialog, told = self._dialog, self._method != "BYE" and not self._dialog.ended
        if dialog.session and self._method == "NOTIFY":
            self._error(error)  # only the subscription is gone (RFC 5057 section 5.1): phones do not miss REFER's
            return
        dialog.end()
        self._error(error)
        if told:
            dialog.core.failed(dialog)

    def _result(self, response: Response) -> None:
        self._done()
        if self._future is not None and not self._future.done():
            self._future.set_result(response)

    def _error(self, error: SipError) -> None:
        self._done()
        if self._future is not None and not self._future.done():
            self._future.set_exception(error)

    def _done(self) -> None:
        self._answered = True
        self._dialog.asking.discard(self._method)


_OFFERING: Final = frozenset({"INVITE", "UPDATE"})
_MAX_GLARES: Final = 4
_REFRESHING: Final = frozenset({"INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"})
