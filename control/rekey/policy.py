"""The rekey policy of one conference: who is to have which key, and when. Sans-IO, on a virtual clock.

Knows: members and modes; it hands every event to the module that knows its rule. Must never know: keys,
sockets, clocks, the mixer.

The contract: call an input with the time; then drain `intentions()` and carry them out in order; then
call `advance` at the time that `due()` tells. Time is in seconds and never runs backwards. Inputs that
come too late, twice or from nowhere change nothing and are counted. The work for one event depends on
the size of one cohort, never on that of the conference.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeAlias

from control.rekey import admission, bridging, delivering, departures, rekeying
from control.rekey.book import Book, Facts, Ignored
from control.rekey.epochs import generation_of
from control.rekey.intentions import Abort, Exposure, Intention
from control.rekey.records import Alarm, Cohort, Kind
from control.rekey.settings import Mode, RekeySettings, Style
from control.rekey.states import Move, State

Keying: TypeAlias = Literal["group", "own"]


class Present(NamedTuple):
    """A member whose leg the mixer has already."""

    name: str
    ratchets: bool
    cohort: int
    """That the mixer has its leg in."""
    one_key: bool = False


class Policy:
    """One conference.

    Args:
        settings: every knob.
        style: how receivers tell keys apart. `mki`: by the MKI, they hold several. `ssrc`: they hold
            one, so there is no ratchet, and a bridge is silence.
    """

    __slots__ = ("_book", "_rooms")

    def __init__(self, settings: RekeySettings, *, style: Style = "mki") -> None:
        self._book = Book(settings, style)
        self._rooms = admission.Rooms(self._book)
        self._book.grouped = self._wanted() == "group"

    # -----------------------------------------------------------------------------------------
    # Members

    def join(
        self,
        member: str,
        *,
        ratchets: bool,
        now: float,
        one_key: bool = False,
        holding: admission.Holding | None = None,
    ) -> None:
        """A member came.

        Args:
            ratchets: it can derive the next step of a key (`control.rekey.ratchet`).
            one_key: it forgets a key when it takes another.
            holding: a key that it was told already, as `offered`.
        """
        book = self._book
        if member in book.members:
            book.ignore(Ignored.DUPLICATE_JOIN)
            return
        book.counts.joins += 1
        placed = self._rooms.place(member, ratchets, one_key, holding)
        book.closing.grown(len(book.members))
        if not book.grouped and self._wanted() == "group":
            self._change_to_group(now)
        else:
            admission.attend(book, placed.cohort, now)

    def leave(self, member: str, *, evict: bool = False, now: float) -> None:
        """A member left, or was made to. Its name may come back: as a stranger."""
        book = self._book
        left = book.members.pop(member, None)
        if left is None:
            book.ignore(Ignored.UNKNOWN_LEAVE)
            return
        book.counts.leaves += 1
        book.counts.evictions += evict
        book.closing.left(now)
        cohort = left.cohort
        self._rooms.clear(left)
        bridging.forget(book, cohort, member)
        delivering.forget(book, left)
        held = departures.take_keys(cohort, left)
        departures.remove_leg(book, left, held, evict, now)
        if book.grouped and self._wanted() == "unique":
            self._change_to_unique(now)
        if not cohort.members:
            self._dissolve(cohort, now)
        elif book.grouped:
            departures.respond(book, cohort, held, evict, now)

    def acked(self, member: str, epoch: int, now: float) -> bool:
        """A member says that it has a key. False if that tells nothing: see `Ignored`."""
        book = self._book
        known = book.members.get(member)
        if known is None:
            return book.ignore(Ignored.NOT_MEMBER)
        key = delivering.acknowledge(book, known, epoch)
        if key is None:
            return False
        cohort = known.cohort
        if key is cohort.pending:
            rekeying.complete_if_done(book, cohort, now)
        elif cohort.state is not State.ACTIVATING and not cohort.sealed and not key.tainted:
            # While the mixer switches, a late word about the key before is of no use: the next would be sent at once.
            bridging.unbridge(book, cohort, (member,))
        return True

    def closing(self, now: float) -> None:
        """The conference ends: rekey less often, and in mode `auto` never change to group keys again."""
        self._book.closing.told = True

    def resume(self, highest_generation: int, members: Iterable[Present], now: float) -> None:
        """The focus or the mixer has restarted: everybody on own keys, and one rekey of every cohort.

        A mixer that lived on must first forget all group keys of the conference, for nobody is left who knows
        who holds them.

        Args:
            highest_generation: that anybody has seen; what follows is above it.
            members: who is in the conference now. They stay in their cohorts; nothing is said of them.
        """
        book = self._book
        for cohort in book.cohorts.values():
            bridging.note_sealed(book, cohort, now)
        book.alarms.clear()
        book.members.clear()
        book.cohorts.clear()
        self._rooms.close_all()
        book.bridged = book.laggards = 0
        book.generation = max(book.generation, highest_generation)
        for name, ratchets, number, one_key in members:
            if name in book.members:
                book.ignore(Ignored.DUPLICATE_JOIN)
            else:
                self._rooms.adopt(name, ratchets, one_key, number)
        book.closing.grown(len(book.members))
        book.grouped = self._wanted() == "group"
        if book.grouped:
            self._change_to_group(now)

    # -----------------------------------------------------------------------------------------
    # Answers

    def key_ready(self, cohort: int, epoch: int, now: float) -> None:
        """The KMS has made a key and the mixer holds it. One that nobody wants any more is aborted."""
        book = self._book
        known = book.cohorts.get(cohort)
        key = known.pending if known is not None else None
        if known is None or key is None or key.epoch != epoch:
            book.ignore(Ignored.STRAY_ANSWER)
            if known is None or known.active is None or known.active.number != generation_of(epoch):
                book.say(Abort(cohort, epoch))
        elif known.state is State.OBTAINING:
            rekeying.ready(book, known, key, now)
        else:
            book.ignore(Ignored.STRAY_ANSWER)

    def key_failed(self, cohort: int, epoch: int, now: float) -> None:
        """The KMS or the mixer would not. For an active epoch: the mixer has destroyed it, for its age."""
        book = self._book
        known = book.cohorts.get(cohort)
        if known is not None and rekeying.under_way(known) == epoch:
            rekeying.failed(book, known, now, tell=False)
            self._after(known, now)
        elif known is not None and known.active is not None and known.active.epoch == epoch:
            rekeying.lost(book, known, now)
        else:
            book.ignore(Ignored.STRAY_ANSWER)

    def switched(self, cohort: int, epoch: int, now: float) -> None:
        """The mixer uses an epoch from now on."""
        book = self._book
        known = book.cohorts.get(cohort)
        awaited = known is not None and known.state in {State.ACTIVATING, State.RATCHETING}
        if known is None or not awaited or rekeying.under_way(known) != epoch:
            book.ignore(Ignored.STRAY_ANSWER)
            return
        rekeying.switched(book, known, now)
        self._after(known, now)

    # -----------------------------------------------------------------------------------------
    # Time

    def due(self) -> float | None:
        """When to call `advance` next; None if there is nothing to wait for."""
        return self._book.alarms.due()

    def advance(self, now: float) -> None:
        """Do what is due by now."""
        alarms = self._book.alarms
        while (alarm := alarms.pop(now)) is not None:
            self._ring(alarm, now)

    def _ring(self, alarm: Alarm, now: float) -> None:
        book, cohort = self._book, alarm.cohort
        if alarm.kind is Kind.REPEAT:
            lapsed = alarm.delivery is not None and delivering.repeat(book, alarm.delivery, now)
            if lapsed and cohort.state is State.DELIVERING and cohort.pending is not None:
                rekeying.complete(book, cohort, cohort.pending, now)
        elif alarm.kind is Kind.ANSWER:
            rekeying.failed(book, cohort, now, tell=True)
            self._after(cohort, now)
        elif alarm.kind is Kind.RATCHET:
            admission.collected(book, cohort, now)
        elif cohort.state is State.RESTING:
            if admission.is_needed(cohort, now):
                rekeying.begin(book, cohort, now)
            else:
                book.alarms.set(cohort.rekey, cohort.rotate_at)

    # -----------------------------------------------------------------------------------------
    # Results

    def intentions(self) -> list[Intention]:
        """What is to be done, in order, since the last call."""
        return self._book.drain()

    def exposures(self) -> list[Exposure]:
        """How long those who held a key could still listen after they left, as far as it is known; drained."""
        drained, self._book.exposures = self._book.exposures, []
        return drained

    def offered(self) -> admission.Holding | None:
        """Cohort and epoch of a key that may be told to one who is about to join, if there is such a key."""
        return self._rooms.offered()

    @property
    def grouped(self) -> bool:
        """Group keys are wanted."""
        return self._book.grouped

    def keying_of(self, member: str) -> Keying:
        """What a member hears under."""
        known = self._book.members.get(member)
        if known is None or member in known.cohort.bridged or known.cohort.active is None:
            return "own"
        return "group"

    def facts(self, now: float) -> Facts:
        """The state in numbers, for metrics."""
        return self._book.facts(now)

    # -----------------------------------------------------------------------------------------
    # Modes

    def _wanted(self) -> Mode:
        settings, size = self._book.settings, len(self._book.members)
        if settings.mode == "unique" or settings.cohort_target == 1:
            return "unique"
        if settings.mode == "group":
            return "group"
        if self._book.grouped:
            return "group" if size >= settings.n_group_off else "unique"
        return "group" if size >= settings.n_group_on and not self._book.closing.told else "unique"

    def _change_to_group(self, now: float) -> None:
        self._book.grouped = True
        for cohort in self._book.cohorts.values():
            if cohort.state is State.RESTING:
                rekeying.schedule(self._book, cohort, now)

    def _change_to_unique(self, now: float) -> None:
        self._book.grouped = False
        for cohort in self._book.cohorts.values():
            rekeying.retire(self._book, cohort, now)

    def _after(self, cohort: Cohort, now: float) -> None:
        """The mixer or the KMS has answered: see to what had to wait for that."""
        if not cohort.members:
            self._dissolve(cohort, now)
        else:
            admission.attend(self._book, cohort, now)

    def _dissolve(self, cohort: Cohort, now: float) -> None:
        """The last member has left: destroy its keys, and forget it once the mixer has answered."""
        if cohort.active is not None or cohort.pending is not None:
            rekeying.retire(self._book, cohort, now)
        if not cohort.retiring:
            cohort.move(Move.EMPTIED)
            del self._book.cohorts[cohort.number]
            for alarm in (cohort.rekey, cohort.ratchet, cohort.answer):
                alarm.unset()
