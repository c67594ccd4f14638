"""Joins: which cohort, and how a newcomer gets the group key without costing the others a message.

Knows: where there is room, and what newcomers wait for. Must never know: who leaves.

A newcomer begins on its own key, so it can decrypt nothing that was sent before (invariant I3, slack
0). If all of its cohort can ratchet, the joins of a tenth of a second share one step: the mixer takes
it first, the newcomers are sent it after, and the others follow by the MKI. Otherwise newcomers wait
for the next epoch; if too many wait, or for too long, there is one for their sake. A cohort without a
key has nobody to disturb: it gets its first one at once.

Members who can ratchet and who cannot are kept apart, because one who cannot stops the ratchet for all.
Cohorts are never merged, since a leg cannot change its cohort: a newcomer fills a gap instead.
"""

from __future__ import annotations

from control.rekey import bridging, rekeying
from control.rekey.book import Book
from control.rekey.cohort import Cohort, State
from control.rekey.epochs import STEP_MAX
from control.rekey.intentions import AddLeg
from control.rekey.records import Member


class Rooms:
    """Which cohorts take newcomers."""

    __slots__ = ("_book", "_next", "_open")

    def __init__(self, book: Book) -> None:
        self._book = book
        self._next = 0
        self._open: dict[bool, dict[int, Cohort]] = {False: {}, True: {}}

    def place(self, name: str, ratchets: bool) -> Member:
        """Give a newcomer a place in a cohort with room, or in a new one, on its own key."""
        ratchets = ratchets and self._book.style == "mki"
        rooms = self._open[self._kind(ratchets)]
        cohort = next(iter(rooms.values()), None)
        if cohort is None:
            cohort = rooms[self._next] = self._book.cohorts[self._next] = Cohort(self._next)
            self._next += 1
        self._book.say(AddLeg(name, cohort.number))
        return self._enter(cohort, name, ratchets)

    def adopt(self, name: str, ratchets: bool, number: int) -> Member:
        """A member whose leg the mixer has already: it stays in its cohort, on its own key."""
        ratchets = ratchets and self._book.style == "mki"
        cohort = self._book.cohorts.get(number)
        if cohort is None:
            cohort = self._book.cohorts[number] = Cohort(number)
            self._open[self._kind(ratchets)][number] = cohort
            self._next = max(self._next, number + 1)
        return self._enter(cohort, name, ratchets)

    def _enter(self, cohort: Cohort, name: str, ratchets: bool) -> Member:
        member = cohort.members[name] = self._book.members[name] = Member(name, ratchets, cohort)
        cohort.waiting[name] = None
        cohort.plain += not ratchets
        if len(cohort.members) >= self._book.settings.room:
            self._open[self._kind(ratchets)].pop(cohort.number, None)
        bridging.begin_bridged(self._book, cohort, name)
        return member

    def clear(self, member: Member) -> None:
        """A member has left its cohort, which has room now unless it is empty."""
        cohort = member.cohort
        del cohort.members[member.name]
        cohort.waiting.pop(member.name, None)
        cohort.plain -= not member.ratchets
        rooms = self._open[self._kind(member.ratchets)]
        if cohort.members:
            rooms.setdefault(cohort.number, cohort)
        else:
            rooms.pop(cohort.number, None)

    def close_all(self) -> None:
        """Forget all cohorts; their numbers never return."""
        for rooms in self._open.values():
            rooms.clear()

    def _kind(self, ratchets: bool) -> bool:
        return ratchets and self._book.settings.cohort_target != 0


def can_ratchet(cohort: Cohort) -> bool:
    """A step of the active key would let newcomers in."""
    key = cohort.active
    clean = key is not None and key.step < STEP_MAX and not key.tainted
    return clean and cohort.plain == 0 and not cohort.sealed


def attend(book: Book, cohort: Cohort, now: float) -> None:
    """See to those who wait: now, or when what is under way is over."""
    if not book.grouped or not cohort.waiting or cohort.state is not State.RESTING:
        return
    settings, key = book.settings, cohort.active
    if key is not None and (key.tainted or cohort.sealed):
        return  # a rekey is coming; it will take them along
    if can_ratchet(cohort):
        book.alarms.set_earlier(cohort.ratchet, now + settings.join_coalesce)
        return
    if key is None or cohort.plain == 0:
        soon = max(now + settings.join_coalesce, cohort.fired + settings.t_leave_min, cohort.retry_at)
        book.alarms.set_earlier(cohort.rekey, soon)
    elif len(cohort.waiting) > settings.promote_legs:
        rekeying.schedule(book, cohort, now)
    else:
        book.alarms.set_earlier(cohort.rekey, max(now + settings.promote_s, cohort.retry_at))


def collected(book: Book, cohort: Cohort, now: float) -> None:
    """Joins have been collected for long enough: one step for all of them, if one still helps."""
    if cohort.state is State.RESTING and cohort.waiting and cohort.active and can_ratchet(cohort):
        rekeying.ratchet(book, cohort, cohort.active, now)
    else:
        attend(book, cohort, now)


def is_needed(cohort: Cohort, now: float) -> bool:
    """A new key would serve something: the alarm may have been set for one who has left since."""
    key = cohort.active
    if key is None or key.tainted or cohort.sealed or now >= cohort.rotate_at:
        return True
    return bool(cohort.waiting) and not can_ratchet(cohort)
