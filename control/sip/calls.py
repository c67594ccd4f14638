"""OutgoingCall: an INVITE of ours until somebody answers it (RFC 3261 sections 9.1 and 13.2, RFC 3262 section 4).

Knows forks, early dialogs and CANCEL. Must never know what is offered. One dialog comes of a call: whoever answers
later is hung up on.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from sipmessage import Response

from control.sip.asking import InDialog
from control.sip.dialogs import Dialog
from control.sip.errors import CallRefused, SipError, SipTimeout
from control.sip.exchange import Exchange
from control.sip.flows import Flow
from control.sip.message import Envelope
from control.sip.origin import Fields, Origin
from control.sip.requests import Outgoing, Question
from control.sip.targets import contact_of, record_routes
from control.sip.values import tokens

if TYPE_CHECKING:
    from control.sip.core import Core
    from control.sip.digest import Credentials


class OutgoingCall:
    """A call that we make.

    Args:
        body: an offer; without one the answerer makes it, and `dialog_ack` answers.
        ringing: told of every provisional response but 100.
    """

    def __init__(
        self,
        core: Core,
        origin: Origin,
        body: bytes,
        credentials: Credentials | None,
        ringing: Callable[[Response], None] = lambda _: None,
    ) -> None:
        self._core = core
        self._origin = origin
        self._body = body
        self._credentials = credentials
        self._exchange: Exchange | None = None
        self._early: dict[str, tuple[Dialog, int]] = {}
        self._proceeding = False
        self._cancelled = False
        self._dialog: Dialog | None = None
        self._answer: asyncio.Future[tuple[Dialog, Response]] = asyncio.get_running_loop().create_future()
        self.ringing = ringing

    async def answered(self) -> tuple[Dialog, Response]:
        """The dialog and the 2xx.

        Raises:
            CallRefused: with the status; 487 after `cancel`.
            SipTimeout, TransportLost: nobody has answered at all.
        """
        return await asyncio.shield(self._answer)

    def dialog_ack(self, body: bytes = b"") -> None:
        """Acknowledge the 2xx of a call that offered nothing."""
        dialog = self._dialog
        if dialog is not None and dialog.acknowledgement[0] < 0:
            dialog.acknowledge(self._origin.cseq, body)

    async def cancel(self) -> None:
        """Give up, and wait until that is settled: refused with 487 as a rule, or answered after all and hung up on."""
        if not self._answer.done():
            self._cancelled = True
            self._core.timers.after(self._core.intervals.timeout, self._give_up)
            if self._proceeding and self._exchange is not None:
                self._exchange.cancel()
            elif self._exchange is None:
                self.fail(CallRefused(487, "Request Terminated"))
        await asyncio.wait([self._answer])
        self._answer.exception()

    def begin(self, flow: Flow) -> None:
        """The way is known: send the INVITE."""
        if self._answer.done():
            return

        def make(fields: Fields) -> tuple[Flow, Outgoing]:
            return flow, self._origin.compose("INVITE", flow, fields, self._body)

        self._exchange = Exchange(self._core.layer, make, self, self._credentials)
        self._exchange.ask()

    def fail(self, error: SipError) -> None:
        """It comes to nothing."""
        for dialog, _ in self._early.values():
            dialog.end()
        if not self._answer.done():
            self._answer.set_exception(error)
            self._answer.exception()  # nobody need ask

    # -----------------------------------------------------------------------------------------
    # From the exchange

    def provisional(self, envelope: Envelope) -> None:
        first, self._proceeding = not self._proceeding, True
        if self._cancelled and first and self._exchange is not None:
            self._exchange.cancel()  # section 9.1: not before somebody has said something
        if envelope.status == 100 or self._answer.done():
            return
        if envelope.to.tag and contact_of(envelope) and self._acknowledge_provisional(envelope):
            return
        self.ringing(envelope.response)

    def succeeded(self, envelope: Envelope) -> None:
        tag = envelope.to.tag
        if self._dialog is not None and self._dialog.remote_tag == tag:
            self._dialog.acknowledge_again(envelope.cseq)
            return
        dialog = self._dialog_of(envelope)
        dialog.early = False
        if self._dialog is not None or self._cancelled or not dialog.remote_target:
            self._hang_up(dialog, envelope)
            return
        self._dialog = dialog
        for other, _ in self._early.values():
            if other is not dialog:
                other.end()
        self._early = {}
        if self._body:
            dialog.acknowledge(envelope.cseq)
        if not self._answer.done():
            self._answer.set_result((dialog, envelope.response))

    def refused(self, envelope: Envelope) -> None:
        headers = envelope.headers
        pairs = [(name, value) for name in headers.keys() for value in headers.getlist(name)]  # noqa: SIM118
        self.fail(CallRefused(envelope.status, envelope.response.phrase, pairs))

    def lost(self, error: SipError) -> None:
        if isinstance(error, SipTimeout) and self._proceeding and self._exchange is not None:
            self._exchange.cancel()  # it rings for nobody
        self.fail(error)

    # -----------------------------------------------------------------------------------------

    def _give_up(self) -> None:
        """Nothing has come of the CANCEL (section 9.1)."""
        if self._dialog is None:
            self.fail(CallRefused(487, "Request Terminated"))

    def _hang_up(self, dialog: Dialog, envelope: Envelope) -> None:
        dialog.remote_target = dialog.remote_target or self._origin.uri
        known = dialog.acknowledgement[0] >= 0
        dialog.acknowledge(envelope.cseq)
        if not known:
            InDialog(dialog, Question("BYE"))
        dialog.end()
        self._give_up()

    def _acknowledge_provisional(self, envelope: Envelope) -> bool:
        """PRACK it if it is reliable. True if it came before, or before one that is missing: then it counts not."""
        dialog = self._dialog_of(envelope)
        number = envelope.headers.get("RSeq") or ""
        if "100rel" not in tokens(envelope.headers.getlist("Require")) or not _RSEQ.fullmatch(number):
            return False
        last = self._early[envelope.to.tag][1]
        if last >= 0 and int(number) != last + 1:
            return True
        self._early[envelope.to.tag] = dialog, int(number)
        InDialog(dialog, Question("PRACK", (("RAck", f"{number} {envelope.cseq} INVITE"),)))
        return False

    def _dialog_of(self, envelope: Envelope) -> Dialog:
        known = self._early.get(envelope.to.tag)
        if known is None:
            dialog = self._origin.dialog(envelope, self._credentials)
            dialog.session = True
            self._early[envelope.to.tag] = dialog, -1
            return dialog
        dialog = known[0]
        dialog.refresh(envelope)
        dialog.routes = tuple(reversed(record_routes(envelope)))
        return dialog


_RSEQ: Final = re.compile(r"[0-9]{1,10}")
