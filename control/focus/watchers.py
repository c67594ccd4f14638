"""Who watches a room: conference events over SIP (RFC 4575, RFC 6665).

Knows: who may see what, and how notices travel. Must never know: what they say (`control.roster`).

Events are served only to those who may enter the room or are in it, and outside loopback only over TLS: the roster is
as confidential as the conference (RFC 4575 section 8).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import dataclass
from typing import Final

from control.focus.call import Call
from control.focus.dialled import dialled
from control.focus.entry import DIAL_IT, Entry
from control.focus.errands import Errands, Faults
from control.focus.identity import Gate, Identity, Refused
from control.focus.room import Room
from control.focus.rooms import Rooms
from control.focus.settings import FocusSettings
from control.roster.document import CONTENT_TYPE
from control.roster.errors import SubscriptionRefused
from control.roster.subscriptions import EXPIRES_S, Notice
from control.roster.views import Sight, Viewer
from control.sip.dialogs import Dialog
from control.sip.errors import DialogGone, SipError
from control.sip.incoming import Incoming


@dataclass(frozen=True, slots=True)
class Watch:
    """One subscription: of which room, by whom, and in which dialog."""

    room: Room
    viewer: Viewer
    dialog: Dialog
    turn: asyncio.Lock
    """One NOTIFY at a time, in order."""


class Watchers:
    """All subscriptions of a focus, room by room."""

    def __init__(self, settings: FocusSettings, entry: Entry, rooms: Rooms, faults: Faults) -> None:
        self._settings, self._entry, self._rooms = settings, entry, rooms
        self._dialogs: dict[str, Watch] = {}
        self._errands = Errands(faults)
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._dialogs)

    async def subscribe(self, incoming: Incoming, gate: Gate, now: float) -> None:
        """A subscription, its refresh or its end.

        Raises:
            Challenge, Refused: if there is to be none.
        """
        if not (incoming.flow.secure or incoming.flow.loopback):
            raise Refused(403, "conference events are served over TLS only")
        expires = min(_expires(incoming), int(EXPIRES_S))
        room, viewer = self._known(incoming.dialog) if incoming.dialog else self._newcomer(incoming, gate, now)
        accepted = incoming.header("Accept")
        if accepted and CONTENT_TYPE not in accepted and "*" not in accepted:
            raise Refused(406, f"conference events are {CONTENT_TYPE}")
        name = f"{incoming.envelope.call_id} {incoming.local_tag}"
        try:
            room.roll.subscriptions.subscribe(name, viewer, expires_s=expires, now=self.now())
        except SubscriptionRefused as refusal:
            raise Refused(503, str(refusal)) from None
        dialog = incoming.respond(200, headers=[("Expires", str(expires))])
        if dialog is not None:
            self._dialogs.setdefault(name, Watch(room, viewer, dialog, asyncio.Lock()))
        else:
            room.roll.subscriptions.failed(name)
        self.flush(room)

    def _known(self, dialog: Dialog) -> tuple[Room, Viewer]:
        """A subscription that is refreshed; or a member subscribes in its call, which proves that it is one."""
        watch = self._dialogs.get(_name(dialog))
        if watch is not None:
            return watch.room, watch.viewer
        call = dialog.owner
        room = next((room for room in self._rooms if isinstance(call, Call) and call.name in room.calls), None)
        if room is None or not isinstance(call, Call):
            raise Refused(481, "there is no such subscription")
        if call.waiting:
            raise Refused(403, "key in the PIN first")
        return room, self._viewer(call.identity)

    def _newcomer(self, incoming: Incoming, gate: Gate, now: float) -> tuple[Room, Viewer]:
        called = dialled(str(incoming.request.uri))
        settings = self._rooms.settings(called.room)
        room = self._rooms.get(called.room)
        identity = gate.judge(incoming, settings.observers, now)
        if not self._entry.enter(settings, called, identity, incoming.flow.remote[0]):
            raise Refused(403, DIAL_IT)
        if room is None:
            raise Refused(404, "there is no such conference now")
        if len(self._dialogs) >= self._settings.limits.subscriptions:
            raise Refused(503, "there are too many subscriptions")
        return room, self._viewer(identity)

    def _viewer(self, identity: Identity) -> Viewer:
        sees_all = identity.uri in self._settings.trust.admins and identity.proves("digest")
        return Viewer(identity.uri, Sight.ALL if sees_all else Sight.ROSTER)

    def changed(self, room: Room) -> None:
        """Somebody came, went, or is another than before."""
        room.roll.subscriptions.changed(self.now())
        self.flush(room)

    # -- notices ------------------------------------------------------------------------------

    def flush(self, room: Room) -> None:
        """Send what a room has to tell."""
        for notice in room.roll.subscriptions.notices():
            known = self._dialogs.get(str(notice.name))
            if known is not None:
                self._errands.run(self._notify(notice, known))
        if room.roll.subscriptions.due() is not None:  # most rooms are watched by nobody
            self._changed.set()

    async def _notify(self, notice: Notice, watch: Watch) -> None:
        headers = [("Event", "conference"), ("Subscription-State", notice.subscription_state)]
        async with watch.turn:
            try:
                if watch.dialog.ended:  # a member's, with its call
                    raise DialogGone("the dialog of the subscription has ended")
                response = await watch.dialog.request(
                    "NOTIFY", headers=headers, body=notice.body, content_type=CONTENT_TYPE
                )
                gone = response.code == 481
            except SipError:
                gone = True
        if gone:
            watch.room.roll.subscriptions.failed(notice.name)
        if gone or notice.subscription_state.startswith("terminated"):
            self._dialogs.pop(str(notice.name), None)
            if not isinstance(watch.dialog.owner, Call):
                watch.dialog.end()

    async def run(self) -> None:
        """Keep time for all rooms until cancelled."""
        while True:
            now = self.now()
            for room in self._rooms:
                room.roll.subscriptions.advance(now)
                self.flush(room)
            self._changed.clear()
            due = [room.roll.subscriptions.due() for room in self._rooms]
            wait = min((at - now for at in due if at is not None), default=None)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if wait is None else max(0.01, wait)):
                    await self._changed.wait()

    def closing(self, room: Room) -> None:
        """A room is no more: its watchers are told so."""
        room.roll.subscriptions.close(self.now())
        self.flush(room)

    @staticmethod
    def now() -> float:
        return asyncio.get_running_loop().time()


def _name(dialog: Dialog) -> str:
    return f"{dialog.call_id} {dialog.local_tag}"


def _expires(incoming: Incoming) -> int:
    word = incoming.header("Expires")
    if word is None:
        return int(EXPIRES_S)
    if not _SECONDS.fullmatch(word.strip()):
        raise Refused(400, "Expires is a number of seconds")
    return int(word)


_SECONDS: Final = re.compile("[0-9]{1,10}")
