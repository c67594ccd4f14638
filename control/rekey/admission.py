"""Joins: which cohort, and how a newcomer gets the group key without costing the others a message.

Knows: where there is room, and what newcomers wait for. Must never know: who leaves.

A newcomer begins on its own key, so it can decrypt nothing that was sent before (invariant I3, slack
0). If all of its cohort can ratchet, the joins of a tenth of a second share one step: the mixer takes
it first, the newcomers are sent it after, and the others follow by the MKI. Otherwise newcomers wait
for the next epoch; if too many wait, or for too long, there is one for their sake. A cohort without a
key has nobody to disturb: it gets its first one at once.

With `admission: current`, newcomers who cannot ratchet are not kept waiting: they get the key in use at once, in the
signalling by which they come (`offered`), or by a message. They can decrypt what was sent since it came into use.

Members who can ratchet and who cannot are kept apart, because one who cannot stops the ratchet for all.
Cohorts are never merged, since a leg cannot change its cohort: a newcomer fills a gap instead.
"""

from __future__ import annotations

from typing import TypeAlias

from control.rekey import bridging, delivering, rekeying
from control.rekey.book import Book
from control.rekey.epochs import STEP_MAX, generation_of, step_of
from control.rekey.intentions import AddLeg
from control.rekey.records import Cohort, Member
from control.rekey.states import State

Holding: TypeAlias = tuple[int, int]
"""Cohort and epoch of a key that a newcomer was told in the signalling."""


class Rooms:
    """Which cohorts take newcomers."""

    __slots__ = ("_book", "_next", "_open")

    def __init__(self, book: Book) -> None:
        self._book = book
        self._next = 0
        self._open: dict[bool, dict[int, Cohort]] = {False: {}, True: {}}

    def place(self, name: str, ratchets: bool, one_key: bool, holding: Holding | None) -> Member:
        """Give a newcomer a place, in a cohort with room or a new one; on its own key, unless it has the cohort's."""
        told = self._told(holding)
        if holding is not None and told is not None:
            welcome = is_quiet(told) and holding == _key_of(told)
            self._book.say(AddLeg(name, told.number, not welcome))
            member = self._enter(told, name, False, one_key)
            _note_held(self._book, member, holding, welcome)
            return member
        ratchets = ratchets and self._book.style == "mki"
        cohort = self._roomy(ratchets)
        self._book.say(AddLeg(name, cohort.number))
        return self._enter(cohort, name, ratchets, one_key)

    def _told(self, holding: Holding | None) -> Cohort | None:
        """The cohort whose key a newcomer was told, if it is in use: there it must be, be there room or not."""
        cohort = self._book.cohorts.get(holding[0]) if holding is not None else None
        if cohort is None or cohort.active is None or holding is None:
            return None
        return cohort if cohort.active.number == generation_of(holding[1]) else None

    def _roomy(self, ratchets: bool) -> Cohort:
        rooms = self._open[self._kind(ratchets)]
        cohort = next(iter(rooms.values()), None)
        if cohort is None:
            cohort = rooms[self._next] = self._book.cohorts[self._next] = Cohort(self._next)
            self._next += 1
        return cohort

    def offered(self) -> Holding | None:
        """A key in use, of a cohort with room, that one may be told who is about to join and cannot ratchet.

        None while the next is delivered: who is told this one then is not sent that, and would miss the switch.
        """
        if self._book.settings.admission != "current" or not self._book.grouped:
            return None
        rooms = self._open[False].values()
        ready = (cohort for cohort in rooms if is_quiet(cohort) and cohort.state is not State.DELIVERING)
        return next(map(_key_of, ready), None)

    def adopt(self, name: str, ratchets: bool, one_key: bool, number: int) -> Member:
        """A member whose leg the mixer has already: it stays in its cohort, on its own key."""
        ratchets = ratchets and self._book.style == "mki"
        cohort = self._book.cohorts.get(number)
        if cohort is None:
            cohort = self._book.cohorts[number] = Cohort(number)
            self._open[self._kind(ratchets)][number] = cohort
            self._next = max(self._next, number + 1)
        return self._enter(cohort, name, ratchets, one_key)

    def _enter(self, cohort: Cohort, name: str, ratchets: bool, one_key: bool) -> Member:
        member = cohort.members[name] = self._book.members[name] = Member(name, ratchets, one_key, cohort)
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
        if not cohort.members:
            rooms.pop(cohort.number, None)
        elif len(cohort.members) < self._book.settings.room:
            rooms[cohort.number] = cohort

    def close_all(self) -> None:
        """Forget all cohorts; their numbers never return."""
        for rooms in self._open.values():
            rooms.clear()

    def _kind(self, ratchets: bool) -> bool:
        return ratchets and self._book.settings.cohort_target != 0


def is_quiet(cohort: Cohort) -> bool:
    """There is a key in use that nobody who left has, and the mixer has not been told to use another."""
    key = cohort.active
    clean = key is not None and not key.tainted and not cohort.sealed
    return clean and cohort.state not in {State.ACTIVATING, State.RATCHETING}


def _key_of(cohort: Cohort) -> Holding | None:
    return (cohort.number, cohort.active.epoch) if cohort.active is not None else None


def _note_held(book: Book, member: Member, holding: Holding, welcome: bool) -> None:
    """It has the key in use, whatever becomes of that; it hears it unless another is about to follow."""
    cohort, name, key = member.cohort, member.name, member.cohort.active
    if key is None:
        return
    key.given[name] = step_of(holding[1])
    if welcome:
        key.acked[name] = None
        del cohort.waiting[name]
        bridging.forget(book, cohort, name)


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
    if key is not None and cohort.plain and settings.admission == "current":
        names = tuple(cohort.waiting)
        cohort.waiting.clear()
        delivering.hand_over(book, cohort, key, names, now)
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
