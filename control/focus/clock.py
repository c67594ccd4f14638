"""The clock of calls: sessions are refreshed or given up (RFC 4028), and none lasts for ever.

Knows: when. Must never know: how a call is refreshed or ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from control.focus.call import Call
from control.focus.errands import Errands
from control.sip.session_timer import Terms


@dataclass(slots=True)
class _Alarms:
    end: asyncio.TimerHandle | None = None
    """Of the longest that a call may last."""
    session: list[asyncio.TimerHandle] = field(default_factory=list)


class Clock:
    """Of all calls."""

    def __init__(
        self,
        refresh: Callable[[Call], Awaitable[None]],
        give_up: Callable[[Call, str], Awaitable[None]],
        longest_s: float,
        errands: Errands,
    ) -> None:
        self._refresh, self._give_up, self._longest_s = refresh, give_up, longest_s
        self._errands = errands
        self._alarms: dict[str, _Alarms] = {}

    def __len__(self) -> int:
        return len(self._alarms)

    def set(self, call: Call, terms: Terms | None) -> None:
        """A call has come up, or was refreshed; it may have ended while it was."""
        if call.ending:
            return
        loop = asyncio.get_running_loop()
        alarms = self._alarms.setdefault(call.name, _Alarms())
        if alarms.end is None:
            alarms.end = loop.call_later(self._longest_s, self._run, self._give_up, call, "no call lasts longer")
        for alarm in alarms.session:
            alarm.cancel()
        alarms.session.clear()
        if terms is None:
            return
        if terms.refresh_after is not None:
            alarms.session.append(loop.call_later(terms.refresh_after, self._run, self._refresh, call))
        expired = "the session was not refreshed"
        alarms.session.append(loop.call_later(terms.hang_up_after, self._run, self._give_up, call, expired))

    def stop(self, call: Call) -> None:
        """A call is over."""
        alarms = self._alarms.pop(call.name, _Alarms())
        for alarm in (*alarms.session, alarms.end):
            if alarm is not None:
                alarm.cancel()

    def _run(self, what: Callable[..., Awaitable[None]], *of: object) -> None:
        self._errands.run(what(*of))
