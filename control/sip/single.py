"""SingleRequest: a request of ours outside of dialogs, and the dialog that comes of a SUBSCRIBE (RFC 6665)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sipmessage import Response

from control.sip.dialogs import Dialog
from control.sip.errors import CallRefused, SipError
from control.sip.exchange import Exchange
from control.sip.flows import Flow
from control.sip.message import Envelope
from control.sip.origin import Origin

if TYPE_CHECKING:
    from control.sip.core import Core
    from control.sip.digest import Credentials


class SingleRequest:
    """One request, and its answer."""

    def __init__(
        self,
        core: Core,
        origin: Origin,
        method: str,
        body: bytes,
        content_type: str,
        credentials: Credentials | None,
    ) -> None:
        self._core = core
        self._origin = origin
        self._method = method
        self._parts = body, content_type
        self._credentials = credentials
        self._dialog: Dialog | None = None
        self.answered: asyncio.Future[tuple[Response, Envelope]] = asyncio.get_running_loop().create_future()

    def begin(self, flow: Flow) -> None:
        """The way is known: ask."""
        if self._method == "SUBSCRIBE":
            self._core.subscribing[self._origin.call_id, self._origin.tag] = self._notified
        Exchange(
            self._core.layer,
            lambda fields: (flow, self._origin.compose(self._method, flow, fields, *self._parts)),
            self,
            self._credentials,
        ).ask()

    async def dialog(self) -> Dialog:
        """Of a SUBSCRIBE that was accepted."""
        try:
            response, envelope = await self.answered
            if envelope.status >= 300:
                raise CallRefused(response.code, response.phrase)
        except BaseException:
            if self._dialog is not None:  # of a NOTIFY that came before the refusal
                self._dialog.end()
            raise
        finally:
            self._core.subscribing.pop((self._origin.call_id, self._origin.tag), None)
        if self._dialog is None:
            self._dialog = self._origin.dialog(envelope, self._credentials)
            self._dialog.early = False
        return self._dialog

    def _notified(self, envelope: Envelope, flow: Flow) -> Dialog:
        if self._dialog is None:
            self._dialog = self._origin.dialog(envelope, self._credentials, flow)
        return self._dialog

    # -----------------------------------------------------------------------------------------
    # From the exchange

    def provisional(self, envelope: Envelope) -> None: ...

    def succeeded(self, envelope: Envelope) -> None:
        self._settle(envelope)

    def refused(self, envelope: Envelope) -> None:
        self._settle(envelope)

    def lost(self, error: SipError) -> None:
        if not self.answered.done():
            self.answered.set_exception(error)

    def _settle(self, envelope: Envelope) -> None:
        if not self.answered.done():
            self.answered.set_result((envelope.response, envelope))
