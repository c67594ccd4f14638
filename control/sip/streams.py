"""Streams: TCP and TLS connections on asyncio. Knows octets, frames and bounds; must never know what a message says."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable
from itertools import count
from typing import Any, Final, Literal, Protocol

from control.sip import tls
from control.sip.door import Door
from control.sip.errors import TransportLost
from control.sip.flows import Address, Flow
from control.sip.framing import PING, PONG, Framing, Unframed
from control.sip.settings import SipSettings

Kind = Literal["tcp", "tls"]


class Upward(Protocol):
    """Who wants the messages."""

    def received(self, octets: bytes, flow: Flow) -> None: ...

    def unframed(self, error: Unframed, flow: Flow) -> None: ...

    def lost(self, flow: Flow) -> None: ...

    def wanted(self, flow: Flow) -> bool:
        """Somebody may still want to say something on it, silent though it is."""


class Streams:
    """All connections, whoever opened them."""

    def __init__(self, settings: SipSettings, upward: Upward) -> None:
        self._settings = settings
        self._upward = upward
        self._servers: list[asyncio.Server] = []
        self._doors: list[Door] = []
        self._open: dict[int, Connection] = {}
        self._connecting: dict[tuple[Kind, Address, str], asyncio.Task[Flow]] = {}
        self._sources: Counter[str] = Counter()
        self._numbers = count(1)
        self._sweep: asyncio.TimerHandle | None = None
        self.refused = 0

    async def listen(self, kind: Kind, port: int) -> Address:
        """Accept connections; port 0 is any free one."""
        settings = self._settings
        self._look()
        if kind == "tls":
            context = tls.server_context(settings)
            door = Door(context, lambda: self._connection(kind), self._has_room, settings.message_s)
            self._doors.append(door)
            return await door.open(settings.host, port)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: self._connection(kind), settings.host, port)
        self._servers.append(server)
        host, bound = server.sockets[0].getsockname()[:2]
        return host, bound

    async def connect(self, kind: Kind, address: Address, name: str) -> Flow:
        """The flow to a peer; an open one is used again. `name` is who its certificate must name.

        Raises:
            TransportLost: there is no way, or the peer is not who it should be.
        """
        for connection in self._open.values():
            flow = connection.flow
            if connection.name == name and flow.transport == kind and flow.remote == address:
                return flow
        key = (kind, address, name)
        task = self._connecting.get(key)
        if task is None:
            task = self._connecting[key] = asyncio.create_task(self._connect(kind, address, name))
            task.add_done_callback(lambda _: self._connecting.pop(key, None))
        return await asyncio.shield(task)

    def send(self, flow: Flow, octets: bytes) -> bool:
        """False if the connection is gone, or its peer does not read."""
        connection = self._open.get(flow.connection)
        return connection is not None and connection.send(octets)

    async def close(self) -> None:
        """Close all."""
        if self._sweep is not None:
            self._sweep.cancel()
        for server in self._servers:
            server.close()
        for door in self._doors:
            await door.close()
        for task in self._connecting.values():
            task.cancel()
        for connection in list(self._open.values()):
            connection.abort()

    # -----------------------------------------------------------------------------------------
    # From the connections

    def opened(self, connection: Connection) -> bool:
        """False if there is no room for one more."""
        source = connection.flow.remote[0]
        if not self._has_room(source, Counter()):
            return False
        self._sources[source] += 1
        self._open[connection.flow.connection] = connection
        return True

    def closed(self, connection: Connection) -> None:
        if self._open.pop(connection.flow.connection, None) is not None:
            source = connection.flow.remote[0]
            self._sources[source] -= 1
            if not self._sources[source]:
                del self._sources[source]
            self._upward.lost(connection.flow)

    def _has_room(self, source: str, shaking: Counter[str]) -> bool:
        """`shaking`: handshakes under way, by source."""
        settings = self._settings
        full = len(self._open) + shaking.total() >= settings.max_connections
        if full or self._sources[source] + shaking[source] >= settings.max_connections_per_source:
            self.refused += 1
            return False
        return True

    def _connection(self, kind: Kind, name: str = "") -> Connection:
        return Connection(self, self._upward, self._settings, kind, next(self._numbers), name)

    async def _connect(self, kind: Kind, address: Address, name: str) -> Flow:
        context = tls.client_context(self._settings) if kind == "tls" else None
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._settings.message_s):
                _, made = await loop.create_connection(
                    lambda: self._connection(kind, name),
                    *address,
                    ssl=context,
                    server_hostname=name if context is not None else None,
                )
        except (OSError, TimeoutError, ssl.SSLError) as error:
            raise TransportLost(f"no connection to {name} over {kind}: {error or 'it does not answer'}") from None
        self._look()
        return made.flow

    def _look(self) -> None:
        """Close what has been silent, or has dawdled over a message, for too long."""
        loop = asyncio.get_running_loop()
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in list(self._open.values()):
            if connection.overdue(loop.time(), self._upward.wanted):
                connection.abort()
        self._sweep = loop.call_later(_SWEEP_S, self._look)


class Connection(asyncio.Protocol):
    """One connection. `name` is whom we called; "" if we were called."""

    def __init__(
        self, streams: Streams, upward: Upward, settings: SipSettings, kind: Kind, number: int, name: str
    ) -> None:
        self._streams = streams
        self._upward = upward
        self._settings = settings
        self._kind: Kind = kind
        self._number = number
        self._framing = Framing(settings.max_message)
        self._clock: Callable[[], float] = asyncio.get_running_loop().time
        self._heard = self._clock()
        self._begun: float | None = None
        self._transport: Any = None
        self.name = name

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # no isinstance: uvloop's are of no class of asyncio's
        local, remote = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        if not remote:  # gone already
            remote = ("", 0)
        names = tls.identities(transport.get_extra_info("ssl_object")) if not self.name else frozenset[str]()
        self.flow = Flow(self._kind, local[:2], remote[:2], names, self._number)
        if not self._streams.opened(self):
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._heard = self._clock()
        try:
            frames = self._framing.feed(data)
        except Unframed as error:
            self._upward.unframed(error, self.flow)
            self._transport.close()
            return
        for frame in frames:
            if frame == PING:
                self.send(PONG)
            else:
                self._upward.received(frame, self.flow)
        if not self._framing.partial:
            self._begun = None
        elif self._begun is None or frames:
            self._begun = self._heard

    def connection_lost(self, exc: Exception | None) -> None:
        self._streams.closed(self)

    def send(self, octets: bytes) -> bool:
        if self._transport.is_closing():
            return False
        self._transport.write(octets)
        if self._transport.get_write_buffer_size() > _MAX_UNREAD:
            self._transport.abort()
            return False
        return True

    def abort(self) -> None:
        self._transport.abort()

    def overdue(self, now: float, wanted: Callable[[Flow], bool]) -> bool:
        """It may be closed for what its peer does not do."""
        if self._begun is not None and now - self._begun > self._settings.message_s:
            return True
        if now - self._heard <= self._settings.idle_s:
            return False
        if wanted(self.flow):
            self._heard = now
            return False
        return True


_SWEEP_S: Final = 1.0
_MAX_UNREAD: Final = 1 << 20
"""Octets that wait for a peer that does not read."""
