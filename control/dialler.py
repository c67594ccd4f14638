"""A client of any API of ours: one connection, calls that may overlap, events beside them.

Knows: lines and their order. Must never know: which service it speaks to; `MixerClient` and `KmsClient` do.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import ssl
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from control import listen, messages
from control.api import Api, Method
from control.backlog import Backlog
from control.errors import INTERNAL_ERROR, UNREACHABLE, ControlError
from control.protocol import EVENTS, LINE_LIMIT, MISSED
from mixer.secret import Secret


class Disconnected(ControlError):
    """There is no connection to the service, or none any more. It goes on without us: connect again,
    and compare with what it knows (a mixer's `node.audit`)."""

    def __init__(self, message: str) -> None:
        super().__init__(UNREACHABLE, message)


class Misaddressed(Disconnected):
    """Nobody was asked: the address makes no sense, or the TLS files can't be used."""


class Client:
    """One connection to a service; use it as an async context manager."""

    def __init__(
        self,
        api: Api,
        address: str,
        *,
        certificate: Path | None = None,
        key: Path | None = None,
        authority: Path | None = None,
        timeout_s: float = 30.0,
        backlog: int = 4096,
    ) -> None:
        """`address` is `unix:/path` or `tls://host:port`; the latter needs the three PEM files.

        A call that gets no reply within `timeout_s` fails. `backlog` events wait to be iterated.
        """
        self._api = api
        self._address = address
        self._files = (certificate, key, authority)
        self._timeout_s = timeout_s
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._backlog_limit = backlog
        self._backlog = Backlog(backlog)
        self._reading: asyncio.Task[None] | None = None
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._lost: ControlError | None = None

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def connect(self) -> None:
        """Connect, or connect again after `close`; raises `Disconnected` with the reason if that fails."""
        try:
            self._reader, self._writer = await self._open()
        except listen.ListenError as error:
            raise Misaddressed(f"{self._address}: {error}") from None
        except (OSError, ssl.SSLError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise Disconnected(f"no {self._api.noun} answers at {self._address}: {reason}") from None
        self._lost = None
        self._backlog = Backlog(self._backlog_limit)
        self._reading = asyncio.create_task(self._read())

    async def close(self) -> None:
        """Disconnect. What was made goes on."""
        self._fail(Disconnected("this client is closed"))
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()

    async def request(self, method: Method, params: msgspec.Struct) -> msgspec.Struct:
        """Have the service do something, and return its reply.

        Raises:
            ControlError: if it refuses; nothing has changed then.
            Disconnected: if there is no connection, or it broke, or there was no reply in time.
        """
        if self._reading is None or self._lost is not None:
            raise self._lost or Disconnected("this client is not connected; use `async with`")
        number = next(self._numbers)
        reply: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        self._waiting[number] = reply
        try:
            async with asyncio.timeout(self._timeout_s):
                # In no variable: a traceback with locals would show the keys.
                self._writer.write(_request(number, method, self._outgoing(params)))
                await self._writer.drain()
                result = await reply
        except TimeoutError:
            raise Disconnected(f"{self._address} did not answer within {self._timeout_s:g} s") from None
        except ConnectionError as error:
            raise self._lost or Disconnected(f"the connection broke: {error}") from None
        finally:
            self._waiting.pop(number, None)
        try:
            return self._api.results[method.name].decode(result)  # type: ignore[no-any-return]
        except msgspec.DecodeError as error:
            raise ControlError(INTERNAL_ERROR, f"not a reply to {method.name}: {error}") from None

    def _outgoing(self, params: msgspec.Struct) -> msgspec.Struct:
        """What is sent instead of a command, for clients that change it on its way. May raise ControlError."""
        return params

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        scheme, _, rest = self._address.partition(":")
        if scheme == "unix":
            return await asyncio.open_unix_connection(rest, limit=_REPLY_LIMIT)
        host, _, tcp_port = rest.removeprefix("//").rpartition(":")
        if scheme != "tls" or not host or not tcp_port.isdigit():
            raise listen.ListenError("an address is unix:/path or tls://host:port")
        certificate, key, authority = self._files
        if certificate is None or key is None or authority is None:
            raise listen.ListenError("TLS needs a certificate, its key, and the authority to trust")
        context = listen.client_tls(listen.Identity(certificate, key, authority))
        return await asyncio.open_connection(host.strip("[]"), int(tcp_port), ssl=context, limit=_REPLY_LIMIT)

    async def _read(self) -> None:
        try:
            while line := await self._reader.readline():
                self._hear(_INCOMING.decode(line))
        except (OSError, ValueError, msgspec.DecodeError) as error:
            self._fail(Disconnected(f"the connection to {self._address} broke: {error}"))
        else:
            self._fail(Disconnected(f"the {self._api.noun} at {self._address} closed the connection"))

    def _hear(self, incoming: _Incoming) -> None:
        if isinstance(incoming.method, str):
            self._note(incoming.method, incoming.params)
            return
        waiting = self._waiting.pop(incoming.id, None) if isinstance(incoming.id, int) else None
        if isinstance(incoming.error, _Failure):
            error = _as_exception(self._api, incoming.error)
            if not isinstance(incoming.id, int):
                self._fail(error)  # without an id it concerns the connection as a whole
            elif waiting is not None and not waiting.done():
                waiting.set_exception(error)
        elif waiting is not None and not waiting.done():
            waiting.set_result(incoming.result)

    def _note(self, method: str, params: msgspec.Raw) -> None:
        if method == MISSED:
            self._backlog.skip(msgspec.json.decode(params, type=messages.Missed).count)
            return
        kind = EVENTS.get(method.removeprefix("events."))
        if kind is not None:  # an event of a newer mixer is none of ours
            self._backlog.push(msgspec.json.decode(params, type=kind))

    def _fail(self, error: ControlError) -> None:
        self._lost = self._lost or error
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(self._lost)
        self._waiting.clear()
        self._backlog.close()


class _Failure(msgspec.Struct, frozen=True):
    code: int
    message: str
    data: dict[str, str | float] | None = None


class _Incoming(msgspec.Struct, frozen=True, kw_only=True):
    jsonrpc: str
    id: int | str | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: _Failure | msgspec.UnsetType = msgspec.UNSET
    method: str | msgspec.UnsetType = msgspec.UNSET
    params: msgspec.Raw = msgspec.Raw(b"null")


class _Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    jsonrpc: str = "2.0"
    id: int
    method: str
    params: msgspec.Struct


def _request(number: int, method: Method, params: msgspec.Struct) -> bytes:
    line = _ENCODER.encode(_Outgoing(id=number, method=method.name, params=params))
    assert len(line) <= LINE_LIMIT, "no command is that long"
    return line + b"\n"


def _as_exception(api: Api, failure: _Failure) -> ControlError:
    data = failure.data or {}
    known = next((refusal for refusal in api.refusals if refusal == data.get("refusal")), None)
    again_s, highest = data.get("retry_after_s"), data.get("highest")
    return ControlError(
        failure.code,
        failure.message,
        known,
        again_s if isinstance(again_s, float) else None,
        int(highest) if isinstance(highest, float) and highest.is_integer() else None,
    )


def _secret_to_text(value: object) -> str:
    if isinstance(value, Secret):
        return value.to_base64()
    raise TypeError(f"a {type(value).__name__} is no part of a command")


_REPLY_LIMIT: Final = 64 * 1024 * 1024
"""Octets of one reply: a `conference.show` of thousands of legs is long."""
_ENCODER: Final = msgspec.json.Encoder(enc_hook=_secret_to_text)
_INCOMING: Final = msgspec.json.Decoder(_Incoming)
