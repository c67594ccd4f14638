"""The legs of a room: what the mixer is told of a call, when it comes, when it changes, and after the mixer was lost.

Knows: a call and what was agreed on in it. Must never know: the driver, or who else is in the room.
"""

from __future__ import annotations

import msgspec
import structlog

from control.errors import ControlError
from control.focus import media
from control.focus.call import Call
from control.focus.house import House
from control.focus.settings import RoomSettings
from control.rekey.tickets import Joiner
from control.sdp.agreed import Agreed
from mixer import port
from mixer.port import Direction


class Legs:
    """Of one room."""

    def __init__(self, room: str, settings: RoomSettings, house: House) -> None:
        self._room, self._settings, self._house = room, settings, house

    def joiner(self, call: Call, held: port.Key | None) -> Joiner:
        """A call as the driver adds it. `held`: the key that it begins to hear under."""
        assert call.agreed is not None
        silence_s, follows = self._house.settings.media.silence_s, self.follows(call)
        leg = media.leg(call.name, self._room, call.agreed, held, apart=not follows, silence_s=silence_s)
        leg = msgspec.structs.replace(leg, direction=_direction(call, call.agreed), alone=call.waiting)
        return Joiner(leg=leg, psk=call.psk, ratchets=call.psk is not None, follows=follows)

    def follows(self, call: Call) -> bool:
        """It can be told the keys of the group."""
        return self._house.following.may_follow(call, self._settings)

    async def modify(self, call: Call) -> None:
        """What was agreed on in a running call has changed.

        Raises:
            ControlError: if the mixer will not.
        """
        agreed = call.agreed
        assert agreed is not None
        silence_s = 0.0 if call.on_hold else media.timeout(agreed.direction, self._house.settings.media.silence_s)
        change = port.LegModify(
            leg=call.name,
            direction=_direction(call, agreed),
            mute=call.on_hold and not self._settings.hold_music,
            alone=call.waiting,
            remote=agreed.remote,
            timeout_s=silence_s,
        )
        await self.expect(call)  # first: the phone may be sending under its new key already
        await self._house.trunk.client.call(change)

    async def expect(self, call: Call) -> None:
        """A phone may send under keys of its own that are new."""
        for key in call.fresh_keys():
            command = port.KeyPrepare(conference=self._room, leg=call.name, direction="rx", key=key)
            try:
                await self._house.trunk.client.call(command)
            except ControlError as error:
                _log.warning("key_refused", leg=call.name, reason=str(error))

    async def renewed(self, call: Call) -> Joiner | None:
        """The mixer has lost the leg: it is added anew, under a fresh key. None if the phone does not take one."""
        if call.held is None or not self._house.following.takes_another(call):
            return None
        key = port.Key(suite=call.held.suite, secret=media.fresh_key(call.held.suite), mki=call.held.mki)
        if not await call.rekey(key):
            return None
        call.fresh_keys()  # the new leg begins on them
        return self.joiner(call, key)


def _direction(call: Call, agreed: Agreed) -> Direction:
    """Of its leg now: who has still to show where it is is sent nothing."""
    return media.hushed(agreed.direction) if call.hushed else agreed.direction


_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("focus")
