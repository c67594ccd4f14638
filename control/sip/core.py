"""Core: the user agent without sockets. What a request is answered with, and which dialog it is in. Sans-IO.

Knows RFC 3261 sections 8.2, 12, 13 and 15. Must never know sockets, SDP or conferences. Whatever comes in, an
`Application` hears of it at most once.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from control.sip import screening
from control.sip.admission import Limits
from control.sip.asking import Awaited, InDialog
from control.sip.confirming import Confirming
from control.sip.dialogs import Dialog, Dialogs
from control.sip.flows import Flow, host_and_port
from control.sip.incoming import Incoming
from control.sip.layer import Layer
from control.sip.message import Envelope
from control.sip.requests import Question
from control.sip.server_transactions import Send, ServerTransaction
from control.sip.settings import SipSettings
from control.sip.targets import contact_of, record_routes
from control.sip.timers import Intervals, Timers
from control.sip.uris import quoted

Fields = Iterable[tuple[str, str]]


class Application(Protocol):
    """What a user agent is for."""

    def arrived(self, incoming: Incoming) -> None:
        """A request that the stack does not answer by itself."""

    def cancelled(self, incoming: Incoming) -> None:
        """An INVITE was cancelled; 487 is sent already."""

    def acknowledged(self, dialog: Dialog, body: bytes) -> None:
        """The ACK of our 2xx; its body may be an answer."""

    def unacknowledged(self, dialog: Dialog) -> None:
        """No ACK has come: hang up."""

    def failed(self, dialog: Dialog) -> None:
        """A request of ours in it was answered 481 or 408, or not at all: the dialog is gone."""


class Core:
    """One user agent.

    Args:
        send: puts octets on a flow; False if it is gone.
        here: the address of a transport that peers can reach us at, seen from a flow.
    """

    def __init__(
        self,
        settings: SipSettings,
        application: Application,
        timers: Timers,
        send: Send,
        *,
        allow: Sequence[str],
        supported: Sequence[str],
        contact_params: str,
        here: Callable[[Flow], tuple[str, int]],
    ) -> None:
        self.settings = settings
        self.application = application
        self.timers = timers
        self.intervals = Intervals(settings.t1, settings.t2, settings.t4)
        limits = Limits(
            settings.max_transactions,
            settings.max_transactions_per_source,
            settings.max_pending,
            settings.max_pending_per_source,
        )
        self.layer = Layer(timers, self.intervals, send, self, limits, settings.retry_after_s)
        self.dialogs = Dialogs()
        self.subscribing: dict[tuple[str, str], Callable[[Envelope, Flow], Dialog | None]] = {}
        """What makes a dialog of a NOTIFY that is here before the answer to its SUBSCRIBE (RFC 6665)."""
        self.allow = tuple(allow)
        self.supported = tuple(supported)
        self.faults: Counter[str] = Counter()
        self._contact_params = contact_params
        self._here = here

    # -----------------------------------------------------------------------------------------
    # From the transactions

    def requested(self, envelope: Envelope, flow: Flow, transaction: ServerTransaction) -> None:
        dialog = self.dialogs.of(envelope) if envelope.to.tag else None
        if dialog is None and envelope.method == "NOTIFY":
            make = self.subscribing.get((envelope.call_id, envelope.to.tag))
            dialog = make(envelope, flow) if make is not None else None
        incoming = Incoming(self, envelope, flow, transaction, dialog)
        transaction.user = incoming
        status, fields = screening.screen(
            envelope, self.settings, self.allow, self.supported, in_dialog=dialog is not None
        )
        if not status and dialog is not None:
            status = dialog.refuses(envelope, flow)
            fields = [("Retry-After", str(random.randint(1, 10)))] if status == 500 else []
        if status:
            incoming.respond(status, headers=fields)
        elif envelope.method == "PRACK" and dialog is not None:
            matches = dialog.reliable is not None and dialog.reliable.acknowledged(envelope)
            incoming.respond(200 if matches else 481)
        else:
            self._deliver(incoming, dialog)

    def cancelled(self, transaction: ServerTransaction) -> None:
        incoming = transaction.user
        if isinstance(incoming, Incoming) and not incoming.answered:
            incoming.cancelled = True
            incoming.respond(487)
            self._tell(lambda: self.application.cancelled(incoming))

    def acknowledged(self, envelope: Envelope, flow: Flow) -> None:
        dialog = self.dialogs.of(envelope)
        if dialog is None or (dialog.secure and not flow.secure):
            self.layer.dropped["ack"] += 1
            return
        confirming = dialog.confirming.pop(envelope.cseq, None)
        if confirming is not None:
            confirming.stop()
            self._tell(lambda: self.application.acknowledged(dialog, envelope.request.body))

    def close(self) -> None:
        """Forget all. Nothing is sent, nobody is told."""
        for dialog in self.dialogs:
            dialog.end()
        self.layer.close()

    # -----------------------------------------------------------------------------------------
    # From the answers

    def dialog_for(self, incoming: Incoming, status: int) -> Dialog | None:
        """The dialog that a response with that status is in, made if need be (section 12.1.1)."""
        envelope = incoming.envelope
        makes = 101 <= status < 300 if envelope.method == "INVITE" else 200 <= status < 300
        if incoming.dialog is None and makes and envelope.method in screening.MAKES_DIALOG:
            incoming.dialog = Dialog(
                core=self,
                call_id=envelope.call_id,
                local_tag=incoming.local_tag,
                remote_tag=envelope.sender.tag,
                local_uri=envelope.to.uri,
                remote_uri=envelope.sender.uri,
                remote_target=contact_of(envelope),
                display=envelope.sender.display,
                flow=incoming.flow,
                secure=incoming.flow.secure,
                contact=self.contact(incoming.flow, incoming.request.uri.user or "", incoming.request.uri.scheme),
                caller=False,
                session=envelope.method == "INVITE",
                routes=record_routes(envelope),
                local_cseq=random.randint(1, 2**16),
                remote_cseq=envelope.cseq,
                early=True,
                asked=incoming if envelope.method == "INVITE" else None,
            )
            self.dialogs.add(incoming.dialog)
        return incoming.dialog

    def fields_of(self, incoming: Incoming, status: int, given: Fields) -> Fields:
        """What every response has, but for what the application gives itself."""
        envelope, taken = incoming.envelope, {name.lower() for name, _ in given}
        fields: list[tuple[str, str]] = []
        if 101 <= status < 300 and envelope.method in screening.REFRESHES_TARGET and incoming.dialog is not None:
            fields.append(("Contact", incoming.dialog.contact))
            if not envelope.to.tag:
                fields += [("Record-Route", route) for route in envelope.headers.getlist("Record-Route")]
        if status == 405 or 200 <= status < 300:
            fields.append(("Allow", ", ".join(self.allow)))
            fields.append(("Supported", ", ".join(self.supported)))
        fields.append(("Server", self.settings.user_agent))
        return [pair for pair in fields if pair[0].lower() not in taken]

    def answered(self, incoming: Incoming, transaction: ServerTransaction, status: int, octets: bytes) -> None:
        """A response has been sent: what it does to the dialog."""
        dialog = incoming.dialog
        if dialog is None or status < 200:
            return
        if dialog.asked is incoming:
            dialog.asked = None
            if dialog.reliable is not None:
                dialog.reliable.stop()
        if status < 300:
            dialog.early = False
            if incoming.method in screening.REFRESHES_TARGET:
                dialog.refresh(incoming.envelope)
            if incoming.method == "INVITE":
                self._confirm(dialog, incoming, transaction, octets)
        elif dialog.early and incoming.method == "INVITE":
            dialog.end()

    # -----------------------------------------------------------------------------------------
    # From the dialogs

    def ask(self, dialog: Dialog, question: Question, future: Awaited) -> InDialog:
        """Send a request of ours in it. The answer goes to the future."""
        return InDialog(dialog, question, future)

    def forget(self, dialog: Dialog) -> None:
        """It has ended."""
        self.dialogs.remove(dialog)

    def failed(self, dialog: Dialog) -> None:
        """The peer has left it."""
        self.application.failed(dialog)

    # -----------------------------------------------------------------------------------------
    # Who we are

    def contact(self, flow: Flow, user: str, scheme: str = "sip") -> str:
        """Ours, in a dialog on that flow."""
        scheme = "sips" if scheme == "sips" else "sip"  # a tel URI names a number, and nowhere to send to
        at = f"{quoted(user)}@" if user else ""
        transport = "" if flow.transport == "udp" or scheme == "sips" else f";transport={flow.transport}"
        return f"<{scheme}:{at}{host_and_port(self._here(flow))}{transport}>{self._contact_params}"

    def sent_by(self, flow: Flow) -> str:
        return host_and_port(self._here(flow))

    # -----------------------------------------------------------------------------------------

    def _confirm(self, dialog: Dialog, incoming: Incoming, transaction: ServerTransaction, octets: bytes) -> None:
        number, flow = incoming.envelope.cseq, transaction.flow

        def give_up() -> None:
            dialog.confirming.pop(number, None)
            self._tell(lambda: self.application.unacknowledged(dialog))

        dialog.confirming[number] = Confirming(
            self.timers, self.intervals, lambda: self.layer.send(flow, octets), give_up
        )

    def _deliver(self, incoming: Incoming, dialog: Dialog | None) -> None:
        if dialog is not None and incoming.method == "INVITE":
            dialog.asked = incoming
            if dialog.give_way is not None:
                dialog.give_way()
        if dialog is not None and incoming.method == "BYE" and dialog.asked is not None:
            dialog.asked.respond(487)  # section 15.1.2
        if not self._tell(lambda: self.application.arrived(incoming)):
            incoming.respond(500)

    def _tell(self, call: Callable[[], None]) -> bool:
        try:
            call()
        except Exception:  # noqa: BLE001 - the edge between the stack and who uses it: one bad call must not end all calls
            self.faults["application"] += 1
            _LOG.exception("the application failed on a request")
            return False
        return True


_LOG: Final = logging.getLogger(__name__)
