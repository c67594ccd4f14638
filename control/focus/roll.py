"""The roll: a room's calls as the roster tells them (RFC 4575).

Knows: how a call looks from outside. Must never know: who watches, or when they are told.

A user is whoever has the same identity; each of its calls is an endpoint. The work for a call that comes, goes or
changes is that of its user's calls.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import cast

from control.focus.call import Call
from control.focus.settings import RoomSettings
from control.roster.people import Conference, Departure, Endpoint, Medium, Proof, Security, User
from control.roster.state import Roster
from control.roster.subscriptions import Subscriptions


class Roll:
    """Of one room."""

    def __init__(self, uri: str, settings: RoomSettings, keying_of: Callable[[str], str], *, watchers: int) -> None:
        """`keying_of`: which key the leg of a name hears under; `watchers`: at most so many."""
        self.roster = Roster(Conference(uri, settings.subject, settings.members))
        self.subscriptions = Subscriptions(self.roster, limit=watchers)
        self._keying_of = keying_of
        self._calls: dict[str, dict[str, tuple[Call, datetime]]] = {}
        """By user and leg."""

    def put(self, call: Call) -> None:
        """A call has come, or is another than before."""
        entity = _entity(call)
        mine = self._calls.setdefault(entity, {})
        _, since = mine.get(call.name, (call, datetime.now(UTC)))
        mine[call.name] = call, since
        self._tell(entity)

    def drop(self, call: Call, how: Departure = "departed") -> None:
        """A call is over."""
        entity = _entity(call)
        mine = self._calls.get(entity, {})
        mine.pop(call.name, None)
        if mine:
            self._tell(entity)
        else:
            self._calls.pop(entity, None)
            self.roster.remove(entity, how)

    def _tell(self, uri: str) -> None:
        calls = self._calls[uri]
        newest = next(reversed(calls.values()))[0].identity
        self.roster.put(
            User(
                uri,
                newest.display,
                endpoints=tuple(self._endpoint(call, since) for call, since in calls.values()),
                anonymous=any(call.identity.anonymous for call, _ in calls.values()),
                proof=cast(Proof, newest.proof),
            )
        )

    def _endpoint(self, call: Call, since: datetime) -> Endpoint:
        agreed, dialog = call.agreed, call.dialog
        direction = agreed.direction if agreed else "inactive"
        return Endpoint(
            entity=dialog.remote_target if dialog else call.identity.uri,
            status="on-hold" if call.on_hold else "connected",
            joining_method="dialed-out" if call.joined_by == "dialed-out" else "dialed-in",
            joined=since,
            media=(Medium("1", ssrc=call.ssrc or None, status=direction),),
            keying="group" if self._keying_of(call.name) == "group" else "unique",
            security=_security(call),
        )


def _entity(call: Call) -> str:
    """Who has no name is not one with all others who have none."""
    identity = call.identity
    return f"sip:{call.name}@anonymous.invalid" if "@anonymous.invalid" in identity.uri else identity.uri


def _security(call: Call) -> Security:
    if call.psk is not None:
        return "mikey"
    security = call.agreed.security if call.agreed else "clear"
    return "none" if security == "clear" else security
