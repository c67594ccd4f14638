"""The sockets of a service: who knocks, who is let in, one task each. What is said then: `connection`.

A client that goes away takes nothing with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import structlog

from control import listen, protocol
from control.api import Api
from control.connection import Connection, Limits
from control.desk import Desk, MixerDesk
from control.director import Director, Mixer
from control.errors import FORBIDDEN, TOO_MANY_CLIENTS
from control.keywrap import Wrapper


class Server:
    """Serves one API on Unix and TLS sockets."""

    def __init__(
        self,
        api: Api,
        desk_of: Callable[[listen.Peer], Desk],
        *,
        limits: Limits | None = None,
        allowed_uids: Iterable[int] | None = None,
        allowed_names: Iterable[str] = (),
        peer_uid: Callable[[Any], int] = listen.peer_uid,
    ) -> None:
        """`desk_of` makes what answers one peer. `allowed_uids`: own and root if None. `allowed_names`:
        certificate names, any if empty."""
        self.clients = 0
        """Those connected now, and not turned away."""
        self._api = api
        self._desk_of = desk_of
        self._limits = limits or Limits()
        ours = frozenset((0, os.geteuid()))
        self._uids = ours if allowed_uids is None else frozenset(allowed_uids)
        self._shared = not self._uids <= ours
        self._names = frozenset(allowed_names)
        self._peer_uid = peer_uid
        self._of_peer: Counter[str] = Counter()
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        self._remove_path: Callable[[], None] = lambda: None

    async def listen_unix(self, path: Path) -> None:
        """Take clients at a Unix socket. Raises `listen.ListenError`."""
        opened, self._remove_path = listen.unix_socket(path, shared=self._shared, noun=self._api.noun)
        server = await asyncio.start_unix_server(self._welcome_unix, sock=opened, limit=protocol.LINE_LIMIT)
        self._servers.append(server)

    async def listen_tls(self, host: str, tcp_port: int, identity: listen.Identity) -> int:
        """Take clients over mutual TLS 1.3; returns the port. Raises `listen.ListenError`."""
        context = listen.server_tls(identity)
        try:
            server = await asyncio.start_server(
                self._welcome_tls,
                host,
                tcp_port,
                limit=protocol.LINE_LIMIT,
                ssl=context,
                ssl_handshake_timeout=10,
            )
        except OSError as error:
            raise listen.ListenError(f"cannot listen at {host}:{tcp_port}: {error}") from None
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close every connection and every socket."""
        self._stopping = True
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # A peer in the middle of a TLS handshake is none of our tasks, and must not hold us up.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2.0):
                for server in self._servers:
                    await server.wait_closed()
        for _ in range(2):  # a task that was cancelled aborts its transport, and that closes on the next turn
            await asyncio.sleep(0)
        self._servers.clear()
        self._remove_path()
        self._stopping = False

    def _welcome_unix(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        uid = self._peer_uid(writer.get_extra_info("socket"))
        refusal = None if uid in self._uids else f"uid {uid} may not {self._api.use}"
        self._welcome(reader, writer, listen.Peer(uid=uid), refusal)

    def _welcome_tls(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        certificate = writer.get_extra_info("peercert")
        peer = listen.Peer(names=frozenset(listen.names(certificate or {})))
        refusal = None
        if not listen.permitted(certificate, self._names):
            refusal = f"your certificate carries no name that may {self._api.use}"
        self._welcome(reader, writer, peer, refusal)

    def _welcome(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: listen.Peer, refusal: str | None
    ) -> None:
        """Give a connection a task of its own, known to `stop` from its first moment."""
        if self._stopping or len(self._tasks) >= 2 * self._limits.clients:
            writer.transport.abort()  # not even time for a word: the next one would have none either
            return
        connection = Connection(self._api, self._desk_of(peer), reader, writer, self._limits, _log.bind(peer=str(peer)))
        task = asyncio.create_task(self._attend(connection, str(peer), refusal))
        self._tasks.add(task)

        def leave(_task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not writer.is_closing():  # cancelled before it could close
                writer.transport.abort()

        task.add_done_callback(leave)

    async def _attend(self, connection: Connection, peer: str, refusal: str | None) -> None:
        if refusal is not None:
            await connection.turn_away(protocol.farewell(FORBIDDEN, refusal))
        elif self.clients >= self._limits.clients:
            text = f"{self._limits.clients} {self._api.clients} are connected; close one"
            await connection.turn_away(protocol.farewell(TOO_MANY_CLIENTS, text))
        elif self._of_peer[peer] >= (self._limits.per_peer or self._limits.clients):
            text = f"you have {self._limits.per_peer} connections; close one"
            await connection.turn_away(protocol.farewell(TOO_MANY_CLIENTS, text))
        else:
            self.clients += 1
            self._of_peer[peer] += 1
            try:
                await connection.serve()
            finally:
                self.clients -= 1
                self._of_peer[peer] -= 1
                self._of_peer += Counter()  # forgets those at zero


class ControlServer(Server):
    """Serves the control protocol of one mixer."""

    def __init__(
        self,
        mixer: Mixer,
        *,
        limits: Limits | None = None,
        allowed_uids: Iterable[int] | None = None,
        allowed_names: Iterable[str] = (),
        peer_uid: Callable[[Any], int] = listen.peer_uid,
        keks: Mapping[str, Wrapper] | None = None,
        require_wrapped: bool = False,
    ) -> None:
        """As of `Server`. `keks`: key-encryption keys by name. `require_wrapped`: refuse keys in clear."""
        self.director = director = Director(mixer, keks=keks, require_wrapped=require_wrapped)
        backlog = (limits or Limits()).backlog
        super().__init__(
            protocol.MIXER,
            lambda _peer: MixerDesk(director, backlog),
            limits=limits,
            allowed_uids=allowed_uids,
            allowed_names=allowed_names,
            peer_uid=peer_uid,
        )


_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("control")
