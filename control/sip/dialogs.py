"""Dialog: what two user agents have with each other (RFC 3261 section 12). Sans-IO but for `request`, which awaits.

Knows tags, sequence numbers, routes and the remote target. Must never know what the dialog is for: that is its
`owner`'s business.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Protocol

from sipmessage import Response

from control.sip.errors import SipTimeout
from control.sip.flows import Flow
from control.sip.message import Envelope
from control.sip.requests import Outgoing, Question, via_and_branch
from control.sip.targets import contact_of
from control.sip.uris import parameter_of, parse_uri
from control.sip.values import parse_name_addr

if TYPE_CHECKING:
    from control.sip.confirming import Confirming
    from control.sip.digest import Credentials
    from control.sip.layer import Layer
    from control.sip.reliable import Reliable
    from control.sip.timers import Timers

Key = tuple[str, str, str]


class Asking(Protocol):
    """A request of ours that is not answered yet."""

    def abandon(self) -> None: ...


class Asked(Protocol):
    """One of the peer."""

    def respond(self, status: int) -> object: ...


class Home(Protocol):
    """The user agent, as far as a dialog needs it."""

    @property
    def layer(self) -> Layer: ...

    @property
    def timers(self) -> Timers: ...

    def sent_by(self, flow: Flow) -> str:
        """What a Via on that flow says of us."""

    def ask(self, dialog: Dialog, question: Question, future: asyncio.Future[Response]) -> Asking:
        """Send a request of ours in it. The answer goes to the future."""

    def forget(self, dialog: Dialog) -> None:
        """It has ended."""

    def failed(self, dialog: Dialog) -> None:
        """The peer has left it."""


@dataclass(eq=False, slots=True, kw_only=True)
class Dialog:
    """One dialog, early or confirmed."""

    call_id: str
    local_tag: str
    remote_tag: str
    local_uri: str
    remote_uri: str
    remote_target: str
    """Of the peer's Contact: where requests go."""
    display: str = ""
    """How the peer calls itself."""
    flow: Flow
    secure: bool
    """Made over TLS; so it stays there."""
    contact: str
    """Ours."""
    caller: bool
    """We have sent the first request."""
    session: bool = False
    """An INVITE has made it: subscriptions in it come and go without it (RFC 5057)."""
    routes: tuple[str, ...] = ()
    local_cseq: int
    remote_cseq: int = -1
    early: bool = False
    ended: bool = False
    credentials: Credentials | None = None
    owner: object = None

    core: Home = field(repr=False)
    # What is under way in it; the rooms of these names know what they are.
    asking: set[str] = field(default_factory=set, repr=False)
    asked: Asked | None = field(default=None, repr=False)
    confirming: dict[int, Confirming] = field(default_factory=dict, repr=False)
    give_way: Callable[[], None] | None = field(default=None, repr=False)
    """Told when the peer offers while an offer of ours waits to be made again."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)
    """One offer of ours at a time."""
    reliable: Reliable | None = field(default=None, repr=False)
    acknowledgement: tuple[int, bytes] = field(default=(-1, b""), repr=False)

    @property
    def remote_identity(self) -> str:
        """How the peer calls itself, or else its URI."""
        return self.display or self.remote_uri

    @property
    def key(self) -> Key:
        return self.call_id, self.local_tag, self.remote_tag

    # -----------------------------------------------------------------------------------------
    # For the application

    async def request(
        self,
        method: str,
        *,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        content_type: str = "application/sdp",
        timeout_s: float | None = None,
        ack_body: Callable[[Response], bytes] = lambda _: b"",
    ) -> Response:
        """Ask, and wait for the final response. A 2xx to INVITE is acknowledged: with `ack_body`'s answer, if given.

        Raises:
            SipTimeout: after `timeout_s`; the dialog lives on.
            DialogGone: the peer said 481 or 408, or nothing at all: the dialog is no more, or if this was a NOTIFY
                in a call, the subscription.
            TransportLost: the connection broke.
        """
        question = Question(method, tuple(headers), body, content_type, ack_body)
        if method in _OFFERING:
            async with self.turn:
                return await self._request(question, timeout_s)
        return await self._request(question, timeout_s)

    async def _request(self, question: Question, timeout_s: float | None) -> Response:
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        asking = self.core.ask(self, question, future)
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            raise SipTimeout(f"{question.method} has not been answered within {timeout_s} s") from None
        finally:
            asking.abandon()

    def end(self) -> None:
        """Forget it, after BYE either way. Nothing of it is sent again."""
        self.ended = True
        self.core.forget(self)
        for confirming in self.confirming.values():
            confirming.stop()
        self.confirming.clear()
        if self.reliable is not None:
            self.reliable.stop()

    # -----------------------------------------------------------------------------------------
    # What goes out

    def compose(
        self,
        method: str,
        fields: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
        content_type: str = "application/sdp",
        cseq: int | None = None,
    ) -> Outgoing:
        """A request in it, with the next number, or that of the INVITE that it acknowledges."""
        if cseq is None:
            cseq = self.local_cseq = self.local_cseq + 1
        uri, routes = self._target_and_routes()
        via, branch = via_and_branch(self.flow, self.core.sent_by(self.flow))
        given = {name.lower() for name, _ in fields}
        if method in _WITH_CONTACT and "contact" not in given:
            fields = (("Contact", self.contact), *fields)
        return Outgoing(
            method=method,
            uri=uri,
            sender=f"<{self.local_uri}>;tag={self.local_tag}",
            to=f"<{self.remote_uri}>" + (f";tag={self.remote_tag}" if self.remote_tag else ""),
            call_id=self.call_id,
            cseq=cseq,
            via=via,
            branch=branch,
            routes=routes,
            fields=fields,
            body=body,
            content_type=content_type,
        )

    def acknowledge(self, cseq: int, body: bytes = b"", content_type: str = "application/sdp") -> None:
        """Send the ACK of a 2xx, and keep it for when the 2xx comes again (section 13.2.2.4)."""
        octets = self.compose("ACK", (), body, content_type, cseq).encode()
        self.acknowledgement = cseq, octets
        self.core.layer.send(self.hop(), octets)

    def acknowledge_again(self, cseq: int) -> None:
        if self.acknowledgement[0] == cseq:
            self.core.layer.send(self.hop(), self.acknowledgement[1])

    def hop(self) -> Flow:
        """Where a request goes: by the first route, or the Contact, if we called over UDP; else back on its flow.

        A peer that called us may sit behind a NAT, where its Contact says nothing."""
        if self.flow.reliable or not self.caller:
            return self.flow
        uri, routes = self._target_and_routes()
        first = parse_name_addr(routes[0]).uri if routes else uri
        try:
            target = parse_uri(first)
            address, known = (ipaddress.ip_address(host) for host in (target.host.strip("[]"), self.flow.remote[0]))
        except ValueError:
            return self.flow
        if address.is_unspecified or address.is_loopback is not known.is_loopback:
            return self.flow
        if address.version != known.version:
            return self.flow  # no way from this socket; a proxy that speaks both stands between
        return replace(self.flow, remote=(str(address), target.port or 5060))

    # -----------------------------------------------------------------------------------------
    # What comes in

    def refuses(self, envelope: Envelope, flow: Flow) -> int:
        """The status that a request in it deserves before anybody looks at it (section 12.2.2); 0 for none."""
        if self.secure and not flow.secure:
            return 403
        if envelope.cseq <= self.remote_cseq:
            return 500
        self.remote_cseq = envelope.cseq
        self.flow = flow
        offers = envelope.method == "INVITE" or (envelope.method == "UPDATE" and bool(envelope.request.body))
        if offers and self.asked is not None and not self.early:
            return 500  # section 14.2; in an early dialog the application knows what has been answered
        return 491 if offers and self.asking & _OFFERING else 0

    def refresh(self, envelope: Envelope) -> None:
        """Take the peer's Contact from a target refresh (section 12.2)."""
        self.remote_target = contact_of(envelope) or self.remote_target

    def _target_and_routes(self) -> tuple[str, tuple[str, ...]]:
        """The Request-URI and the routes; a strict router is named in the first (section 12.2.1.1)."""
        if self.routes:
            first = parse_name_addr(self.routes[0]).uri
            if parameter_of(first, "lr") is None:
                return first, (*self.routes[1:], f"<{self.remote_target}>")
        return self.remote_target, self.routes


class Dialogs:
    """All dialogs of one user agent."""

    def __init__(self) -> None:
        self._known: dict[Key, Dialog] = {}

    def add(self, dialog: Dialog) -> None:
        self._known[dialog.key] = dialog

    def remove(self, dialog: Dialog) -> None:
        if self._known.get(dialog.key) is dialog:
            del self._known[dialog.key]

    def of(self, envelope: Envelope) -> Dialog | None:
        """The dialog that a request from the peer is in."""
        return self._known.get((envelope.call_id, envelope.to.tag, envelope.sender.tag))

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[Dialog]:
        return iter(list(self._known.values()))


_WITH_CONTACT: Final = frozenset({"INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"})
_OFFERING: Final = frozenset({"INVITE", "UPDATE"})
