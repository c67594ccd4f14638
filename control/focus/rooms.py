"""All rooms: found by name, made when somebody dials one, closed when the last has left.

Knows: which rooms there are and may be. Must never know: SIP, or what goes on inside.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from control.focus.house import House
from control.focus.identity import Refused
from control.focus.room import Room
from control.focus.settings import RoomSettings


class Rooms:
    """By name. A name is the user part of the URI that is dialled."""

    def __init__(self, house: House, *, dress: Callable[[Room], None], farewell: Callable[[Room], None]) -> None:
        """`dress`: called with each new room before it opens; `farewell`: with each before it closes."""
        self._house, self._dress, self._farewell = house, dress, farewell
        self._rooms: dict[str, Room] = {}
        self._opening = 0
        self._doors: dict[str, _Door] = {}

    def __iter__(self) -> Iterator[Room]:
        """Those that are open now: one may close while they are gone through."""
        return iter(list(self._rooms.values()))

    def __len__(self) -> int:
        return len(self._rooms)

    def get(self, name: str) -> Room | None:
        """A room that is open."""
        return self._rooms.get(name)

    def settings(self, name: str) -> RoomSettings:
        """What a room of this name is like.

        Raises:
            Refused: if there can be none.
        """
        settings = self._house.settings
        if name in settings.room:
            return settings.room[name]
        if not _NAME.fullmatch(name) or not settings.limits.rooms_on_dialling:
            raise Refused(404, "there is no such room")
        return settings.default_room

    async def opened(self, name: str) -> Room:
        """A room, made if need be.

        Raises:
            Refused: if there can be none.
            ControlError: if the mixer will not have it.
        """
        settings = self.settings(name)
        async with self._door(name):
            room = self._rooms.get(name)
            if room is None:
                if len(self._rooms) + self._opening >= self._house.settings.limits.rooms:
                    raise Refused(503, "there are too many rooms")
                self._opening += 1
                try:
                    room = self._rooms[name] = await self._made(name, settings)
                finally:
                    self._opening -= 1
            if room.closing:
                raise Refused(503, "the room is being closed: dial again soon")
            return room

    async def _made(self, name: str, settings: RoomSettings) -> Room:
        # With no room open there is no driver that would have mended a broken connection.
        await self._house.trunk.connect()
        room = Room(name, settings, self._house)
        self._dress(room)
        await room.open()
        return room

    async def close_if_empty(self, room: Room) -> None:
        """The last may have left. Who comes at the same moment finds a room, this one or the next."""
        async with self._door(room.name):
            if room.calls or room.expected or self._rooms.get(room.name) is not room:
                return
            del self._rooms[room.name]
            self._farewell(room)
            await room.close()

    async def close(self) -> None:
        """Close all."""
        rooms, self._rooms = list(self._rooms.values()), {}
        await asyncio.gather(*(room.close() for room in rooms))

    @asynccontextmanager
    async def _door(self, name: str) -> AsyncIterator[None]:
        """One at a time opens or closes the room of a name. A door that nobody stands at is forgotten."""
        door = self._doors.setdefault(name, _Door())
        door.visitors += 1
        try:
            async with door.lock:
                yield
        finally:
            door.visitors -= 1
            if not door.visitors:
                del self._doors[name]


@dataclass(slots=True)
class _Door:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    visitors: int = 0


_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
