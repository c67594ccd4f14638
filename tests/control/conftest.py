"""A control server on a fake mixer, and hands to reach it with."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
import uvloop

from control import logs
from control.client import MixerClient
from control.connection import Limits
from control.server import ControlServer
from tests.control.fakes import FakeMixer

PATIENCE_S = 10.0
"""No test waits longer; none waits for time to pass."""


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """What listens is tested on the daemon's loop too; programs and `mrfp ctl` run on asyncio's."""
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if item.path.name in ("test_server.py", "test_tls.py", "test_http.py", "test_daemon.py"):
        loops["uvloop"] = uvloop.new_event_loop
    return loops


class Raw:
    """A client that writes any octets it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def write(self, *lines: bytes) -> None:
        self.writer.write(b"".join(line + b"\n" for line in lines))

    async def line(self) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.readline()

    async def read(self) -> Any:
        return msgspec.json.decode(await self.line())

    async def ask(self, line: bytes) -> Any:
        self.write(line)
        return await self.read()


def request(method: str, number: int | str = 1, **params: object) -> bytes:
    return msgspec.json.encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params})


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until something is so; bounded."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.001)


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()


class House:
    """One fake mixer behind one server, and the clients that were let in."""

    def __init__(self, path: Path) -> None:
        self.mixer = FakeMixer()
        self.path = path
        self.server: ControlServer
        self.stack = AsyncExitStack()

    async def open(self, **options: Any) -> None:
        self.server = ControlServer(self.mixer, **options)
        await self.server.listen_unix(self.path)
        self.stack.push_async_callback(self.server.stop)

    async def raw(self) -> Raw:
        reader, writer = await asyncio.open_unix_connection(str(self.path), limit=1 << 24)
        self.stack.push_async_callback(hang_up, writer)
        return Raw(reader, writer)

    async def client(self, **options: Any) -> MixerClient:
        client = MixerClient(f"unix:{self.path}", **options)
        await client.connect()
        self.stack.push_async_callback(client.close)
        return client


@pytest.fixture(autouse=True)
def _logs_aside() -> Iterator[None]:
    """Logs of the server go to nobody: a command under test prints to the same terminal."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(io.StringIO()))
    yield
    structlog.reset_defaults()


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the server logs at the level that says most, as JSON."""
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure("debug", "json", stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


MakeHouse = Callable[..., Awaitable[House]]


@pytest.fixture
async def make_house(tmp_path: Path) -> AsyncIterator[MakeHouse]:
    houses: list[House] = []

    async def make(**options: Any) -> House:
        house = House(tmp_path / f"h{len(houses)}" / "control.sock")
        await house.open(**options)
        houses.append(house)
        return house

    yield make
    for house in houses:
        await house.stack.aclose()


@pytest.fixture
async def house(make_house: MakeHouse) -> House:
    return await make_house(limits=Limits())
