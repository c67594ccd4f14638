"""A conference with one notifier, and what it sends."""

from __future__ import annotations

from control.roster.people import User
from control.roster.state import Roster
from control.roster.subscriptions import Notice, Subscriptions
from control.roster.views import Viewer
from tests.control.roster.people import BRIDGE
from tests.control.roster.schema import check

VIEWER = Viewer("sip:viewer@example.net")


class Room:
    """A roster with one notifier."""

    def __init__(self, *guests: User, limit: int = 10, limit_each: int = 10) -> None:
        self.roster = Roster(BRIDGE)
        for guest in guests:
            self.roster.put(guest)
        self.notifier = Subscriptions(self.roster, limit=limit, limit_each=limit_each)

    def put(self, user: User, now: float) -> None:
        self.roster.put(user)
        self.notifier.changed(now)

    def told(self) -> list[tuple[str, str, int]]:
        """What is to be sent: for whom, the state of the document, its version."""
        roots = [(notice.name, check(notice.body)) for notice in self.notifier.notices()]
        return [(str(name), root.get("state"), int(root.get("version"))) for name, root in roots]


def only(notices: list[Notice]) -> Notice:
    (notice,) = notices
    return notice
