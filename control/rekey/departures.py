"""Leaves: stop sending, bridge what is left, taint what the leaver holds, and decide how soon to rekey.

Knows: what a leave or an eviction costs in each state of a cohort. Must never know: who joins.

One who never was sent a key costs nothing. Otherwise its cohort goes on own keys in the same tick, if
the budget allows, and is rekeyed: for an eviction at once, else no sooner than `t_leave_min` after the
last time. That is a throttle on its leading edge, with a longest wait. A debounce, which waits for a
pause in the leaves, would starve at the end of a conference, when there is none (invariant I13).

While a new key is on its way: one who has not been sent it is left out of it, and that is all. One who
has been sent it taints it. It is activated none the less, and the next follows; but an eviction throws
it away and begins anew, at most twice in a row, so that a series of evictions cannot hold a switch up.
"""

from __future__ import annotations

from control.rekey import bridging, rekeying
from control.rekey.book import Book
from control.rekey.intentions import RemoveLeg
from control.rekey.records import Cohort, Generation, Leaver, Member
from control.rekey.states import State


def take_keys(cohort: Cohort, member: Member) -> tuple[Generation, ...]:
    """The keys of its cohort that a leaver holds, now tainted."""
    held = []
    for key in (cohort.active, cohort.pending):
        if key is not None and key.given.pop(member.name, None) is not None:
            key.acked.pop(member.name, None)
            key.tainted = True
            held.append(key)
    return tuple(held)


def remove_leg(book: Book, member: Member, held: tuple[Generation, ...], evict: bool, now: float) -> None:
    """Before anything else, the mixer stops sending; in the same tick it bridges the cohort, if that is wanted.

    In style `ssrc` a receiver has one key and cannot be bridged without silence: there the budget
    is for nothing, and the rekey alone covers a leave.
    """
    cohort = member.cohort
    asked = bool(held) and not cohort.all_bridged and book.style == "mki"
    bridge = asked and (cohort.failures > 0 or bridging.is_affordable(book, cohort))
    book.counts.unaffordable += asked and not bridge
    book.say(RemoveLeg(member.name, bridge))
    if not held:
        return
    if bridge or cohort.all_bridged:
        bridging.note_sealed(book, cohort, now)
    elif cohort.failures:
        bridging.seal(book, cohort, now)
    bridging.expose(book, cohort, Leaver(member.name, now, evict, held))


def respond(book: Book, cohort: Cohort, held: tuple[Generation, ...], evict: bool, now: float) -> None:
    """What the cohort does about keys that a leaver holds."""
    state = cohort.state
    if not held:
        return
    if state is State.RESTING:
        rekeying.schedule(book, cohort, now, urgent=evict)
    elif state is State.OBTAINING:
        cohort.hurried |= evict
    elif state is State.DELIVERING and evict and cohort.aborts < book.settings.aborts_max:
        rekeying.restart(book, cohort, now)
    else:
        cohort.urgent |= evict
        if state is State.DELIVERING:
            if evict:
                bridging.seal(book, cohort, now)
            rekeying.complete_if_done(book, cohort, now)
