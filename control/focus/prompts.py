"""Prompts: what a caller in the lobby is told, by what the mixer plays to its leg alone.

Knows: sounds, and how a leg hears one without the conference. Must never know: PINs.

A leg that waits is sent nothing. To be prompted it must listen, and what it listens to must not be the conference: a
prompt that repeats for ever plays in its place. It listens only once that plays, and no more should it end.
"""

from __future__ import annotations

import asyncio
from typing import Final, Literal, TypeAlias

import structlog

from control.errors import ControlError
from control.focus.call import Call
from control.focus.room import Room, prompt_of
from control.focus.trunk import Trunk
from mixer.port import PlayStart, PlayStop, Tone

Cue: TypeAlias = Literal["wanted", "wrong", "welcome"]
"""What a caller is to be told."""

WANTED: Final = (Tone(hz=620.0, ms=150), Tone(ms=150), Tone(hz=620.0, ms=150), Tone(ms=2550))
WRONG: Final = (Tone(hz=310.0, ms=500),)


class Prompts:
    """Of one focus."""

    def __init__(self, trunk: Trunk) -> None:
        self._trunk = trunk

    async def say(self, room: Room, call: Call, cue: Cue) -> None:
        """Tell a caller something. If it cannot be told, it can key in its PIN all the same."""
        try:
            if cue == "wanted":
                await self._want(room, call)
            elif cue == "wrong":
                wrong = PlayStart(play=f"wrong-{call.name}", legs=(call.name,), tones=WRONG)
                await self._trunk.client.call(wrong)
            elif call.prompted:
                call.prompted = False
                await self._trunk.client.call(PlayStop(play=prompt_of(call)))
        except ControlError as error:
            _log.info("not_prompted", leg=call.name, cue=cue, reason=str(error))

    async def _want(self, room: Room, call: Call) -> None:
        file = room.settings.pin_prompt
        play = PlayStart(
            play=prompt_of(call),
            legs=(call.name,),
            file=file or None,
            tones=() if file else WANTED,
            times=0,
            exclusive=True,
        )
        await self._trunk.client.call(play)
        await self._two_ticks()
        if call.waiting and not call.ending:
            call.prompted = True
            await room.modify(call)

    async def _two_ticks(self) -> None:
        """In the first tick of a prompt the conference fades: nobody must hear that who waits."""
        client = self._trunk.client
        node = await client.node_info()
        begun = node.frame
        while node.frame < begun + 2:
            await asyncio.sleep(node.tick_ms / 1000)
            node = await client.node_info()


_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("focus")
