"""Agent: the user agent on real sockets and the loop's clock. A thin shell around `Core`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from sipmessage import URI, Response

from control.sip.calls import OutgoingCall
from control.sip.core import Application, Core
from control.sip.dialogs import Dialog
from control.sip.digest import Credentials
from control.sip.errors import SipError, TransportLost
from control.sip.flows import Address, Flow
from control.sip.incoming import Incoming
from control.sip.origin import Origin
from control.sip.settings import SipSettings
from control.sip.single import SingleRequest
from control.sip.sockets import UdpSocket
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
        self._udp = UdpSocket(self._receive)
        self._timers = Timers(self._now, self._arm)
        self.listening: dict[str, Address] = {}
        self.core = Core(
            settings,
            application,
            self._timers,
            self._send,
            allow=allow,
            supported=supported,
            contact_params=contact_params,
            here=self._here,
        )

    async def open(self) -> None:
        """Listen.

        Raises:
            OSError: an address is taken or not ours.
        """
        self._loop = asyncio.get_running_loop()
        if self._settings.udp_port >= 0:
            await self._udp.open(self._settings.host, self._settings.udp_port)
            self.listening["udp"] = self._udp.address

    async def close(self) -> None:
        """Stop at once. Whoever has calls hangs up before."""
        self.core.layer.close()
        for task in self._tasks:
            task.cancel()
        if self._handle is not None:
            self._handle.cancel()
        self._udp.close()
        self.listening.clear()

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
        self._start(self._begin(call, origin))
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
        single.begin(await self._way(origin.next_hop))
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
        single.begin(await self._way(origin.next_hop))
        return await single.dialog()

    # -----------------------------------------------------------------------------------------
    # Ways

    async def _begin(self, call: OutgoingCall, origin: Origin) -> None:
        try:
            call.begin(await self._way(origin.next_hop))
        except SipError as error:
            call.fail(error)

    async def _way(self, uri: str) -> Flow:
        """The flow that a URI is reached on."""
        try:
            target = URI.parse(uri)
            found = await self._loop.getaddrinfo(target.host.strip("[]"), target.port or 5060)
        except (ValueError, OSError) as error:
            raise TransportLost(f"there is no way to {uri}: {error}") from None
        return Flow("udp", self._udp.address, found[0][4][:2])  # type: ignore[arg-type]

    def _here(self, flow: Flow) -> Address:
        host, port = self.listening.get(flow.transport, flow.local)
        return self._settings.advertise or host, port

    def _send(self, flow: Flow, octets: bytes) -> bool:
        return self._udp.send(flow, octets)

    def _receive(self, octets: bytes, flow: Flow) -> None:
        try:
            self.core.layer.receive(octets, flow)
        except Exception:  # the outermost edge: no peer may end all calls
            self.core.faults["stack"] += 1
            _LOG.exception("a message could not be worked on")

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
        try:
            self._timers.ring()
        except Exception:  # likewise
            self.core.faults["stack"] += 1
            _LOG.exception("a timer could not be worked on")
        due = self._timers.due()
        if due is not None:
            self._arm(due)

    def _start(self, work: object) -> None:
        task = self._loop.create_task(work)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


_LOG: Final = logging.getLogger(__name__)
