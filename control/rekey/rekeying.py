"""The way of a new key: asked for, delivered, activated; and all the ways in which it may not get there.

Knows: in which order a cohort changes its key. Must never know: who joins or leaves, or how often.

The order is that of the table in `cohort`. Who has not acknowledged is put on its own key before the
mixer switches, and who has is taken back after (invariant I6). A key that someone who left was sent is
tainted: it is activated none the less, for it rids the cohort of those who left before, and another
follows. If the KMS fails, a cohort with a tainted key goes on own keys and waits; no key is ever used
again, and none is made up here.
"""

from __future__ import annotations

from typing import Final

from control.rekey import bridging, delivering
from control.rekey.book import Book
from control.rekey.intentions import Abort, Activate, Obtain, Ratchet, Retire
from control.rekey.records import NEVER, Cohort, Generation
from control.rekey.states import Move, State

SPREAD: Final = 0.25
"""Share of a key's life by which rotations are spread."""
GOLDEN: Final = 0.618033988749895
"""Multiples of it, modulo 1, lie evenly however many there are."""


def schedule(book: Book, cohort: Cohort, now: float, *, urgent: bool = False) -> None:
    """Rekey a resting cohort as soon as it may be: at once, or when the last rekey is long enough ago."""
    cohort.urgent |= urgent
    at = now if urgent else max(now, cohort.fired + book.closing.pause(now))
    at = max(at, cohort.retry_at)
    if at <= now:
        begin(book, cohort, now)
    else:
        book.alarms.set_earlier(cohort.rekey, at)


def begin(book: Book, cohort: Cohort, now: float) -> None:
    """Ask for a new key. If the numbers are used up, the cohort stays on own keys."""
    number = book.next_generation()
    if number is None:
        book.counts.failures += 1
        retire(book, cohort, now)
        return
    cohort.move(Move.BEGIN)
    cohort.hurried, cohort.urgent = cohort.urgent, False
    _obtain(book, cohort, number, now)


def restart(book: Book, cohort: Cohort, now: float) -> None:
    """Someone was evicted who has been sent the pending key: throw it away, ask for another."""
    number = book.next_generation()
    if number is None:
        retire(book, cohort, now)
        return
    cohort.move(Move.RESTART)
    _throw_away(book, cohort, tell=True)
    cohort.aborts += 1
    book.counts.aborts += 1
    cohort.hurried, cohort.urgent = True, False
    _obtain(book, cohort, number, now)


def _obtain(book: Book, cohort: Cohort, number: int, now: float) -> None:
    cohort.fired = now
    cohort.pending = Generation(number)
    cohort.rekey.unset()
    cohort.ratchet.unset()
    book.counts.rekeys += 1
    book.say(Obtain(cohort.number, cohort.pending.epoch))
    book.alarms.set(cohort.answer, now + book.settings.answer_timeout)


def ready(book: Book, cohort: Cohort, key: Generation, now: float) -> None:
    """The mixer holds the pending key: send it to the members."""
    cohort.move(Move.READY)
    cohort.answer.unset()
    delivering.distribute(book, cohort, key, now)
    complete_if_done(book, cohort, now)


def complete_if_done(book: Book, cohort: Cohort, now: float) -> None:
    """Switch if nobody is waited for any more."""
    if cohort.state is State.DELIVERING and cohort.pending is not None and cohort.pending.awaited == 0:
        complete(book, cohort, cohort.pending, now)


def complete(book: Book, cohort: Cohort, key: Generation, now: float) -> None:
    """All have acknowledged the pending key, or have had their time: switch without the rest."""
    cohort.move(Move.COMPLETE)
    bridging.bridge(book, cohort, [name for name in cohort.members if name not in key.acked], now)
    book.say(Activate(cohort.number, key.epoch))
    book.alarms.set(cohort.answer, now + book.settings.answer_timeout)


def ratchet(book: Book, cohort: Cohort, key: Generation, now: float) -> None:
    """Have the mixer go one step on, for those who wait now."""
    cohort.move(Move.RATCHET)
    cohort.batch = tuple(cohort.waiting)
    book.say(Ratchet(cohort.number, key.epoch + 1))
    book.alarms.set(cohort.answer, now + book.settings.answer_timeout)


def switched(book: Book, cohort: Cohort, now: float) -> None:
    """The mixer uses the pending key, or the next step of the active one."""
    key = cohort.pending
    cohort.move(Move.SWITCHED)
    cohort.answer.unset()
    if key is not None:
        _take_over(book, cohort, key, now)
    elif cohort.active is not None:
        _step_on(book, cohort, cohort.active, now)
    if cohort.retiring:
        retire(book, cohort, now)
    elif cohort.sealed or (cohort.active is not None and cohort.active.tainted):
        schedule(book, cohort, now, urgent=cohort.urgent)
    else:
        book.alarms.set_earlier(cohort.rekey, cohort.rotate_at)


def _take_over(book: Book, cohort: Cohort, key: Generation, now: float) -> None:
    cohort.active, cohort.pending = key, None
    cohort.waiting = {name: None for name in cohort.members if name not in key.given}
    cohort.aborts = cohort.failures = 0
    cohort.hurried = False
    cohort.retry_at = NEVER
    cohort.aborted.clear()
    cohort.rotate_at = now + book.settings.epoch_max_age * (1 - SPREAD * (cohort.number * GOLDEN % 1))
    book.counts.epochs += 1
    bridging.cover(book, cohort, key, now)
    if not key.tainted and not cohort.retiring:
        cohort.sealed = False
        bridging.unbridge(book, cohort, key.acked)


def _step_on(book: Book, cohort: Cohort, key: Generation, now: float) -> None:
    """Only now may those who joined before have the step: nothing was sent under it that they may not hear."""
    key.step += 1
    book.counts.ratchets += 1
    batch = [name for name in cohort.batch if name in cohort.waiting]
    cohort.batch = ()
    if batch and not key.tainted and not cohort.retiring:
        for name in batch:
            del cohort.waiting[name]
        delivering.hand_over(book, cohort, key, batch, now)


def under_way(cohort: Cohort) -> int | None:
    """The epoch that the KMS or the mixer is to answer for."""
    if cohort.pending is not None:
        return cohort.pending.epoch
    if cohort.state is State.RATCHETING and cohort.active is not None:
        return cohort.active.epoch + 1
    return None


def failed(book: Book, cohort: Cohort, now: float, *, tell: bool) -> None:
    """The KMS or the mixer would not. `tell` the mixer to throw away what it may hold."""
    unsure = cohort.state in {State.ACTIVATING, State.RATCHETING}  # which key is in use: nobody stays under any
    cut_short = cohort.pending is not None
    tell = tell or cohort.state in {State.DELIVERING, State.ACTIVATING}
    cohort.move(Move.FAILED)
    cohort.answer.unset()
    cohort.hurried = False
    if unsure or (cohort.active is not None and cohort.active.tainted):
        bridging.seal(book, cohort, now)
    _throw_away(book, cohort, tell=tell)
    cohort.failures += 1
    book.counts.failures += 1
    settings = book.settings
    wait = min(settings.backoff_max, settings.backoff_min * 2.0 ** min(cohort.failures - 1, 32))
    cohort.retry_at = now + wait
    if not cohort.sealed and cut_short and cohort.active is not None:
        _resend(book, cohort, cohort.active, now)
    if cohort.retiring:
        retire(book, cohort, now)
    else:
        book.alarms.set_earlier(cohort.rekey, cohort.retry_at)


def _resend(book: Book, cohort: Cohort, key: Generation, now: float) -> None:
    """The new key ended the deliveries of the active one, and did not come: go on with them."""
    owing = [name for name in key.given if name not in key.acked]
    if owing:
        delivering.hand_over(book, cohort, key, owing, now)


def lost(book: Book, cohort: Cohort, now: float) -> None:
    """The mixer has destroyed the active key, as it does at a hard age: the cohort is on own keys already."""
    bridging.seal(book, cohort, now)
    book.counts.failures += 1
    if cohort.state is State.RESTING:
        schedule(book, cohort, now)


def retire(book: Book, cohort: Cohort, now: float) -> None:
    """No group key is wanted: own keys at once, and no key is kept, as soon as the mixer has answered."""
    bridging.seal(book, cohort, now)
    delivering.cancel(cohort)
    if cohort.state in {State.ACTIVATING, State.RATCHETING}:
        cohort.retiring = True
        return
    cohort.move(Move.ABANDON)
    _throw_away(book, cohort, tell=True)
    if cohort.active is not None:
        book.say(Retire(cohort.number, cohort.active.epoch))
    delivering.absolve(book, cohort)
    cohort.active = None
    cohort.waiting = dict.fromkeys(cohort.members)
    cohort.sealed = cohort.retiring = cohort.urgent = False
    for alarm in (cohort.rekey, cohort.ratchet, cohort.answer):
        alarm.unset()


def _throw_away(book: Book, cohort: Cohort, *, tell: bool) -> None:
    key = cohort.pending
    if key is None:
        return
    cohort.pending = None
    cohort.aborted.append(key.number)
    delivering.cancel(cohort)
    if cohort.active is not None:
        delivering.doubt(cohort, cohort.active, key)
    bridging.dismiss(book, cohort)
    if tell:
        book.say(Abort(cohort.number, key.epoch))
