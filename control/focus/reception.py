"""The reception: every request that comes, who may make it, and who serves it.

Knows: methods, statuses and permissions. Must never know: SDP, keys, or how a call is set up.

Whatever a peer sends ends in one final response. What it did wrong is said in the reason or a Warning; what we did
wrong is a 500, logged and counted.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from control.errors import ControlError
from control.focus.dialled import Dialled, dialled
from control.focus.entry import Entry
from control.focus.errands import Errands, Faults
from control.focus.identity import Challenge, Gate, Identity, Refused
from control.focus.keypad import is_key, key_of
from control.focus.referral import Referral
from control.focus.refusals import Refusals
from control.focus.rooms import Rooms
from control.focus.settings import FocusSettings
from control.focus.switchboard import Switchboard
from control.focus.watchers import Watchers
from control.sdp.answer import Unacceptable
from control.sdp.model import SdpError
from control.sip.dialogs import Dialog
from control.sip.incoming import Incoming
from control.sip.session_timer import IntervalTooSmall
from mixer.port import Refusal

ALLOW: Final = ("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "UPDATE", "INFO", "PRACK", "SUBSCRIBE", "NOTIFY", "REFER")
ACCEPT: Final = "application/sdp, application/conference-info+xml"


class Reception:
    """What the SIP agent calls its application."""

    def __init__(
        self,
        settings: FocusSettings,
        gate: Gate,
        entry: Entry,
        rooms: Rooms,
        switchboard: Switchboard,
        watchers: Watchers,
        faults: Faults,
    ) -> None:
        self._settings, self._gate, self._entry = settings, gate, entry
        self._rooms, self._switchboard, self._watchers = rooms, switchboard, watchers
        self._referral = Referral(settings, rooms, switchboard)
        self._errands = Errands(faults)
        self._faults = faults
        self.refusals = Refusals()
        self._verbs: dict[str, Callable[[Incoming], Awaitable[None]]] = {
            "INVITE": self._invite,
            "BYE": self._bye,
            "UPDATE": self._update,
            "OPTIONS": self._options,
            "INFO": self._info,
            "SUBSCRIBE": self._subscribe,
            "REFER": self._refer,
        }

    # -- what the agent calls -----------------------------------------------------------------

    def arrived(self, incoming: Incoming) -> None:
        """A request waits for its answer."""
        self._errands.run(self._serve(incoming), failed=lambda: incoming.respond(500))

    def cancelled(self, incoming: Incoming) -> None:
        """A caller has given up; `dial_in` finds out when it answers."""

    def acknowledged(self, dialog: Dialog, body: bytes) -> None:
        self._errands.run(self._switchboard.acknowledged(dialog, body))

    def unacknowledged(self, dialog: Dialog) -> None:
        self._errands.run(self._dropped(dialog, "no ACK came"))

    def failed(self, dialog: Dialog) -> None:
        self._errands.run(self._switchboard.ending.hung_up(dialog))

    @property
    def faults(self) -> int:
        """Errors of our own, wherever in the focus."""
        return self._faults.count

    def fault(self) -> None:
        """Count one that was caught elsewhere."""
        self._faults.count += 1

    async def close(self) -> None:
        """Nothing more is served."""
        await self._errands.close()

    # -- one request --------------------------------------------------------------------------

    async def _serve(self, incoming: Incoming) -> None:
        verb = self._verbs.get(incoming.method)
        try:
            if verb is None:
                raise Refused(405, "")
            await verb(incoming)
        except Challenge as challenge:
            if challenge.failure:
                self.refusals.note(incoming, 401, challenge.failure)
            incoming.respond(401, headers=challenge.headers)
        except Refused as refusal:
            self._refuse(incoming, refusal.status, refusal.reason)
        except Unacceptable as refusal:
            warning = f'{refusal.warning} {self._settings.domain} "{refusal.text}"'
            self._refuse(incoming, 488, refusal.text, ("Warning", warning))
        except IntervalTooSmall as refusal:
            self._refuse(incoming, 422, "", *refusal.fields)
        except SdpError as error:
            self._refuse(incoming, 400, f"Bad SDP: {error}")
        except ControlError as error:
            _log.warning("not_served", method=incoming.method, reason=str(error))
            self._refuse(incoming, 488 if error.refusal is Refusal.SSRC_CONFLICT else 503, _in_words(error))

    def _refuse(self, incoming: Incoming, status: int, reason: str, *headers: tuple[str, str]) -> None:
        self.refusals.note(incoming, status, reason)
        if status == 503:
            headers = (*headers, ("Retry-After", str(self._settings.limits.retry_after_s)))
        incoming.respond(status, reason, headers=headers)

    async def _invite(self, incoming: Incoming) -> None:
        if incoming.dialog is not None:
            await self._switchboard.reoffered(incoming)
            return
        if self._switchboard.joining >= self._settings.limits.joining:
            raise Refused(503, "too many calls come at once")
        called, identity, waits = self._admit(incoming)
        self._switchboard.check(identity)
        content = incoming.header("Content-Type")
        if incoming.body and (content or "").partition(";")[0].strip().lower() != "application/sdp":
            raise Refused(415, "an offer is application/sdp")
        await self._switchboard.dial_in(incoming, called.room, identity, waits=waits)

    def _admit(self, incoming: Incoming) -> tuple[Dialled, Identity, bool]:
        """Who may come into which room, and whether the PIN has still to be keyed in."""
        called = dialled(str(incoming.request.uri))
        settings = self._rooms.settings(called.room)
        identity = self._gate.judge(incoming, settings.callers, time.time())
        waits = not self._entry.enter(settings, called, identity, incoming.flow.remote[0])
        if waits:
            self._switchboard.lobby.check(settings.pin)
        return called, identity, waits

    async def _update(self, incoming: Incoming) -> None:
        if incoming.dialog is None:
            raise Refused(481, "there is no such call")
        await self._switchboard.reoffered(incoming)

    async def _bye(self, incoming: Incoming) -> None:
        if incoming.dialog is None:
            raise Refused(481, "there is no such call")
        incoming.respond(200)
        await self._switchboard.ending.hung_up(incoming.dialog)

    async def _options(self, incoming: Incoming) -> None:
        user = dialled(str(incoming.request.uri)).room
        if incoming.dialog is None and user:
            self._rooms.settings(user)
        incoming.respond(200, headers=[("Accept", ACCEPT), ("Allow-Events", "conference, refer")])

    async def _info(self, incoming: Incoming) -> None:
        if incoming.dialog is None:
            raise Refused(481, "there is no such call")
        room, call = self._switchboard.room_of(incoming.dialog)
        incoming.respond(200)
        content = incoming.header("Content-Type") or ""
        if not is_key(content):
            room.carrying.informed(call, content, incoming.body)
        elif (key := key_of(content, incoming.body)) is not None:
            room.pressed(call, key, "info")

    async def _subscribe(self, incoming: Incoming) -> None:
        if (incoming.header("Event") or "").partition(";")[0].strip() != "conference":
            incoming.respond(489, headers=[("Allow-Events", "conference")])
            return
        await self._watchers.subscribe(incoming, self._gate, time.time())

    async def _refer(self, incoming: Incoming) -> None:
        await self._referral.refer(incoming, self._gate, time.time())

    async def _dropped(self, dialog: Dialog, reason: str) -> None:
        _, call = self._switchboard.room_of(dialog)
        await self._switchboard.ending.hang_up(call, reason)


def _in_words(error: ControlError) -> str:
    for refusal, words in _WORDS.items():
        if error.refusal is refusal:
            return words
    return "the mixer does not do it now"


_WORDS: Final = {
    Refusal.SSRC_CONFLICT: "that SSRC belongs to another",
    Refusal.LIMIT: "the mixer is full",
    Refusal.DRAINING: "the mixer is going down",
}


_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("focus")
