"""Documents that many subscribers share: made once for all who see the same and know the same.

Knows the roster, and which documents of its present version exist. Must never know subscribers or time.
"""

from __future__ import annotations

from control.roster import document
from control.roster.document import Document
from control.roster.state import Roster
from control.roster.views import Sight, difference


class Drafts:
    """The documents of one roster."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._version = roster.version
        self._drafts: dict[tuple[Sight, int | None], Document | None] = {}

    def full(self, sight: Sight) -> Document:
        """All that may be seen."""
        self._refresh()
        draft = self._drafts.get((sight, None))
        if draft is None:
            draft = self._drafts[sight, None] = document.full(self._roster, sight)
        return draft

    def since(self, sight: Sight, version: int) -> Document | None:
        """What is new since a version of the roster; all, if that is too long ago; None if nothing is."""
        self._refresh()
        if (sight, version) not in self._drafts:
            self._drafts[sight, version] = self._news(sight, version)
        return self._drafts[sight, version]

    def _news(self, sight: Sight, version: int) -> Document | None:
        changes = self._roster.since(version)
        if changes is None:
            return self.full(sight)
        news = difference(self._roster, changes, sight)
        return document.partial(self._roster.conference, news) if news else None

    def _refresh(self) -> None:
        if self._version != self._roster.version:
            self._version = self._roster.version
            self._drafts.clear()
