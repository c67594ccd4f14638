"""What stands behind one connection: it runs calls, and may have something to say unasked.

Knows: which peer it serves, and what that peer has subscribed to. Must never know: lines or sockets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from control.backlog import Backlog
from control.director import Director
from control.messages import EventsSubscribe, EventsUnsubscribe, Missed
from mixer import port


class Desk(Protocol):
    """One for each connection; made when a peer is let in."""

    async def run(self, params: msgspec.Struct) -> msgspec.Struct:
        """Do what a call asks, and return its reply.

        Raises:
            port.PortError, ControlError: if it is refused; nothing has changed then.
        """
        ...

    async def next_event(self) -> port.Event | Missed | None:
        """Wait for something to tell the peer; None if there will be nothing more."""
        ...

    def fault(self) -> None:
        """Count a call that ended in an error of our own."""
        ...

    def close(self) -> None:
        """The peer is gone."""
        ...


class MixerDesk:
    """A controller's: commands go to the director, events come back."""

    def __init__(self, director: Director, backlog: int) -> None:
        """At most `backlog` events wait for a controller that is slow to read."""
        self._director = director
        self._backlog = Backlog(backlog)
        self._unsubscribe: Callable[[], None] | None = None

    async def run(self, params: msgspec.Struct) -> msgspec.Struct:
        """See `Desk`."""
        if isinstance(params, EventsSubscribe):
            self._begin_subscription(params)
            return port.Done()
        if isinstance(params, EventsUnsubscribe):
            self.close()
            return port.Done()
        return await self._director.run(params)

    async def next_event(self) -> port.Event | Missed | None:
        """See `Desk`."""
        return await self._backlog.next()

    def fault(self) -> None:
        """See `Desk`."""
        self._director.faults += 1

    def close(self) -> None:
        """End the subscription."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        self._backlog.clear()

    def _begin_subscription(self, wanted: EventsSubscribe) -> None:
        self.close()

        def hear(event: port.Event) -> None:
            if _matches(wanted, event):
                self._backlog.push(event)

        self._unsubscribe = self._director.mixer.subscribe(hear)


def _matches(wanted: EventsSubscribe, event: port.Event) -> bool:
    if wanted.events and event.__struct_config__.tag not in wanted.events:
        return False
    return wanted.conference is None or getattr(event, "conference", wanted.conference) == wanted.conference
