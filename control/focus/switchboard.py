"""The switchboard: calls come up and change, whoever began them.

    dialled in    read the offer, find a key, have the leg added, answer
    dialled out   offer, have the answer judged, have the leg added
    running       another offer, a refresh

Knows: the order of these steps. Must never know: who may do what (`reception`), or what an end is (`ending`).
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

import structlog

from control.errors import ControlError
from control.focus.call import Call
from control.focus.clock import Clock
from control.focus.ending import Ending
from control.focus.errands import Errands
from control.focus.house import House
from control.focus.identity import Identity, Refused, bare
from control.focus.lobby import Lobby
from control.focus.newcomer import mikey_headers, new_call, own_key, take_mikey
from control.focus.register import Register
from control.focus.ringing import picked_up
from control.focus.room import Room
from control.focus.rooms import Rooms
from control.sdp.answer import Unacceptable
from control.sdp.model import SdpError
from control.sip import session_timer
from control.sip.agent import Agent
from control.sip.dialogs import Dialog
from control.sip.errors import SipError
from control.sip.incoming import Incoming
from control.sip.session_timer import Terms
from control.sip.values import tokens
from mixer.secret import Secret


class Switchboard:
    """All calls of a focus."""

    def __init__(self, house: House, rooms: Rooms, lobby: Lobby, psks: Mapping[str, Secret], domain: str) -> None:
        self._house, self._rooms, self._psks, self._domain = house, rooms, psks, domain
        self.lobby = lobby
        self.agent: Agent
        self._wish = session_timer.Wish(house.settings.limits.session_s)
        self._errands = Errands(house.faults)
        self._register = Register(house.settings.limits)
        self.ending = Ending(self._register, rooms)
        self.clock = Clock(self._refresh, self.ending.hang_up, house.settings.limits.call_s, self._errands)
        self.ending.over += [self.clock.stop, lobby.leave]
        self.calls = self._register.calls
        """By leg, with the room of each."""
        self.joining = 0
        """Calls being set up."""
        self.set_up = 0
        """Calls that came up, ever."""
        self._closing = False

    def check(self, identity: Identity) -> None:
        """There is a place for one more call of a user, or `Refused` is raised."""
        if self._closing:
            raise Refused(503, "this focus is going down")
        self._register.check(identity)

    # -- dialled in ---------------------------------------------------------------------------

    async def dial_in(self, incoming: Incoming, name: str, identity: Identity, *, waits: bool = False) -> None:
        """Take a caller into a room. `waits`: it has still to key in the PIN.

        Raises:
            SdpError, Unacceptable, Refused, ControlError: if it is to be told so; nothing is left of the call then.
        """
        async with self._expected(name) as room:
            self.check(identity)  # again: others have come while the room was opened
            terms = session_timer.answer(incoming.request.headers, self._wish)
            call = new_call(self._house, room, identity, incoming.header("User-Agent") or "")
            call.updates = "update" in tokens(incoming.all("Allow"))
            call.waiting = call.apart = waits
            if not waits:
                take_mikey(incoming, room, call, self._psks)
            try:
                if incoming.body:
                    agreed = call.consider(incoming.body)
                    # A DTLS handshake proves where a phone is, and so does a connection, or a password.
                    known = incoming.flow.reliable or identity.proof != "none" or agreed.security == "dtls"
                    call.hushed = not known
                    body = await self._answer(room, call)
                else:  # RFC 3261 section 13.2.1: our offer in the 200, its answer in the ACK
                    self._register.put(room, call)
                    room.calls[call.name] = call  # it does not close before the ACK
                    body = call.offer()
                headers = [*mikey_headers(room, call), *(terms.fields(we_asked=False) if terms else ())]
                self._came_up(call, incoming.respond(200, headers=headers, body=body), terms)
            except BaseException:
                await self.ending.hang_up(call, "no call has come of it")
                raise
            if call.dialog is None:
                await self.ending.hang_up(call, "the caller has given up")
            elif waits and not call.ending:
                self.lobby.enter(room, call, incoming.flow.remote[0])

    async def _answer(self, room: Room, call: Call) -> bytes:
        """Find a key for who has offered, have its leg added, and say so."""
        own, holding = own_key(call), room.current(call)
        self._register.put(room, call)
        added = await room.enter(call, own, holding)
        return call.answer(holding.key if holding is not None else own, added.port)

    async def acknowledged(self, dialog: Dialog, body: bytes) -> None:
        """The ACK has come, with the answer if the offer was ours."""
        room, call = self._register.of(dialog)
        if call is None or room is None:
            return
        if call.agreed is not None:
            await self._changed(room, call, body)
            return
        try:
            call.conclude(body)
            await room.enter(call, call.held, None)
            self.lobby.settled(call)
        except (SdpError, Unacceptable, ControlError) as error:
            await self.ending.hang_up(call, str(error))

    async def _changed(self, room: Room, call: Call, answer: bytes) -> None:
        try:
            if call.acknowledged(answer) or call.hushed:
                call.hushed = False
                await room.modify(call)
        except (SdpError, Unacceptable) as error:
            _log.warning("answer_refused", leg=call.name, reason=str(error))

    def _came_up(self, call: Call, dialog: Dialog | None, terms: Terms | None) -> None:
        call.dialog = dialog
        if dialog is not None:
            dialog.owner = call
            self.set_up += 1
            self.clock.set(call, terms)
            identity = call.identity
            _log.info("call_up", leg=call.name, user=identity.uri, proof=identity.proof, agent=call.agent)

    async def reoffered(self, incoming: Incoming) -> None:
        """A phone offers anew in its call, or refreshes it.

        Raises:
            SdpError, Unacceptable, Refused, ControlError, IntervalTooSmall: if it is to be told so.
        """
        assert incoming.dialog is not None
        room, call = self.room_of(incoming.dialog)
        terms = session_timer.answer(incoming.request.headers, self._wish)
        fields = terms.fields(we_asked=False) if terms else []
        if incoming.method == "UPDATE" and not incoming.body:
            incoming.respond(200, headers=fields)
        elif (await call.reoffered(incoming, fields)) is not None and not call.ending:
            await room.modify(call)
        self.clock.set(call, terms)

    async def _refresh(self, call: Call) -> None:
        response = await call.refresh(self._wish.fields())
        if response is None or response.code in (408, 481):
            await self.ending.hang_up(call, "the phone does not answer any more")
        elif response.code < 300:
            self.clock.set(call, session_timer.agreed(response.headers, self._wish))
            room, _ = self.calls.get(call.name, (None, None))
            if room is not None and call.agreed is not None:  # its answer may hold a new key of its own
                await room.modify(call)

    # -- dialled out --------------------------------------------------------------------------

    async def dial_out(self, name: str, uri: str, whom: Identity | None = None) -> tuple[Room, Call]:
        """Call somebody into a room; returns when they have answered. `whom`: who that is, if not the URI says it.

        Raises:
            Refused, ControlError: if there can be no such room.
            CallRefused, SipError: if they will not come.
            SdpError, Unacceptable: if what they answer cannot be used.
        """
        async with self._expected(name) as room:
            call = new_call(self._house, room, whom or Identity(bare(uri)))
            call.joined_by = "dialed-out"
            me, fields = f"sip:{room.name}@{self._domain}", self._wish.fields()
            outgoing = self.agent.invite(uri, from_uri=me, headers=fields, body=call.offer())
            dialog, response = await picked_up(outgoing, self._house.settings.limits.ringing_s, self._errands)
            call.updates = "update" in tokens(response.headers.getlist("Allow"))
            self._came_up(call, dialog, session_timer.agreed(response.headers, self._wish))
            self._register.put(room, call)
            call.agent = response.user_agent or response.server or ""
            try:
                call.conclude(response.body)
                await room.enter(call, call.held, None)
            except BaseException as error:
                await self.ending.hang_up(call, str(error))
                raise
        return room, call

    # -- as the operator ----------------------------------------------------------------------

    def dismiss(self, call: Call, reason: str) -> None:
        """Hang up on a phone, and do not wait for it."""
        self._errands.run(self.ending.hang_up(call, reason))

    def summon(self, call: Call, reason: str) -> None:
        """`recall`, without waiting for it."""
        self._errands.run(self.recall(call, reason))

    async def recall(self, call: Call, reason: str) -> None:
        """Hang up on a phone, and call it again."""
        room, dialog = self.calls.get(call.name, (None, call))[0], call.dialog
        await self.ending.hang_up(call, reason)
        if room is not None and dialog is not None:
            try:
                await self.dial_out(room.name, dialog.remote_target, replace(call.identity, proof="none"))
            except (SipError, SdpError, Unacceptable, Refused, ControlError) as error:
                _log.warning("not_recalled", room=room.name, reason=str(error))

    async def close(self) -> None:
        """End all calls; none comes up any more."""
        self._closing = True
        await self.ending.close()
        await self._errands.close()

    # -- small things -------------------------------------------------------------------------

    def room_of(self, dialog: Dialog) -> tuple[Room, Call]:
        """Whose dialog this is. Raises `Refused` if it is of no call."""
        room, call = self._register.of(dialog)
        if room is None or call is None:
            raise Refused(481, "there is no such call")
        return room, call

    @contextlib.asynccontextmanager
    async def _expected(self, name: str) -> AsyncIterator[Room]:
        """The room that a call is on its way into. It does not close meanwhile, and does if nothing comes of it."""
        if self._closing:
            raise Refused(503, "this focus is going down")
        self.joining += 1
        try:
            room = await self._rooms.opened(name)
            if room.full:
                raise Refused(486, "the room is full")
            room.expected += 1
            try:
                yield room
            finally:
                room.expected -= 1
                await self._rooms.close_if_empty(room)
        finally:
            self.joining -= 1


_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("focus")
