"""The end of a conference: when so many leave that rekeying for each is wasted.

Knows: who left in the last half minute, and how many there once were. Must never know: cohorts, keys.
"""

from __future__ import annotations

from collections import deque

from control.rekey.settings import RekeySettings


class Closing:
    """Tells how often a leave may rekey."""

    __slots__ = ("_leaves", "_peak", "_settings", "told")

    def __init__(self, settings: RekeySettings) -> None:
        self._settings = settings
        self._leaves: deque[float] = deque()
        self._peak = 0
        self.told = False
        """The focus said that the conference ends."""

    def grown(self, size: int) -> None:
        """So many are in the conference."""
        self._peak = max(self._peak, size)

    def left(self, now: float) -> None:
        """One has left."""
        self._leaves.append(now)
        self._forget(now)

    def is_near(self, now: float) -> bool:
        """The conference ends: the focus said so, or the leaves of the last while do."""
        if self.told:
            return True
        self._forget(now)
        leaves, settings = self._leaves, self._settings
        return len(leaves) >= settings.closing_leaves and len(leaves) > settings.closing_share * self._peak

    def _forget(self, now: float) -> None:
        horizon = now - self._settings.closing_window
        while self._leaves and self._leaves[0] <= horizon:
            self._leaves.popleft()

    def pause(self, now: float) -> float:
        """Seconds between two rekeys of a cohort that leaves cause."""
        settings = self._settings
        return max(settings.t_leave_min, settings.t_leave_closing) if self.is_near(now) else settings.t_leave_min
