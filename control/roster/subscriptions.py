"""Who is told of a conference, and when: the notifier of RFC 6665 for the package of RFC 4575. Sans-IO.

Knows subscriptions, their time and how often each is told. Must never know SIP, XML, a clock, or who may
subscribe.

The contract: call an input with the time, then send what `notices()` gives; call `advance` at the time that
`due()` tells. Time is in seconds and never runs backwards.

    who subscribes or refreshes is told everything, at once
    a change is told at once after quiet; else when the quiet is over, with all that has come by then
    a change that the viewer cannot see is not told
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

from control.roster.alarms import Alarms
from control.roster.document import Document, deleted
from control.roster.drafts import Drafts
from control.roster.errors import Refusal, SubscriptionRefused
from control.roster.state import Roster
from control.roster.views import Viewer

QUIET_S: Final = 5.0
"""Between two documents for one subscriber, at least (RFC 4575 section 3.9)."""

EXPIRES_S: Final = 3600.0
"""A subscription is granted for no longer; the default of RFC 4575 section 3.3."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One NOTIFY to send. Thousands may share one large document: the body is made when it is asked for."""

    name: Hashable
    subscription_state: str
    document: Document | None
    version: int

    @property
    def body(self) -> bytes:
        """What it carries; it may be nothing."""
        return b"" if self.document is None else self.document.numbered(self.version)


@dataclass(slots=True, eq=False)
class _Subscription:
    name: Hashable
    viewer: Viewer
    expires_at: float
    version: int
    """Of the document sent last: counted for each subscription apart (RFC 4575 section 5.2)."""
    told: int
    """The version of the roster that the subscriber knows."""


class Subscriptions:
    """All subscriptions to one conference."""

    def __init__(self, roster: Roster, *, limit: int = 10_000, limit_each: int = 16, quiet_s: float = QUIET_S) -> None:
        """`limit`: subscriptions in all; `limit_each`: those of one identity."""
        self._roster, self._drafts = roster, Drafts(roster)
        self._limit, self._limit_each, self._quiet_s = limit, limit_each, quiet_s
        self._subscriptions: dict[Hashable, _Subscription] = {}
        self._quiet: dict[Hashable, _Subscription] = {}
        """Those that are told of a change at once."""
        self._held = Counter[str]()
        self._alarms = Alarms()
        """One for each: when its quiet is over, or itself."""
        self._notices: list[Notice] = []
        self._closed = False

    def __len__(self) -> int:
        return len(self._subscriptions)

    # -- inputs -------------------------------------------------------------------------------

    def subscribe(self, name: Hashable, viewer: Viewer, *, expires_s: float, now: float) -> int:
        """Begin or refresh a subscription; give the seconds granted. With 0 it only fetches, or ends.

        Raises:
            SubscriptionRefused: if the conference is over, or there are too many. What there was stays.
        """
        self.advance(now)
        known = self._subscriptions.get(name)
        granted = int(min(max(expires_s, 0.0), EXPIRES_S))
        if self._closed:
            raise SubscriptionRefused(Refusal.CLOSED, "the conference is over")
        if granted:
            self._check_room(viewer, known)
        if known is not None:
            self._forget(known)
        version = known.version if known is not None else 0
        subscription = _Subscription(name, viewer, now + granted, version, self._roster.version)
        everything = self._drafts.full(viewer.sight)
        if granted:
            self._subscriptions[name] = subscription
            self._held[viewer.entity] += 1
            self._tell(subscription, everything, now)
        else:
            self._tell_last(subscription, everything, "timeout")
        return granted

    def changed(self, now: float) -> None:
        """The roster has changed: tell those who have had quiet; the others when they have."""
        self.advance(now)
        for subscription in list(self._quiet.values()):
            self._catch_up(subscription, now)

    def advance(self, now: float) -> None:
        """Do what is due."""
        for name in self._alarms.ringing(now):
            subscription = self._subscriptions[name]
            if subscription.expires_at <= now:
                self._forget(subscription)
                self._tell_last(subscription, self._drafts.full(subscription.viewer.sight), "timeout")
            else:
                self._catch_up(subscription, now)

    def failed(self, name: Hashable) -> None:
        """The subscriber does not know its subscription any more: forget it."""
        subscription = self._subscriptions.get(name)
        if subscription is not None:
            self._forget(subscription)

    def end(self, name: Hashable, reason: str) -> None:
        """End one subscription, and tell no more than that: `rejected`, or `deactivated` to have it renewed."""
        subscription = self._subscriptions.get(name)
        if subscription is not None:
            self._forget(subscription)
            self._tell_last(subscription, None, reason)

    def close(self, now: float, reason: str = "noresource") -> None:
        """The conference is over. No subscription begins any more."""
        self.advance(now)
        self._closed = True
        farewell = deleted(self._roster.conference)
        for subscription in list(self._subscriptions.values()):
            self._forget(subscription)
            self._tell_last(subscription, farewell, reason)

    # -- outputs ------------------------------------------------------------------------------

    def due(self) -> float | None:
        """When to call `advance`; None if nothing is to come."""
        return self._alarms.due()

    def notices(self) -> list[Notice]:
        """What is to be sent now, in this order. Each is given once."""
        notices, self._notices = self._notices, []
        return notices

    # -----------------------------------------------------------------------------------------

    def _check_room(self, viewer: Viewer, known: _Subscription | None) -> None:
        if known is None and len(self) >= self._limit:
            raise SubscriptionRefused(Refusal.FULL, f"there are {len(self)} subscriptions already: try again later")
        held = self._held[viewer.entity] - (known is not None and known.viewer.entity == viewer.entity)
        if held >= self._limit_each:
            raise SubscriptionRefused(Refusal.TOO_MANY, f"{viewer.entity} has {held} subscriptions: end one first")

    def _catch_up(self, subscription: _Subscription, now: float) -> None:
        """Tell what the subscriber does not know yet, after quiet."""
        news = self._drafts.since(subscription.viewer.sight, subscription.told)
        if news is not None:
            self._tell(subscription, news, now)
            return
        subscription.told = self._roster.version
        self._quiet[subscription.name] = subscription
        self._alarms.set(subscription.name, subscription.expires_at)

    def _tell(self, subscription: _Subscription, document: Document, now: float) -> None:
        subscription.version += 1
        subscription.told = self._roster.version
        state = f"active;expires={int(subscription.expires_at - now)}"
        self._notices.append(Notice(subscription.name, state, document, subscription.version))
        self._quiet.pop(subscription.name, None)
        self._alarms.set(subscription.name, min(now + self._quiet_s, subscription.expires_at))

    def _tell_last(self, subscription: _Subscription, document: Document | None, reason: str) -> None:
        state = f"terminated;reason={reason}"
        self._notices.append(Notice(subscription.name, state, document, subscription.version + 1))

    def _forget(self, subscription: _Subscription) -> None:
        del self._subscriptions[subscription.name]
        self._quiet.pop(subscription.name, None)
        self._alarms.unset(subscription.name)
        self._held[subscription.viewer.entity] -= 1
        if not self._held[subscription.viewer.entity]:
            del self._held[subscription.viewer.entity]
