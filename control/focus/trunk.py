"""One connection to the mixer, shared by all rooms: each has a line on it.

Knows: which event belongs to which conference, and when the connection is gone. Must never know: what is said on it.

A line looks to its driver like a client of its own: it is connected, tells events, breaks, and is connected again.
The first line that connects again brings the trunk up for all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

import msgspec
import structlog

from control.api import Method
from control.client import Disconnected, MixerClient
from control.messages import EventName, Missed, NodeStatus
from mixer import port

EVENTS: Final[tuple[EventName, ...]] = (
    "auth_failures",
    "dtmf",
    "key_expired",
    "key_switched",
    "leg_deaf",
    "leg_insecure",
    "leg_latched",
    "leg_secured",
    "leg_timeout",
    "ssrc_conflict",
)
"""What a focus wants to hear of."""


class Trunk:
    """The connection. Made unconnected; `connect` before the first line is used."""

    def __init__(self, client: MixerClient) -> None:
        self.client = client
        """For commands that belong to no line."""
        self.node: NodeStatus
        """What the mixer said of itself when it was connected last: its media port, its certificate."""
        self._lines: dict[str, Line] = {}
        self._lock = asyncio.Lock()
        self._hearing: asyncio.Task[None] | None = None
        self.generation = 0
        """How often it was connected."""

    async def connect(self, after: int = 0) -> int:
        """Be connected, later than the connection of this number; returns the number of the one there is. Nothing is
        done if it holds.

        Raises:
            ControlError: if the mixer cannot be reached.
        """
        async with self._lock:
            if self.generation <= after or self._hearing is None or self._hearing.done():
                await self._break()
                await self.client.connect()
                self.node = await self.client.node_info()
                await self.client.subscribe(EVENTS)
                self.generation += 1
                self._hearing = asyncio.create_task(self._hear())
            return self.generation

    async def close(self) -> None:
        """Disconnect. What the mixer does goes on."""
        await self._break()

    async def _break(self) -> None:
        """Every line is told before another connection is made: none may take the end of this one for that of the
        next."""
        if self._hearing is not None:
            self._hearing.cancel()
            await asyncio.gather(self._hearing, return_exceptions=True)
        await self.client.close()

    def line(self, conference: str, hear: Callable[[port.Event], None]) -> Line:
        """A line for one conference; `hear` is told its events as they come."""
        line = self._lines[conference] = Line(self, conference, hear)
        return line

    def drop(self, conference: str) -> None:
        """A conference needs its line no more."""
        self._lines.pop(conference, None)

    async def _hear(self) -> None:
        try:
            async for event in self.client.events():
                self._tell(event)
        finally:
            for line in list(self._lines.values()):
                line.broken()

    def _tell(self, event: port.Event | Missed) -> None:
        if isinstance(event, Missed):
            _log.warning("events_missed", count=event.count)
            return
        line = self._lines.get(getattr(event, "conference", ""))
        if line is not None:
            line.told(event)


class Line(MixerClient):
    """A client of the mixer on somebody else's connection: what a `Driver` takes for one of its own."""

    def __init__(self, trunk: Trunk, conference: str, hear: Callable[[port.Event], None]) -> None:
        self._trunk, self._conference, self._listener = trunk, conference, hear
        self._generation = trunk.generation
        self._events: asyncio.Queue[port.Event | None] = asyncio.Queue()

    async def connect(self) -> None:
        """Be connected again. Raises `ControlError` if that fails."""
        self._generation = await self._trunk.connect(self._generation)
        self._events = asyncio.Queue()

    async def close(self) -> None:
        """The others go on; `connect` finds out whether there is anything to mend."""

    async def request(self, method: Method, params: msgspec.Struct) -> msgspec.Struct:
        """See `Client.request`."""
        if self._generation != self._trunk.generation:
            raise Disconnected("the connection that this line was on is gone")
        return await self._trunk.client.request(method, params)

    async def subscribe(self, events: Sequence[EventName] = (), conference: str | None = None) -> None:
        """The trunk has subscribed already."""

    async def events(
        self, events: Sequence[EventName] | None = None, conference: str | None = None
    ) -> AsyncIterator[port.Event | Missed]:
        """Those that a driver needs; ends with the connection."""
        queue = self._events
        while (event := await queue.get()) is not None:
            yield event

    def told(self, event: port.Event) -> None:
        """Hand on an event."""
        if isinstance(event, port.KeySwitched | port.KeyExpired):
            self._events.put_nowait(event)
        self._listener(event)

    def broken(self) -> None:
        """The connection is gone."""
        self._events.put_nowait(None)


_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("focus")
