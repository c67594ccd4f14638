"""A conductor that is watched: when members acknowledged what, and when the mixer switched.

Knows: the clock of the event loop. Must never know: keys, packets.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from control.rekey.conductor import Conductor, Then, Ticket
from mixer import port


class Mark(NamedTuple):
    """How much had happened at some moment."""

    acks: int
    switches: int
    messages: int


class Watched(Conductor):
    """A conductor, and what it saw. Times are those of the event loop."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.acks: list[tuple[float, str]] = []
        """(when, who) of acknowledgements that counted."""
        self.switches: list[tuple[float, int, int]] = []
        """(when, cohort, epoch): the mixer uses another key."""
        self.removed: list[float] = []
        """When the mixer had removed a leg."""

    def mark(self) -> Mark:
        """How much has happened."""
        return Mark(len(self.acks), len(self.switches), self.counts.messages)

    def heard(self, member: str, octets: bytes, now: float) -> bool:
        useful = super().heard(member, octets, now)
        if useful:
            self.acks.append((asyncio.get_running_loop().time(), member))
        return useful

    def replied(self, ticket: Ticket, reply: port.Reply, now: float) -> None:
        super().replied(ticket, reply, now)
        if ticket.then is Then.SWITCHED:
            self.switches.append((now, ticket.cohort, ticket.epoch))
        elif isinstance(ticket.command, port.LegRemove):
            self.removed.append(now)
