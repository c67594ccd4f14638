"""Incoming: one request that waits for its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Protocol

from sipmessage import Request

from control.sip import responses
from control.sip.message import Envelope
from control.sip.reliable import Reliable
from control.sip.requests import Fields, new_tag
from control.sip.values import tokens

if TYPE_CHECKING:
    from control.sip.dialogs import Dialog
    from control.sip.flows import Flow
    from control.sip.layer import Layer
    from control.sip.server_transactions import ServerTransaction
    from control.sip.timers import Intervals, Timers


class Answerer(Protocol):
    """The user agent, as far as an answer needs it."""

    @property
    def layer(self) -> Layer: ...

    @property
    def timers(self) -> Timers: ...

    @property
    def intervals(self) -> Intervals: ...

    @property
    def supported(self) -> Collection[str]:
        """Extensions."""

    def dialog_for(self, incoming: Incoming, status: int) -> Dialog | None:
        """The dialog that a response with that status is in, made if need be."""

    def fields_of(self, incoming: Incoming, status: int, given: Fields) -> Fields:
        """What every response has, but for what is `given`."""

    def answered(self, incoming: Incoming, transaction: ServerTransaction, status: int, octets: bytes) -> None:
        """A response has been sent."""


class Incoming:
    """A request, and the way to answer it once."""

    __slots__ = ("_core", "_transaction", "cancelled", "dialog", "envelope", "flow", "local_tag")

    def __init__(
        self, core: Answerer, envelope: Envelope, flow: Flow, transaction: ServerTransaction, dialog: Dialog | None
    ) -> None:
        self._core = core
        self._transaction = transaction
        self.envelope = envelope
        self.flow = flow
        self.dialog = dialog
        """The dialog that it is in, or that it has made."""
        self.cancelled = False
        self.local_tag = envelope.to.tag or new_tag()

    @property
    def request(self) -> Request:
        return self.envelope.request

    @property
    def method(self) -> str:
        return self.envelope.method

    @property
    def body(self) -> bytes:
        return self.request.body

    @property
    def answered(self) -> bool:
        """A final response has been sent."""
        return self._transaction.answered

    def header(self, name: str) -> str | None:
        """The first field of that name; None without."""
        return self.request.headers.get(name)

    def all(self, name: str) -> list[str]:
        """All fields of that name, as they came."""
        return list(self.request.headers.getlist(name))

    def respond(
        self,
        status: int,
        reason: str = "",
        *,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        content_type: str = "application/sdp",
    ) -> Dialog | None:
        """Answer, provisionally or finally. What comes too late or twice is ignored.

        Returns:
            The dialog that a 2xx or a 1xx has made, or None.
        """
        headers = tuple(headers)
        if 101 <= status < 200 and "100rel" in tokens(self.all("Require")):

            def send(more: Iterable[tuple[str, str]]) -> Dialog | None:
                return self._send(status, reason, (*headers, *more), body, content_type)

            if self._reliably(status, send, lambda: None):
                return self.dialog
        return self._send(status, reason, headers, body, content_type)

    async def progress(self, status: int, *, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> None:
        """A provisional response. If the peer can acknowledge it (RFC 3262), this returns when it has."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done() -> None:
            if not future.done():
                future.set_result(None)

        def send(more: Iterable[tuple[str, str]]) -> Dialog | None:
            return self._send(status, "", (*headers, *more), body, "application/sdp")

        if self._reliably(status, send, done):
            await future
        else:
            self._send(status, "", headers, body, "application/sdp")

    def again(self) -> None:
        """Send the last response once more."""
        self._transaction.again()

    def _reliably(self, status: int, send: Callable[[Fields], object], done: Callable[[], object]) -> bool:
        """Send a reliable provisional response, by `send` with further fields, and tell when it is `done`.

        Returns:
            False if the peer, or the moment, does not allow one. Then nothing has been sent.
        """
        core = self._core
        able = tokens([*self.all("Supported"), *self.all("Require")])
        if "100rel" not in able or "100rel" not in core.supported or self.method != "INVITE":
            return False
        if self.answered or not 101 <= status < 200:
            return False
        dialog = core.dialog_for(self, status)
        if dialog is None:
            return False
        if dialog.reliable is None:
            number = self.envelope.cseq
            dialog.reliable = Reliable(core.timers, core.intervals, number, lambda: self.respond(504))
        if dialog.reliable.busy:
            return False
        send((("Require", "100rel"), ("RSeq", str(dialog.reliable.next_number()))))
        dialog.reliable.sent(self.again, done)
        return True

    def _send(
        self, status: int, reason: str, headers: Iterable[tuple[str, str]], body: bytes, content_type: str
    ) -> Dialog | None:
        if self.answered:
            return None
        headers = tuple(headers)
        made = self._core.dialog_for(self, status)
        fields = [*headers, *self._core.fields_of(self, status, headers)]
        tag = self.local_tag if status > 100 else ""
        octets = responses.encode(
            self.request, status, reason, to_tag=tag, fields=fields, body=body, content_type=content_type
        )
        if not self._core.layer.respond(self._transaction, status, octets):
            return None
        self._core.answered(self, self._transaction, status, octets)
        return made
