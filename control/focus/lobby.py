"""The lobby: callers who have still to key in the PIN of their room.

Knows: what they have keyed in so far, and how long they have been there. Must never know: how keys travel, or how a
call is ended.

A caller waits in the room itself, with a leg that is alone there and hears only prompts, and stays on a key of its own:
moving a leg into another conference would take another key, which many phones cannot be given. Nothing that is
keyed in is ever logged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import structlog

from control.errors import ControlError
from control.focus.call import Call
from control.focus.complaints import Operator
from control.focus.entry import DIAL_IT, Entry, caller
from control.focus.errands import Errands
from control.focus.house import Full
from control.focus.identity import Refused
from control.focus.keypad import Way
from control.focus.prompts import Cue
from control.focus.room import Room
from control.focus.settings import LimitSettings

Prompt: TypeAlias = Callable[[Room, Call, Cue], Awaitable[None]]

LONGEST: Final = 32
"""Digits that are kept; what is longer is no PIN."""


@dataclass(slots=True)
class _Visit:
    room: Room
    who: str
    alarm: asyncio.TimerHandle
    digits: str = ""
    wrong: int = 0
    there: bool = False
    """It has a leg: where the offer was ours, not before its ACK."""
    way: Way | None = None
    """How its first key came: a phone that tells each key in both ways presses it once."""


class Lobby:
    """Of one focus."""

    def __init__(self, limits: LimitSettings, entry: Entry, prompt: Prompt, errands: Errands) -> None:
        self._limits, self._entry, self._prompt, self._errands = limits, entry, prompt, errands
        self.operator: Operator
        self._visits: dict[str, _Visit] = {}

    def __len__(self) -> int:
        return len(self._visits)

    def check(self, pin: str) -> None:
        """Whether one more may wait, for a room with this PIN. Raises `Refused` if not."""
        if not pin.isascii() or not pin.isdigit() or len(pin) > LONGEST or len(self) >= self._limits.waiting:
            raise Refused(403, DIAL_IT)

    def enter(self, room: Room, call: Call, address: str) -> None:
        """A call has come up that waits. `address`: where it comes from."""
        loop = asyncio.get_running_loop()
        alarm = loop.call_later(self._limits.pin_s, self.leave, call, "no PIN was keyed in")
        self._visits[call.name] = _Visit(room, caller(call.identity, address), alarm)
        if call.agreed is not None:
            self.settled(call)

    def settled(self, call: Call) -> None:
        """It has its leg. If it waits it can be told so, and may key in the PIN from now on."""
        visit = self._visits.get(call.name)
        if visit is not None:
            visit.there = True
            self._say(visit.room, call, "wanted")

    def leave(self, call: Call, reason: str = "") -> None:
        """It waits no more: let in, gone, or to be hung up on with a reason."""
        visit = self._visits.pop(call.name, None)
        if visit is not None:
            visit.alarm.cancel()
            if reason:
                self.operator.dismiss(call, reason)

    def pressed(self, call: Call, key: str, way: Way) -> None:
        """A key on a phone. `#` ends a PIN, `*` begins it anew; of who does not wait it is nothing to us."""
        visit = self._visits.get(call.name)
        if visit is None or not visit.there:
            return
        visit.way = visit.way or way
        if visit.way != way:
            return
        if key == "#":
            digits, visit.digits = visit.digits, ""
            self._judge(visit, call, digits)
        elif key == "*":
            visit.digits = ""
        elif key.isdigit():
            visit.digits = (visit.digits + key)[: LONGEST + 1]

    def _judge(self, visit: _Visit, call: Call, digits: str) -> None:
        try:
            right = self._entry.try_pin(visit.room.settings.pin, digits, visit.who)
        except Refused as refusal:
            self.leave(call, str(refusal))
            return
        if right:
            self.leave(call)
            self._errands.run(self._admit(visit.room, call))
            return
        visit.wrong += 1
        if visit.wrong >= self._limits.pin_tries:
            self.leave(call, "the PIN was wrong")
        else:
            self._say(visit.room, call, "wrong")

    async def _admit(self, room: Room, call: Call) -> None:
        try:
            await room.admit(call)
        except (Full, ControlError) as error:
            self.operator.dismiss(call, str(error))
            return
        _log.info("pin_keyed_in", room=room.name, leg=call.name)
        self._say(room, call, "welcome")

    def _say(self, room: Room, call: Call, cue: Cue) -> None:
        self._errands.run(self._prompt(room, call, cue))


_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("focus")
