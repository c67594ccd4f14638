"""A real daemon, as an operator would start it, and a controller on its socket."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from control.client import MixerClient
from control.messages import NodeInfo
from mixer import port
from tests.interop.wire import Address

_PATIENCE_S = 20.0

T = TypeVar("T")


@dataclass(frozen=True)
class Daemon:
    """A running `mrfp serve`."""

    socket: Path
    log: Path
    process: subprocess.Popen[bytes]


@pytest.fixture(scope="session")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for all tests; it must end well, too."""
    folder = tmp_path_factory.mktemp("mrfp")
    socket, config, log = folder / "s", folder / "mrfp.toml", folder / "log"
    config.write_text(f'[mixer]\nhost = "127.0.0.1"\nhost6 = "::1"\nport = 0\n[control]\nsocket = "{socket}"\n')
    command = [sys.executable, "-m", "control", "serve", "--config", str(config)]
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
    try:
        deadline = time.monotonic() + _PATIENCE_S
        while not socket.exists():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield Daemon(socket, log, process)
    finally:
        process.terminate()
        try:
            status = process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
    text = log.read_text()
    assert status == 0, text
    assert "Traceback" not in text, text


@pytest.fixture
async def mixer(daemon: Daemon) -> AsyncIterator[MixerClient]:
    """A controller. Its conferences end with the test."""
    async with MixerClient(f"unix:{daemon.socket}") as client:
        yield client
        for name in (await client.call(port.ConferenceList())).conferences:
            await client.call(port.ConferenceDestroy(conference=name))


@pytest.fixture
async def media(mixer: MixerClient) -> Address:
    """Where the mixer takes media, IPv4."""
    return "127.0.0.1", (await mixer.call(NodeInfo())).port


@pytest.fixture
async def media6(media: Address) -> Address:
    """Where the mixer takes media, IPv6."""
    return "::1", media[1]


class Events:
    """What a controller was told, kept while the test goes on."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self.heard if isinstance(event, kind)]

    async def wait_for(self, kind: type[T], seconds: float = 10.0) -> T:
        """The first event of a kind, once it is there."""
        async with asyncio.timeout(seconds):
            while not (found := self.of(kind)):
                await asyncio.sleep(0.02)
        return found[0]


@pytest.fixture
async def events(daemon: Daemon) -> AsyncIterator[Events]:
    """All events of the mixer during the test, on a connection of their own."""
    collected = Events()

    async def collect(client: MixerClient) -> None:
        async for event in client.events():
            collected.heard.append(event)

    async with MixerClient(f"unix:{daemon.socket}") as client:
        await client.subscribe()
        task = asyncio.create_task(collect(client))
        yield collected
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
