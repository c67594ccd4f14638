"""Prompts: what a caller in the lobby is told, by what the mixer plays to its leg.

Knows: sounds. Must never know: PINs. That the leg hears nothing else is the mixer's doing (`LegAdd.alone`).
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import structlog

from control.errors import ControlError
from control.focus.call import Call
from control.focus.room import Room
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
            else:
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
        )
        await self._trunk.client.call(play)


def prompt_of(call: Call) -> str:
    """What the mixer calls that which is played to one who waits."""
    return f"pin-{call.name}"


_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("focus")
