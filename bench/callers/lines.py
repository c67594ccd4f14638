"""The SIP agent that many callers share: every request in a call finds its caller by the user of our Contact.

Knows: `control.sip`. Must never know: media, or what a request says.
"""

from __future__ import annotations

import asyncio
from typing import Final, Literal, Protocol, Self, TypeAlias

from control.sip.agent import Agent, Dialog, Incoming, SipSettings
from control.sip.flows import Flow, host_and_port

Transport: TypeAlias = Literal["udp", "tcp", "tls"]
HOST: Final = "127.0.0.1"
USER_AGENT: Final = "mrfp-caller"


class Subscriber(Protocol):
    """Who has a line."""

    name: str

    async def arrived(self, incoming: Incoming) -> None: ...

    def acknowledged(self, dialog: Dialog, body: bytes) -> None: ...

    def failed(self, dialog: Dialog) -> None: ...


class Lines:
    """One agent, on free ports, and whoever has a line on it."""

    def __init__(self, transport: Transport = "udp", *, settings: SipSettings | None = None, acks: bool = True) -> None:
        """`acks`: False for an agent that never acknowledges."""
        own = SipSettings(
            host=HOST,
            udp_port=0 if transport == "udp" else -1,
            tcp_port=0 if transport == "tcp" else -1,
            tls_port=0 if transport == "tls" else -1,
            user_agent=USER_AGENT,
        )
        self.transport = transport
        self.agent = Agent(settings or own, self)
        if not acks:
            _never_acks(self.agent)
        self._subscribers: dict[str, Subscriber] = {}
        self._errands: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(
        cls, transport: Transport = "udp", *, settings: SipSettings | None = None, acks: bool = True
    ) -> Self:
        """Lines that can be called at once."""
        lines = cls(transport, settings=settings, acks=acks)
        await lines.agent.open()
        return lines

    async def close(self) -> None:
        for errand in list(self._errands):
            errand.cancel()
        await asyncio.gather(*self._errands, return_exceptions=True)
        await self.agent.close()

    def connect(self, subscriber: Subscriber) -> None:
        """Give somebody a line. Raises `ValueError` if the name is taken."""
        if subscriber.name in self._subscribers:
            raise ValueError(f"there is a line of the name {subscriber.name!r} already")
        self._subscribers[subscriber.name] = subscriber

    def disconnect(self, subscriber: Subscriber) -> None:
        self._subscribers.pop(subscriber.name, None)

    def uri(self, name: str) -> str:
        """Where somebody can be called."""
        suffix = "" if self.transport == "udp" else f";transport={self.transport}"
        return f"sip:{name}@{host_and_port(self.agent.listening[self.transport])}{suffix}"

    # -- what the agent calls -----------------------------------------------------------------

    def arrived(self, incoming: Incoming) -> None:
        subscriber = self._subscribers.get(incoming.request.uri.user or "")
        if subscriber is None:
            incoming.respond(404)
            return
        task = asyncio.get_running_loop().create_task(subscriber.arrived(incoming))
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    def cancelled(self, incoming: Incoming) -> None:
        """The caller has given up before we answered."""

    def acknowledged(self, dialog: Dialog, body: bytes) -> None:
        if isinstance(dialog.owner, Owner):
            dialog.owner.subscriber.acknowledged(dialog, body)

    def unacknowledged(self, dialog: Dialog) -> None:
        self.failed(dialog)

    def failed(self, dialog: Dialog) -> None:
        if isinstance(dialog.owner, Owner):
            dialog.owner.subscriber.failed(dialog)


class Owner:
    """Whose a dialog is."""

    def __init__(self, subscriber: Subscriber) -> None:
        self.subscriber = subscriber


def _never_acks(agent: Agent) -> None:
    layer = agent.core.layer
    send = layer.send

    def all_but_acks(flow: Flow, octets: bytes) -> bool:
        return octets.startswith(b"ACK ") or send(flow, octets)

    layer.send = all_but_acks
