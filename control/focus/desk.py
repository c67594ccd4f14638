"""What stands behind one connection to the focus's own socket; see `control.desk.Desk`.

Knows: what the focus can be asked. Must never know: lines or sockets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

import mixer
from control.errors import ControlError
from control.focus import messages
from control.focus.call import Call
from control.focus.identity import Refused
from control.focus.messages import FocusError, Refusal
from control.focus.reception import Reception
from control.focus.room import Room
from control.focus.rooms import Rooms
from control.focus.switchboard import Switchboard
from control.focus.watchers import Watchers
from control.messages import Missed
from control.sdp.answer import Unacceptable
from control.sdp.model import SdpError
from control.sip.errors import CallRefused, SipError
from mixer import port


class FocusDesk:
    """Serves one peer."""

    def __init__(self, reception: Reception, rooms: Rooms, switchboard: Switchboard, watchers: Watchers) -> None:
        self._reception, self._rooms, self._switchboard, self._watchers = reception, rooms, switchboard, watchers
        self._verbs: dict[type[msgspec.Struct], Callable[[Any], Awaitable[msgspec.Struct]]] = {
            messages.FocusInfo: self._info,
            messages.RoomList: self._list,
            messages.RoomShow: self._show,
            messages.RoomClose: self._close,
            messages.CallDial: self._dial,
            messages.CallHangUp: self._hang_up,
        }

    async def run(self, params: msgspec.Struct) -> msgspec.Struct:
        """Do what a call asks. Raises `FocusError` if it is refused."""
        return await self._verbs[type(params)](params)

    async def next_event(self) -> port.Event | Missed | None:
        """The focus says nothing unasked; events of a conference are SIP's."""
        return None

    def fault(self) -> None:
        """Count an error of our own."""
        self._reception.fault()

    def close(self) -> None:
        """Nothing is kept for a peer."""

    async def _info(self, _: messages.FocusInfo) -> messages.FocusStatus:
        await asyncio.sleep(0)
        return self.status()

    def status(self) -> messages.FocusStatus:
        """How the focus is doing."""
        listening = self._switchboard.agent.listening
        return messages.FocusStatus(
            version=mixer.__version__,
            listening={transport: f"{host}:{number}" for transport, (host, number) in listening.items()},
            rooms=len(self._rooms),
            calls=len(self._switchboard.calls),
            joining=self._switchboard.joining,
            calls_made=self._switchboard.set_up,
            refused={str(status): count for status, count in sorted(self._reception.refusals.by_status.items())},
            subscriptions=len(self._watchers),
            faults=self._reception.faults + self._switchboard.agent.core.faults.total(),
        )

    async def _list(self, _: messages.RoomList) -> messages.RoomNames:
        await asyncio.sleep(0)
        return messages.RoomNames(rooms=sorted(room.name for room in self._rooms))

    async def _show(self, asked: messages.RoomShow) -> messages.RoomStatus:
        room = self._room(asked.room)
        return messages.RoomStatus(
            room=room.name,
            subject=room.settings.subject,
            keying=room.settings.keying,
            style=room.settings.style,
            calls=[of_call(room, call) for call in room.calls.values()],
        )

    async def _close(self, asked: messages.RoomClose) -> port.Done:
        room = self._room(asked.room)
        await self._switchboard.ending.clear(room)
        return port.Done()

    async def _dial(self, asked: messages.CallDial) -> messages.CallStatus:
        try:
            room, call = await self._switchboard.dial_out(asked.room, asked.uri)
        except CallRefused as refusal:
            raise FocusError(Refusal.NOT_ANSWERED, f"{refusal.status} {refusal.reason}") from None
        except (SipError, SdpError, Unacceptable) as error:
            raise FocusError(Refusal.NOT_ANSWERED, str(error)) from None
        except Refused as refusal:
            raise FocusError(Refusal.LIMIT if refusal.status == 503 else Refusal.UNKNOWN_ROOM, str(refusal)) from None
        except ControlError as error:
            raise FocusError(Refusal.MIXER, str(error)) from None
        return of_call(room, call)

    async def _hang_up(self, asked: messages.CallHangUp) -> port.Done:
        _, call = self._switchboard.calls.get(asked.call, (None, None))
        if call is None:
            raise FocusError(Refusal.UNKNOWN_CALL, f"there is no call {asked.call}; `mrfp ctl room show` lists them")
        await self._switchboard.ending.hang_up(call, "removed by the operator", evict=asked.evict)
        return port.Done()

    def _room(self, name: str) -> Room:
        room = self._rooms.get(name)
        if room is None:
            raise FocusError(Refusal.UNKNOWN_ROOM, f"there is no room {name} now; `mrfp ctl room list` lists them")
        return room


def of_call(room: Room, call: Call) -> messages.CallStatus:
    """One call, as it stands."""
    agreed = call.agreed
    return messages.CallStatus(
        call=call.name,
        user=call.identity.uri,
        proof=call.identity.proof,
        joined_by=call.joined_by,
        agent=call.agent,
        codec=agreed.codec if agreed else "",
        security=agreed.security if agreed else "",
        keying=room.driver.conductor.policy.keying_of(call.name),
        direction=agreed.direction if agreed else "",
        ssrc=call.ssrc,
        waiting=call.waiting,
    )
