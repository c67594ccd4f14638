"""Orders: what the policy wants, as commands for the mixer.

Knows: which command does what, and in what order they leave. Must never know: members' messages, or when to rekey.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Final

import msgspec

from control.rekey.keychain import Keychain
from control.rekey.tickets import Then, Ticket
from mixer import port

MAX_LEGS: Final = 480
"""Legs named in one command: a line of the control protocol holds 65,536 octets, and a name takes up to 131."""


class Orders:
    """Commands of one conference."""

    def __init__(self, keychain: Keychain) -> None:
        self._keychain, self._conference = keychain, keychain.conference
        self._tickets: deque[Ticket] = deque()
        self._unremoved: Counter[str] = Counter()
        """Legs whose removal the mixer has not confirmed."""

    def drain(self) -> list[Ticket]:
        """Commands in order, since the last call."""
        drained = list(self._tickets)
        self._tickets.clear()
        return drained

    def clear(self) -> None:
        """Forget everything."""
        self._tickets.clear()
        self._unremoved.clear()

    # -- legs ---------------------------------------------------------------------------------

    def add(self, leg: port.LegAdd, cohort: int, visit: int, *, bridged: bool) -> None:
        """Put a leg into a cohort. The mixer removes none by itself: one that is missing would make it refuse every
        list of legs that names it."""
        self._add(msgspec.structs.replace(leg, keying="group", cohort=cohort, bridged=bridged), visit)

    def add_apart(self, leg: port.LegAdd, visit: int) -> None:
        """Put a leg into the conference that hears no group key, ever."""
        keying: port.Keying | None = None if leg.clear else "unique"
        self._add(msgspec.structs.replace(leg, keying=keying, cohort=0, bridged=False), visit)

    def _add(self, leg: port.LegAdd, visit: int) -> None:
        wish = msgspec.structs.replace(leg, conference=self._conference, remove_on_timeout=False)
        self._tickets.append(Ticket(wish, Then.ADDED, wish.cohort, member=leg.leg, visit=visit))

    def remove(self, leg: str, cohort: int, *, bridge: bool = False) -> None:
        """Take a leg out, and in the same step bridge its cohort."""
        self._unremoved[leg] += 1
        self._tickets.append(Ticket(port.LegRemove(leg=leg, bridge=bridge), cohort=cohort, member=leg))

    def answered(self, ticket: Ticket) -> None:
        """The mixer has answered, whatever it said: a leg that was to be removed is gone."""
        if isinstance(ticket.command, port.LegRemove):
            self._unremoved[ticket.member] -= 1
            if self._unremoved[ticket.member] <= 0:
                del self._unremoved[ticket.member]

    def unremoved(self) -> set[str]:
        """Legs that may still be there."""
        return set(self._unremoved)

    def bridge(self, cohort: int, legs: tuple[str, ...] | None, on: bool) -> None:
        """Put legs on their own keys, the whole cohort if None, or take them back."""
        for at in range(0, len(legs or ()) or 1, MAX_LEGS):
            some = None if legs is None else legs[at : at + MAX_LEGS]
            self._say(port.KeyBridge(conference=self._conference, cohort=cohort, legs=some, on=on))

    # -- keys ---------------------------------------------------------------------------------

    def prepare(self, cohort: int, epoch: int, then: Then) -> None:
        """Give the mixer a key of the keychain."""
        key = self._keychain.key(cohort, epoch)
        self._say(port.KeyPrepare(conference=self._conference, cohort=cohort, key=key), then, cohort, epoch)

    def activate(self, cohort: int, epoch: int) -> None:
        """Have it used."""
        command = port.KeyActivate(conference=self._conference, cohort=cohort, epoch=epoch)
        self._say(command, Then.SWITCHED, cohort, epoch)

    def abort(self, cohort: int, epoch: int) -> None:
        """Destroy one that is not used yet."""
        self._keychain.forget(cohort, epoch)
        self._say(port.KeyAbort(conference=self._conference, cohort=cohort, epoch=epoch))

    def retire(self, cohort: int, epoch: int) -> None:
        """Destroy the one in use. Which step of the ratchet the mixer is at may not be known: it refuses the other."""
        for step in self._keychain.steps(cohort, epoch) or [epoch]:
            self._keychain.forget(cohort, step)
            self._say(
                port.KeyRetire(conference=self._conference, cohort=cohort, epoch=step), Then.NOTHING, cohort, step
            )

    def destroy(self, shown: port.CohortStatus) -> None:
        """Destroy all keys of a cohort, as the mixer shows it, and put its legs on their own."""
        for epoch in shown.prepared:
            self.abort(shown.cohort, epoch)
        if shown.epoch:
            self.retire(shown.cohort, shown.epoch)
        else:
            self.bridge(shown.cohort, None, True)

    def _say(self, command: port.Command, then: Then = Then.NOTHING, cohort: int = 0, epoch: int = 0) -> None:
        self._tickets.append(Ticket(command, then, cohort, epoch))
