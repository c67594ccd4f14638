"""A key on its way to members: sent, sent again, acknowledged, or given up.

Knows: when to repeat, whose word counts, who lags. Must never know: what is done once all have it.

A message is repeated three times before the deadline. Who has not acknowledged by then is a laggard: it
is on its own key, so nothing is lost, and the key is sent to it a few times more. After that the focus
is asked to decide (`Attention`). A laggard is not waited for again until it has acknowledged something:
one dead phone must not delay every rekey by a second. A late word counts whenever it comes.
"""

from __future__ import annotations

from collections.abc import Sequence

from control.rekey.book import Book, Ignored
from control.rekey.epochs import STEP_BITS, STEP_MAX
from control.rekey.intentions import Attention, Deliver
from control.rekey.ratchet import WINDOW
from control.rekey.records import Cohort, Delivery, Generation, Member

LAGGARD = "has not acknowledged a group key; it hears the conference under its own key"


def distribute(book: Book, cohort: Cohort, key: Generation, now: float) -> None:
    """Send the pending key to all who are members now (invariant I4), and to nobody who joins later."""
    cancel(cohort)
    members = cohort.members
    delivery = cohort.delivery = Delivery(cohort, key, dict(members))
    key.given = dict.fromkeys(members, 0)
    awaited = 0
    for member in members.values():
        member.delivery = delivery
        member.awaited = not member.lagging
        awaited += member.awaited
    key.awaited = awaited
    _send(book, delivery, tuple(members), now)


def hand_over(book: Book, cohort: Cohort, key: Generation, names: Sequence[str], now: float) -> None:
    """Send the active key to members who may have its present step: they were there before it was."""
    unacked = {name: cohort.members[name] for name in names}
    delivery = Delivery(cohort, key, unacked)
    cohort.joiners[delivery] = None
    for name, member in unacked.items():
        key.given.setdefault(name, key.step)
        member.delivery = delivery
    _send(book, delivery, tuple(unacked), now)


def _send(book: Book, delivery: Delivery, names: tuple[str, ...], now: float) -> None:
    settings = book.settings
    book.say(Deliver(delivery.cohort.number, delivery.key.epoch, names, 1))
    book.counts.deliveries += len(names)
    delivery.sent = now + len(names) * settings.delivery_s
    delivery.deadline = delivery.sent + (
        settings.ack_timeout_evict if delivery.cohort.hurried else settings.ack_timeout
    )
    _set_alarm(book, delivery, now)


def repeat(book: Book, delivery: Delivery, now: float) -> bool:
    """The alarm of a delivery rang. True if its deadline has just passed."""
    if not delivery.late and now >= delivery.deadline:
        delivery.late, delivery.lapsed = True, now
        for member in delivery.unacked.values():
            if not member.lagging:
                member.lagging = True
                member.lag_since = now
                book.laggards += 1
        _admonish(book, delivery, now)
        _set_alarm(book, delivery, now)
        return True
    if delivery.late:
        _admonish(book, delivery, now)
    names = tuple([name for name, member in delivery.unacked.items() if not member.told])
    if names:
        delivery.attempt += 1
        book.say(Deliver(delivery.cohort.number, delivery.key.epoch, names, delivery.attempt))
        book.counts.retransmissions += len(names)
        _set_alarm(book, delivery, now)
    elif not delivery.late:
        _set_alarm(book, delivery, now)
    return False


def _set_alarm(book: Book, delivery: Delivery, now: float) -> None:
    """Next: another message, or the deadline; after it, now and then another message until all were told."""
    settings = book.settings
    if delivery.late:
        give_up = delivery.lapsed + settings.laggard_time
        when = now + settings.laggard_retry
        book.alarms.set(delivery.alarm, min(when, give_up) if now < give_up else when)
        return
    when = delivery.deadline
    for offset in settings.retransmit:
        if now < delivery.sent + offset:
            when = min(when, delivery.sent + offset)
            break
    book.alarms.set(delivery.alarm, when)


def _admonish(book: Book, delivery: Delivery, now: float) -> None:
    patience = book.settings.laggard_time
    for name, member in delivery.unacked.items():
        if member.lagging and not member.told and now >= member.lag_since + patience:
            member.told = True
            book.counts.attentions += 1
            book.say(Attention(name, LAGGARD))


def acknowledge(book: Book, member: Member, epoch: int) -> Generation | None:
    """The key that a member says it has; None, and counted, if that word tells nothing."""
    name, number, step = member.name, epoch >> STEP_BITS, epoch & STEP_MAX
    cohort = member.cohort
    key = cohort.pending
    if key is None or key.number != number:
        key = cohort.active
        if key is None or key.number != number:
            _ignore_other(book, cohort, number)
            return None
    first = key.given.get(name)
    if first is None or not first <= step <= key.step:
        book.ignore(Ignored.UNKNOWN_EPOCH)
        return None
    if name in key.acked:
        book.ignore(Ignored.REPEATED)
        return None
    if key.step - step > WINDOW:
        book.ignore(Ignored.BEHIND)
        return None
    key.acked[name] = None
    book.counts.acks += 1
    _settle(book, member, key)
    return key


def _ignore_other(book: Book, cohort: Cohort, number: int) -> None:
    if number in cohort.aborted:
        book.ignore(Ignored.ABORTED_EPOCH)
    elif cohort.active is not None and 0 < number < cohort.active.number:
        book.ignore(Ignored.SUPERSEDED_EPOCH)
    else:
        book.ignore(Ignored.UNKNOWN_EPOCH)


def _settle(book: Book, member: Member, key: Generation) -> None:
    """A member has spoken: it is not waited for, sent to, or held a laggard any more."""
    if member.lagging:
        member.lagging = member.told = False
        book.laggards -= 1
    delivery = member.delivery
    if delivery is not None and delivery.key is key:
        _strike(member, delivery)


def forget(book: Book, member: Member) -> None:
    """A member has left."""
    if member.lagging:
        book.laggards -= 1
    if member.delivery is not None:
        _strike(member, member.delivery)


def absolve(book: Book, cohort: Cohort) -> None:
    """There is no key any more that a member of the cohort could owe a word about."""
    for member in cohort.members.values():
        if member.lagging:
            member.lagging = member.told = False
            book.laggards -= 1


def doubt(cohort: Cohort, active: Generation, dropped: Generation) -> None:
    """A key was thrown away that members with room for one may have taken in place of the active one."""
    for name in dropped.given:
        member = cohort.members.get(name)
        if member is not None and member.one_key:
            active.acked.pop(name, None)


def _strike(member: Member, delivery: Delivery) -> None:
    member.delivery = None
    delivery.unacked.pop(member.name, None)
    if member.awaited:
        member.awaited = False
        delivery.key.awaited -= 1
    if not delivery.unacked:
        delivery.alarm.unset()
        delivery.cohort.joiners.pop(delivery, None)


def cancel(cohort: Cohort) -> None:
    """Send nothing of what is under way again. Late acknowledgements still count."""
    if cohort.delivery is not None:
        cohort.delivery.alarm.unset()
        cohort.delivery = None
    for delivery in cohort.joiners:
        delivery.alarm.unset()
    cohort.joiners.clear()
