"""One client's dialogue: lines in, replies and events out, bounded in everything.

Knows: lines, and the `Desk` that answers calls. Must never know: what is asked, or of which service.

A client's requests are run in order. Its next request is not looked at before the reply to the
last one has gone out, so a client that does not read is a client that is not served: it costs one
reply and a bounded backlog of events, and after `Limits.stall_s` its connection.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

import msgspec
import structlog

from control import protocol
from control.api import Api
from control.desk import Desk
from control.errors import INTERNAL_ERROR, ControlError
from mixer import port


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client, and all of them, may cost."""

    clients: int = 64
    per_peer: int = 0
    """Connections of one peer (uid, or names in a certificate); 0 for no limit but that on all."""
    backlog: int = 1024
    """Events kept for a subscriber that is slow to read."""
    write_buffer: int = 65_536
    """Octets that may wait to be read by a client before its next request is looked at."""
    stall_s: float = 30.0
    """A client that reads nothing for so long is disconnected."""


class Connection:
    """One client's dialogue."""

    def __init__(
        self,
        api: Api,
        desk: Desk,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        limits: Limits,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self._api = api
        self._desk = desk
        self._reader = reader
        self._writer = writer
        self._limits = limits
        self._log = log
        self._session = protocol.Session(api)
        self._sending = asyncio.Lock()
        writer.transport.set_write_buffer_limits(high=limits.write_buffer)

    async def serve(self) -> None:
        """Answer until the client leaves, stalls, or sends a line without end."""
        self._log.debug("controller_connected")
        pump = asyncio.create_task(self._pump())
        try:
            while (line := await self._line()) is not None:
                await self._answer(line)
        except (ConnectionError, TimeoutError):
            self._log.info("controller_lost")
        finally:
            self._desk.close()
            pump.cancel()
            await self._close()
            self._log.debug("controller_gone", ignored_notifications=self._session.ignored)

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
            result = await self._desk.run(call.params)
            reply = self._session.reply(call, result)
        except (port.PortError, ControlError) as error:
            refusal = error.refusal.value if error.refusal else ""
            self._log.info("refused", method=call.method.name, refusal=refusal, reason=str(error))
            return self._session.refuse(call, error)
        except Exception:  # noqa: BLE001 - the outermost edge: a fault of ours harms one request, not the rest
            self._desk.fault()
            self._log.exception("fault", method=call.method.name)
            return self._session.refuse(call, ControlError(INTERNAL_ERROR, _FAULT.format(self._api.noun)))
        if not call.method.query:
            self._log.info("done", method=call.method.name, **_subject(call.params))
        return reply

    async def _pump(self) -> None:
        """Carry events to the subscriber as fast as it reads."""
        with contextlib.suppress(ConnectionError, TimeoutError):
            while (event := await self._desk.next_event()) is not None:
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


def _subject(params: msgspec.Struct) -> dict[str, object]:
    """The names in a command, for the log. Nothing else of it: the rest may be keys."""
    return {
        name: getattr(params, name)
        for name in ("conference", "leg", "member", "cohort", "epoch", "play", "record", "file")
        if hasattr(params, name)
    }


_FAULT = "the {} failed at this request, and nothing more is known here; see its log"
