"""How calls end: BYE from either side, no ACK, no media, no refresh, or an order; it is always the same end.

Knows: that first a leg goes, and then a dialog. Must never know: how a call comes up.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import structlog

from control.focus.call import Call
from control.focus.register import Register
from control.focus.room import Room
from control.focus.rooms import Rooms
from control.sip.dialogs import Dialog
from control.sip.errors import SipError

BYE_S: Final = 5.0
"""So long is the answer to a BYE waited for; it is sent again meanwhile, and the call is over in any case."""


class Ending:
    """Of all calls of a focus."""

    def __init__(self, register: Register, rooms: Rooms) -> None:
        self._register, self._rooms = register, rooms
        self.over: list[Callable[[Call], None]] = []
        """Called with each call that is over."""

    async def hang_up(self, call: Call, reason: str, *, evict: bool = False) -> None:
        """End a call: first its leg, then its dialog."""
        first, dialog = not call.ending, call.dialog
        room = self._over(call, evict=evict)
        if first and dialog is not None and not dialog.ended:
            quoted = reason.replace("\\", "").replace('"', "'")
            with contextlib.suppress(SipError):
                fields = [("Reason", f'SIP;cause=480;text="{quoted}"')]
                await dialog.request("BYE", headers=fields, timeout_s=BYE_S)
            dialog.end()
        if room is not None:
            _log.info("hung_up", room=room.name, leg=call.name, reason=reason)
            await self._rooms.close_if_empty(room)

    async def hung_up(self, dialog: Dialog) -> None:
        """The phone has ended its call, or its dialog is gone."""
        room, call = self._register.of(dialog)
        dialog.end()
        if call is not None and room is not None:
            self._over(call)
            await self._rooms.close_if_empty(room)

    async def remove(self, name: str, uri: str) -> bool:
        """Hang up on a user in a room; false if it is not there."""
        calls = self._register.calls.values()
        found = [call for room, call in calls if room.name == name and call.identity.uri == uri]
        await self._all(found, "removed by a moderator")
        return bool(found)

    async def clear(self, room: Room) -> None:
        """End all calls of a room, and the room."""
        room.shut()
        await self._all(list(room.calls.values()), "the room is closed")
        await self._rooms.close_if_empty(room)

    async def close(self) -> None:
        """End all calls."""
        await self._all([call for _, call in self._register.calls.values()], "the conference focus ends")

    async def _all(self, calls: list[Call], reason: str) -> None:
        await asyncio.gather(*(self.hang_up(call, reason) for call in calls))

    def _over(self, call: Call, *, evict: bool = False) -> Room | None:
        room = self._register.drop(call)
        call.ending = True
        for told in self.over:
            told(call)
        if room is not None:
            room.leave(call, evict=evict)
            _log.info("call_over", room=room.name, leg=call.name)
        return room


_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("focus")
