"""Requests refused: counted by status, and told to the log, so that an operator sees why a phone does not get in.

Knows: who asked, and what it was told. Must never know: why.

Anybody can be refused as often as it likes, so the log has a bound: some lines a second, then a line that tells how
many more there were.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import structlog

from control.focus.dialled import dialled
from control.focus.identity import Refused
from control.sip.incoming import Incoming

LINES_PER_S: Final = 10


class Refusals:
    """Of one focus."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """`now`: seconds, of a clock that does not jump."""
        self._now = now
        self.by_status: dict[int, int] = {}
        """How many requests were refused, by status. A 401 counts if a proof was shown and was none."""
        self._second, self._lines, self._untold = float("-inf"), 0, 0

    def note(self, incoming: Incoming, status: int, reason: str) -> None:
        """One more."""
        self.by_status[status] = self.by_status.get(status, 0) + 1
        now = self._now()
        if now - self._second >= 1:
            if self._untold:
                _log.warning("more_refused", requests=self._untold)
            self._second, self._lines, self._untold = now, 0, 0
        if self._lines >= LINES_PER_S:
            self._untold += 1
            return
        self._lines += 1
        _log.info(
            "refused",
            method=incoming.method,
            status=status,
            reason=reason,
            source=incoming.flow.remote[0],
            user=incoming.envelope.sender.uri,
            room=_room(incoming),
        )


def _room(incoming: Incoming) -> str:
    """Without the PIN that may stand beside it."""
    try:
        return dialled(str(incoming.request.uri)).room
    except Refused:
        return ""


_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("focus")
