"""The trunk: rooms share one connection, hear their own events only, and mend it once for all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from control.client import Disconnected, MixerClient
from control.errors import ControlError
from control.focus.trunk import Line, Trunk
from control.messages import NodeInfo
from control.server import ControlServer
from mixer import port
from tests.control.fakes import FakeMixer


class World:
    """A mixer that can be gone, and two rooms on one trunk."""

    def __init__(self, home: Path) -> None:
        self.path = home / "control.sock"
        self.mixer = FakeMixer()
        self.trunk = Trunk(MixerClient(f"unix:{self.path}"))
        self.heard: dict[str, list[port.Event]] = {"one": [], "two": []}
        self.server: ControlServer

    async def open(self) -> None:
        self.server = ControlServer(self.mixer)
        await self.server.listen_unix(self.path)


@asynccontextmanager
async def connected(home: Path) -> AsyncIterator[tuple[World, list[Line]]]:
    world = World(home)
    await world.open()
    await world.trunk.connect()
    try:
        yield world, [world.trunk.line(name, heard.append) for name, heard in world.heard.items()]
    finally:
        await world.trunk.close()
        await world.server.stop()


async def next_event(line: Line) -> object:
    async for event in line.events():
        return event
    return None


async def test_events_of_one_room_do_not_reach_another(tmp_path: Path) -> None:
    async with connected(tmp_path) as (world, (one, two)):
        first = port.LegTimeout(conference="one", leg="a", silent_s=1.0, removed=False)
        second = port.KeyExpired(conference="two", epoch=3, silenced=0)
        other = port.LegTimeout(conference="three", leg="b", silent_s=1.0, removed=False)
        for event in (first, other, second):
            world.mixer.emit(event)
        assert await next_event(two) == second
        assert world.heard == {"one": [first], "two": [second]}
        assert one is not two
        world.trunk.drop("one")
        world.mixer.emit(first)
        world.mixer.emit(second)
        assert await next_event(two) == second
        assert world.heard["one"] == [first]


async def test_a_connection_that_is_lost_is_made_again_once(tmp_path: Path) -> None:
    async with connected(tmp_path) as (world, lines):
        listening = [asyncio.create_task(next_event(line)) for line in lines]
        await world.server.stop()
        assert await asyncio.gather(*listening) == [None, None]
        for line in lines:
            with pytest.raises(Disconnected):
                await line.call(NodeInfo())
            with pytest.raises(ControlError):
                await line.connect()
        await world.open()
        await asyncio.gather(*(line.connect() for line in lines))
        assert world.trunk.generation == 2
        for line in lines:
            assert (await line.call(NodeInfo())).boot_id == world.trunk.node.boot_id
        expired = port.KeyExpired(conference="two", epoch=3, silenced=0)
        world.mixer.emit(expired)
        assert await next_event(lines[1]) == expired, "and not the end of the former connection"


async def test_a_line_of_a_former_connection_says_nothing_on_the_next(tmp_path: Path) -> None:
    async with connected(tmp_path) as (world, (one, two)):
        await world.server.stop()
        assert await next_event(one) is None
        await world.open()
        await one.connect()
        with pytest.raises(Disconnected, match="the connection that this line was on"):
            await two.call(NodeInfo())
        await two.connect()
        assert world.trunk.generation == 2
        await two.call(NodeInfo())


async def test_nothing_is_done_to_a_connection_that_holds(tmp_path: Path) -> None:
    async with connected(tmp_path) as (world, _):
        assert [await world.trunk.connect() for _ in range(3)] == [1, 1, 1]
