"""All rooms: found by name, made when somebody dials one, closed when the last has left.

Knows: which rooms there are and may be. Must never know: SIP, or what goes on inside.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Final

from control.focus.identity import Refused
from control.focus.room import House, Room
from control.focus.settings import RoomSettings


class Rooms:
    """By name. A name is the user part of the URI that is dialled."""

    def __init__(self, house: House, *, dress: Callable[[Room], None], farewell: Callable[[Room], None]) -> None:
        """`dress`: called with each new room before it opens; `farewell`: with each before it closes."""
        self._house, self._dress, self._farewell = house, dress, farewell
        self._rooms: dict[str, Room] = {}
        self._doors: dict[str, asyncio.Lock] = {}

    def __iter__(self):  # type: ignore[no-untyped-def]
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
        async with self._doors.setdefault(name, asyncio.Lock()):
            room = self._rooms.get(name)
            if room is None:
                if len(self._rooms) >= self._house.settings.limits.rooms:
                    raise Refused(503, "there are too many rooms")
                room = Room(name, settings, self._house)
                self._dress(room)
                await room.open()
                self._rooms[name] = room
            return room

    async def close_if_empty(self, room: Room) -> None:
        """The last may have left. Who comes at the same moment finds a room, this one or the next."""
        async with self._doors.setdefault(room.name, asyncio.Lock()):
            if room.calls or room.expected or self._rooms.get(room.name) is not room:
                return
            del self._rooms[room.name]
            self._farewell(room)
            await room.close()
        if room.name not in self._rooms:
            self._doors.pop(room.name, None)

    async def close(self) -> None:
        """Close all."""
        rooms, self._rooms = list(self._rooms.values()), {}
        await asyncio.gather(*(room.close() for room in rooms))


_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
