"""Agent: the user agent on real sockets and the loop's clock. A thin shell around `Core`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from sipmessage import Response

from control.sip.calls import OutgoingCall
from control.sip.core import Application, Core
from control.sip.dialogs import Dialog
from control.sip.digest import Credentials
from control.sip.errors import SipError
from control.sip.flows import Address, Flow
from control.sip.framing import Unframed
from control.sip.incoming import Incoming
from control.sip.origin import Origin
from control.sip.settings import SipSettings
from control.sip.single import SingleRequest
from control.sip.sockets import Sockets
from control.sip.timers import Timers

__all__ = ["Agent", "Application", "Credentials", "Dialog", "Incoming", "OutgoingCall", "SipSettings"]

ALLOW: Final = (
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "OPTIONS",
    "UPDATE",
    "INFO",
    "PRACK",
    "SUBSCRIBE",
    "NOTIFY",
    "REFER",
)
SUPPORTED: Final = ("100rel", "timer", "replaces")
Fields = Iterable[tuple[str, str]]


class Agent:
    """A SIP user agent, client and server.

    Args:
        allow: the methods that the application gets; all others are answered 405.
        supported: option tags.
        contact_params: of our Contact, such as `;isfocus`.
    """

    def __init__(
        self,
        settings: SipSettings,
        application: Application,
        *,
        allow: Sequence[str] = ALLOW,
        supported: Sequence[str] = SUPPORTED,
        contact_params: str = "",
    ) -> None:
        self._settings = settings
        self._handle: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers = Timers(self._now, self._arm)
        self._sockets = Sockets(settings, self)
        self.core = Core(
            settings,
            application,
            self._timers,
            self._sockets.send,
            allow=allow,
            supported=supported,
            contact_params=contact_params,
            here=self._sockets.here,
        )

    @property
    def listening(self) -> dict[str, Address]:
        """The address of each transport."""
        return self._sockets.listening

    async def open(self) -> None:
        """Listen.

        Raises:
            OSError: an address is taken, or not ours.
            TlsFilesUnfit: TLS is wanted without what it needs.
        """
        self._loop = asyncio.get_running_loop()
        await self._sockets.open()

    async def close(self) -> None:
        """Stop at once. Whoever has calls hangs up before."""
        self.core.close()
        for task in self._tasks:
            task.cancel()
        if self._handle is not None:
            self._handle.cancel()
        await self._sockets.close()

    def invite(
        self,
        uri: str,
        *,
        from_uri: str,
        body: bytes,
        headers: Fields = (),
        credentials: Credentials | None = None,
        ringing: Callable[[Response], None] = lambda _: None,
    ) -> OutgoingCall:
        """Call somebody. Without a body the other side is to make the offer."""
        origin = Origin(self.core, uri, from_uri, tuple(headers))
        call = OutgoingCall(self.core, origin, body, credentials, ringing)
        task = self._loop.create_task(self._begin(call, origin))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return call

    async def request(
        self,
        method: str,
        uri: str,
        *,
        from_uri: str,
        headers: Fields = (),
        body: bytes = b"",
        content_type: str = "application/sdp",
        credentials: Credentials | None = None,
    ) -> Response:
        """Ask something outside of dialogs, and wait for the final response.

        Raises:
            SipTimeout, TransportLost: there is none.
        """
        origin = Origin(self.core, uri, from_uri, tuple(headers))
        single = SingleRequest(self.core, origin, method, body, content_type, credentials)
        single.begin(await self._sockets.way(origin.next_hop))
        return (await single.answered)[0]

    async def subscribe(
        self,
        uri: str,
        *,
        from_uri: str,
        event: str,
        expires: int = 3600,
        headers: Fields = (),
        credentials: Credentials | None = None,
    ) -> Dialog:
        """Subscribe; what is notified arrives at the application, with this dialog.

        Raises:
            CallRefused: with the status.
        """
        fields = (("Event", event), ("Expires", str(expires)), *headers)
        origin = Origin(self.core, uri, from_uri, fields)
        single = SingleRequest(self.core, origin, "SUBSCRIBE", b"", "", credentials)
        single.begin(await self._sockets.way(origin.next_hop))
        return await single.dialog()

    # -----------------------------------------------------------------------------------------
    # From the sockets

    def received(self, octets: bytes, flow: Flow) -> None:
        self._guard(lambda: self.core.layer.receive(octets, flow))

    def unframed(self, error: Unframed, flow: Flow) -> None:
        self._guard(lambda: self.core.layer.complain(error.head, error.status, flow))

    def lost(self, flow: Flow) -> None:
        self._guard(lambda: self.core.layer.lost(flow))

    def wanted(self, flow: Flow) -> bool:
        return any(dialog.flow == flow for dialog in self.core.dialogs)

    def _guard(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception:  # noqa: BLE001 - the outermost edge: no peer may end all calls
            self.core.faults["stack"] += 1
            _LOG.exception("a message or an alarm could not be worked on")

    # -----------------------------------------------------------------------------------------
    # Time

    def _now(self) -> float:
        return self._loop.time()

    def _arm(self, when: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self._loop.call_at(when, self._ring)

    def _ring(self) -> None:
        self._handle = None
        self._guard(self._timers.ring)
        due = self._timers.due()
        if due is not None:
            self._arm(due)

    async def _begin(self, call: OutgoingCall, origin: Origin) -> None:
        try:
            call.begin(await self._sockets.way(origin.next_hop))
        except SipError as error:
            call.fail(error)


_LOG: Final = logging.getLogger(__name__)
