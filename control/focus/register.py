"""The register of calls: by leg, by user, and by dialog; and whether there is a place for one more.

Knows: which calls there are. Must never know: how they come and go.
"""

from __future__ import annotations

from collections import Counter

from control.focus.call import Call
from control.focus.identity import Identity, Refused
from control.focus.room import Room
from control.focus.settings import LimitSettings
from control.sip.dialogs import Dialog


class Register:
    """All calls of a focus."""

    def __init__(self, limits: LimitSettings) -> None:
        self._limits = limits
        self.calls: dict[str, tuple[Room, Call]] = {}
        """By leg."""
        self.of_user: Counter[str] = Counter()
        """How many calls each user has, by its URI."""

    def check(self, identity: Identity) -> None:
        """There is a place for one more call of a user, or `Refused` is raised."""
        if len(self.calls) >= self._limits.calls:
            raise Refused(503, "this focus has all the calls that it takes")
        if self.of_user[identity.uri] >= self._limits.calls_per_user:
            raise Refused(486, "this user has all the calls that it may have")

    def put(self, room: Room, call: Call) -> None:
        """A call begins."""
        self.calls[call.name] = room, call
        self.of_user[call.identity.uri] += 1

    def drop(self, call: Call) -> Room | None:
        """A call is over: the room that it was in, if it was in one."""
        room, _ = self.calls.pop(call.name, (None, call))
        if room is not None:
            self.of_user[call.identity.uri] -= 1
            if not self.of_user[call.identity.uri]:
                del self.of_user[call.identity.uri]
        return room

    def of(self, dialog: Dialog) -> tuple[Room | None, Call | None]:
        """Whose dialog this is."""
        owner = dialog.owner
        return self.calls.get(owner.name, (None, None)) if isinstance(owner, Call) else (None, None)
