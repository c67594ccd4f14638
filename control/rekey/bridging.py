"""Who is on an own key, and how long one who left can still listen.

Knows: the budget for bridges, and what ends an exposure. Must never know: why a cohort is rekeyed.

Every leg has its own key, so a cohort can leave its group key at any packet, without a message: it is
bridged. That ends what a leaver can decrypt at once, and costs one encryption a leg instead of one a
cohort until everybody has the next key. Nobody goes back under a group key that it has not
acknowledged (invariant I6), nor under one that someone who left has (I2): then the cohort is sealed.
"""

from __future__ import annotations

from collections.abc import Iterable

from control.rekey.book import Book
from control.rekey.intentions import Bridge, Exposure
from control.rekey.records import Cohort, Generation, Leaver


def begin_bridged(book: Book, cohort: Cohort, name: str) -> None:
    """A new leg is on its own key; the mixer begins it so."""
    cohort.bridged[name] = None
    book.bridged += 1


def forget(book: Book, cohort: Cohort, name: str) -> None:
    """A leg is no more."""
    if name in cohort.bridged:
        del cohort.bridged[name]
        book.bridged -= 1


def is_affordable(book: Book, cohort: Cohort) -> bool:
    """The budget has room for all of a cohort on own keys."""
    return book.bridged + len(cohort.members) - len(cohort.bridged) <= book.settings.bridge_max


def seal(book: Book, cohort: Cohort, now: float) -> None:
    """Put a whole cohort on own keys, whatever the cost, until a clean key is active."""
    if not cohort.all_bridged:
        book.say(Bridge(cohort.number, None, True))
    note_sealed(book, cohort, now)


def note_sealed(book: Book, cohort: Cohort, now: float) -> None:
    """A whole cohort is on own keys: it was, or the mixer has just been told so. All exposure ends."""
    if not cohort.all_bridged:
        book.bridged += len(cohort.members) - len(cohort.bridged)
        cohort.bridged = dict.fromkeys(cohort.members)
        book.counts.bridges += 1
    cohort.sealed = True
    for leaver in cohort.exposed:
        _end(book, cohort, leaver, now)
    cohort.exposed.clear()


def bridge(book: Book, cohort: Cohort, names: Iterable[str], now: float) -> None:
    """Put some members on own keys. If that is all, nobody who left can listen any more."""
    bridged = cohort.bridged
    named = tuple([name for name in names if name not in bridged])
    if named:
        book.say(Bridge(cohort.number, named, True))
        bridged.update(dict.fromkeys(named))
        book.bridged += len(named)
    if cohort.exposed and cohort.all_bridged:
        note_sealed(book, cohort, now)


def unbridge(book: Book, cohort: Cohort, names: Iterable[str]) -> None:
    """Take some members back under the active key. They have acknowledged it."""
    bridged = cohort.bridged
    named = tuple([name for name in names if name in bridged])
    if named:
        book.say(Bridge(cohort.number, named, False))
        for name in named:
            del bridged[name]
        book.bridged -= len(named)


def expose(book: Book, cohort: Cohort, leaver: Leaver) -> None:
    """One who holds a key has left: it can listen until the cohort is covered, or no longer already."""
    if cohort.sealed:
        _end(book, cohort, leaver, leaver.at)
    else:
        cohort.exposed.append(leaver)


def cover(book: Book, cohort: Cohort, active: Generation, now: float) -> None:
    """The cohort is under another key from now on: who does not have it is not exposed any more."""
    if cohort.exposed:
        still = [leaver for leaver in cohort.exposed if active in leaver.keys]
        for leaver in cohort.exposed:
            if active not in leaver.keys:
                _end(book, cohort, leaver, now)
        cohort.exposed = still


def dismiss(book: Book, cohort: Cohort) -> None:
    """The pending key was thrown away: who had only that one was never exposed."""
    if cohort.exposed:
        still = [leaver for leaver in cohort.exposed if cohort.active in leaver.keys]
        for leaver in cohort.exposed:
            if cohort.active not in leaver.keys:
                _end(book, cohort, leaver, leaver.at)
        cohort.exposed = still


def _end(book: Book, cohort: Cohort, leaver: Leaver, now: float) -> None:
    book.exposures.append(Exposure(leaver.name, cohort.number, now - leaver.at, leaver.evicted))
