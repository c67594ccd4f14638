"""Incoming: one request that waits for its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from sipmessage import Request

from control.sip import responses
from control.sip.message import Envelope
from control.sip.reliable import respond_reliably
from control.sip.requests import new_tag
from control.sip.values import tokens

if TYPE_CHECKING:
    from control.sip.core import Core
    from control.sip.dialogs import Dialog
    from control.sip.flows import Flow
    from control.sip.server_transactions import ServerTransaction


class Incoming:
    """A request, and the way to answer it once."""

    __slots__ = ("_core", "_transaction", "cancelled", "dialog", "envelope", "flow", "local_tag")

    def __init__(
        self, core: Core, envelope: Envelope, flow: Flow, transaction: ServerTransaction, dialog: Dialog | None
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

            if respond_reliably(self._core, self, status, send, lambda: None):
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

        if respond_reliably(self._core, self, status, send, done):
            await future
        else:
            self._send(status, "", headers, body, "application/sdp")

    def again(self) -> None:
        """Send the last response once more."""
        self._transaction.again()

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
