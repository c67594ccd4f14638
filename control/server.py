"""The control socket: one task a controller, bounded in everything.

A controller's requests are run in order. Its next request is not looked at before the reply to the
last one has gone out, so a client that does not read is a client that is not served: it costs one
reply and a bounded backlog of events, and after `Limits.stall_s` its connection. A controller that
goes away takes nothing with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import structlog

from control import listen, protocol
from control.backlog import Backlog
from control.director import Director, Mixer
from control.errors import FORBIDDEN, INTERNAL_ERROR, TOO_MANY_CLIENTS, ControlError
from control.messages import EventsSubscribe, EventsUnsubscribe
from mixer import port


@dataclass(frozen=True, slots=True)
class Limits:
    """What one controller, and all of them, may cost."""

    clients: int = 64
    backlog: int = 1024
    """Events kept for a subscriber that is slow to read."""
    write_buffer: int = 65_536
    """Octets that may wait to be read by a client before its next request is looked at."""
    stall_s: float = 30.0
    """A client that reads nothing for so long is disconnected."""


class ControlServer:
    """Serves the control protocol of one mixer on Unix and TLS sockets."""

    def __init__(
        self,
        mixer: Mixer,
        *,
        limits: Limits | None = None,
        allowed_uids: Iterable[int] | None = None,
        allowed_names: Iterable[str] = (),
        peer_uid: Callable[[Any], int] = listen.peer_uid,
    ) -> None:
        """`allowed_uids`: own and root if None. `allowed_names`: certificate names, any if empty."""
        self.director = Director(mixer)
        self.faults = 0
        """Requests that ended in an error of our own."""
        self._limits = limits or Limits()
        self._uids = frozenset((0, os.geteuid()) if allowed_uids is None else allowed_uids)
        self._names = frozenset(allowed_names)
        self._peer_uid = peer_uid
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        self._remove_path: Callable[[], None] = lambda: None

    @property
    def clients(self) -> int:
        """Controllers connected now."""
        return len(self._tasks)

    async def listen_unix(self, path: Path) -> None:
        """Take controllers at a Unix socket. Raises `listen.ListenError`."""
        opened, self._remove_path = listen.unix_socket(path)
        server = await asyncio.start_unix_server(self._welcome_unix, sock=opened, limit=protocol.LINE_LIMIT)
        self._servers.append(server)

    async def listen_tls(self, host: str, tcp_port: int, identity: listen.Identity) -> int:
        """Take controllers over mutual TLS 1.3; returns the port. Raises `listen.ListenError`."""
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
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()
        self._remove_path()

    async def _welcome_unix(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        uid = self._peer_uid(writer.get_extra_info("socket"))
        refusal = None if uid in self._uids else f"uid {uid} may not control this mixer"
        await self._welcome(reader, writer, f"uid {uid}", refusal)

    async def _welcome_tls(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        certificate = writer.get_extra_info("peercert")
        peer = ", ".join(sorted(listen.names(certificate or {})))
        refusal = None
        if not listen.permitted(certificate, self._names):
            refusal = "your certificate carries no name that may control this mixer"
        await self._welcome(reader, writer, peer, refusal)

    async def _welcome(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str, refusal: str | None
    ) -> None:
        connection = Connection(self, reader, writer, self._limits, _log.bind(peer=peer))
        task = asyncio.current_task()
        assert task is not None
        full = self.clients >= self._limits.clients
        self._tasks.add(task)
        try:
            if refusal is not None:
                await connection.turn_away(protocol.farewell(FORBIDDEN, refusal))
            elif full:
                text = f"{self._limits.clients} controllers are connected; close one"
                await connection.turn_away(protocol.farewell(TOO_MANY_CLIENTS, text))
            else:
                await connection.serve()
        except asyncio.CancelledError:
            pass  # only `stop` cancels, and there is nothing above us to tell
        finally:
            self._tasks.discard(task)


class Connection:
    """One controller's dialogue."""

    def __init__(
        self,
        server: ControlServer,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        limits: Limits,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self._limits = limits
        self._log = log
        self._session = protocol.Session()
        self._backlog = Backlog(limits.backlog)
        self._unsubscribe: Callable[[], None] | None = None
        self._sending = asyncio.Lock()
        writer.transport.set_write_buffer_limits(high=limits.write_buffer)

    async def serve(self) -> None:
        """Answer until the controller leaves, stalls, or sends a line without end."""
        self._log.info("controller_connected")
        pump = asyncio.create_task(self._pump())
        try:
            while (line := await self._line()) is not None:
                await self._answer(line)
        except (ConnectionError, TimeoutError):
            self._log.info("controller_lost")
        finally:
            self._end_subscription()
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
            await self._close()
            self._log.info("controller_gone", ignored_notifications=self._session.ignored)

    async def turn_away(self, line: bytes) -> None:
        """Say why, and close. What the client has already sent is read and thrown away: closing a
        socket with unread input may destroy the message on its way out."""
        self._log.warning("controller_turned_away")
        with contextlib.suppress(ConnectionError, TimeoutError):
            await self._send(line)
            await self._discard()
        await self._close()

    async def _line(self) -> bytes | None:
        """The next line; None at the end, or after one that is too long."""
        try:
            return (await self._reader.readuntil(b"\n"))[:-1]
        except asyncio.IncompleteReadError:
            return None  # a line cut off by the end is no command
        except asyncio.LimitOverrunError:
            await self._send(protocol.too_long())
            await self._discard()
            return None

    async def _discard(self) -> None:
        if self._writer.can_write_eof():
            self._writer.write_eof()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(1.0, self._limits.stall_s)):
                while await self._reader.read(65_536):
                    pass

    async def _answer(self, line: bytes) -> None:
        heard = self._session.receive(line)
        if isinstance(heard, protocol.Call):
            heard = await self._run(heard)
        else:
            # Errors are cheap for a client and must not be for us: the loop runs in between.
            await asyncio.sleep(0)
        if heard is not None:
            await self._send(heard)

    async def _run(self, call: protocol.Call) -> bytes:
        try:
            result = await self._result(call.params)
            reply = self._session.reply(call, result)
        except port.PortError as error:
            self._log.info("refused", method=call.method.name, refusal=error.refusal.value, reason=str(error))
            return self._session.refuse(call, error)
        except Exception:  # noqa: BLE001 - the outermost edge: a fault of ours harms one request, not the mixer
            self._server.faults += 1
            self._log.exception("fault", method=call.method.name)
            return self._session.refuse(call, ControlError(INTERNAL_ERROR, _FAULT))
        if not call.method.query:
            self._log.info("done", method=call.method.name, **_subject(call.params))
        return reply

    async def _result(self, params: msgspec.Struct) -> msgspec.Struct:
        if isinstance(params, EventsSubscribe):
            self._begin_subscription(params)
            return port.Done()
        if isinstance(params, EventsUnsubscribe):
            self._end_subscription()
            return port.Done()
        return await self._server.director.run(params)

    def _begin_subscription(self, wanted: EventsSubscribe) -> None:
        self._end_subscription()

        def hear(event: port.Event) -> None:
            if _matches(wanted, event):
                self._backlog.push(event)

        self._unsubscribe = self._server.director.mixer.subscribe(hear)

    def _end_subscription(self) -> None:
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        self._backlog.clear()

    async def _pump(self) -> None:
        """Carry events to the subscriber as fast as it reads."""
        with contextlib.suppress(ConnectionError, TimeoutError):
            while (event := await self._backlog.next()) is not None:
                await self._send(protocol.notification(event))

    async def _send(self, line: bytes) -> None:
        """Write a line and wait until the client has read enough of what waits for it."""
        async with self._sending:
            self._writer.write(line)
            try:
                async with asyncio.timeout(self._limits.stall_s):
                    await self._writer.drain()
            except TimeoutError:
                self._log.warning("controller_stalled", stall_s=self._limits.stall_s)
                self._writer.transport.abort()
                raise

    async def _close(self) -> None:
        self._writer.close()
        try:
            async with asyncio.timeout(1.0):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self._writer.transport.abort()


def _matches(wanted: EventsSubscribe, event: port.Event) -> bool:
    if wanted.events and event.__struct_config__.tag not in wanted.events:
        return False
    return wanted.conference is None or getattr(event, "conference", wanted.conference) == wanted.conference


def _subject(params: msgspec.Struct) -> dict[str, object]:
    """The names in a command, for the log. Nothing else of it: the rest may be keys."""
    return {name: getattr(params, name) for name in ("conference", "leg", "epoch") if hasattr(params, name)}


_FAULT = "the mixer failed at this request, and nothing more is known here; see its log"
_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("control")
