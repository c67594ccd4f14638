"""Complaints: what becomes of a call that the mixer or the policy has something to say about.

Knows: events of the mixer, and which of them end a call. Must never know: how a call is ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import structlog

from control.focus.call import Call
from control.focus.following import Following
from control.focus.settings import KeysSettings, RoomSettings
from control.rekey.intentions import Attention
from mixer import port


class Operator(Protocol):
    """Who ends calls, with a reason in words. Nothing is waited for: the end of the last call is that of the room."""

    def dismiss(self, call: Call, reason: str) -> None: ...

    def summon(self, call: Call, reason: str) -> None:
        """End it, and call the same phone again: a new call can be given a new key."""
        ...


class Complaints:
    """Of one room."""

    operator: Operator

    def __init__(
        self,
        calls: Mapping[str, Call],
        room: RoomSettings,
        keys: KeysSettings,
        following: Following,
        tell: Callable[[Call], None],
    ) -> None:
        """`tell`: called when a call is another than before."""
        self._calls, self._room, self._keys, self._following, self._tell = calls, room, keys, following, tell

    def attend(self, note: Attention) -> None:
        """The policy gives up on a phone that has taken no new key for long."""
        call = self._calls.get(note.member)
        if call is not None and call.dialog is not None:
            self._give_up(call, note.reason)

    def happened(self, event: port.Event) -> None:
        """The mixer says something of a leg."""
        call = self._calls.get(getattr(event, "leg", ""))
        if call is None:
            return
        if isinstance(event, port.LegLatched):
            call.ssrc = event.ssrc
            self._tell(call)
        elif isinstance(event, port.LegTimeout):
            self.operator.dismiss(call, f"no media for {event.silent_s:.0f} s")
        elif isinstance(event, port.LegDeaf):
            self._deafened(call)
        elif isinstance(event, port.SsrcConflict):
            self.operator.dismiss(call, f"SSRC {event.ssrc} belongs to another")
        elif isinstance(event, port.LegInsecure):
            self.operator.dismiss(call, event.reason)
        elif isinstance(event, port.AuthFailures):
            _log.info("auth_failures", leg=call.name, failures=event.failures)

    def _deafened(self, call: Call) -> None:
        """A phone said yes to a key, and hears nothing since: it holds one for life, and so do others of its kind."""
        if call.rekeyed and call.psk is None and self._following.may_follow(call, self._room):
            self._following.learn(call.agent)
            _log.warning("ignores_keys", leg=call.name, agent=call.agent)
            self._give_up(call, "the phone ignores new keys; call again, and it is given one for life")

    def _give_up(self, call: Call, reason: str) -> None:
        if self._keys.laggards != "keep":
            (self.operator.summon if self._keys.laggards == "recall" else self.operator.dismiss)(call, reason)


_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("focus")
