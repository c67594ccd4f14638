"""How many transactions there may be: in all, and from one source. Knows only counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds, each for all and for one source."""

    transactions: int = 20000
    transactions_each: int = 10000
    pending: int = 2000
    pending_each: int = 500


class Admission:
    """Counts what lives. A source is an IP address."""

    __slots__ = ("_alive", "_limits", "_pending", "alive", "pending", "refused")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._alive: Counter[str] = Counter()
        self._pending: Counter[str] = Counter()
        self.alive = 0
        self.pending = 0
        self.refused = 0

    @property
    def sources(self) -> int:
        """How many are known: those of whom something lives."""
        return len(self._alive.keys() | self._pending.keys())

    @property
    def crowded(self) -> bool:
        """Half of all that there may be is there."""
        return 2 * self.alive > self._limits.transactions

    def admit(self, source: str, *, pending: bool) -> bool:
        """Room for one more transaction? Then it is counted. `pending`: it is an INVITE."""
        limits = self._limits
        full = self.alive >= limits.transactions or self._alive[source] >= limits.transactions_each
        if pending:
            full = full or self.pending >= limits.pending or self._pending[source] >= limits.pending_each
        if full:
            self.refused += 1
            return False
        self._alive[source] += 1
        self.alive += 1
        if pending:  # only then: an entry for each source that ever asked would never go
            self._pending[source] += 1
            self.pending += 1
        return True

    def answered(self, source: str) -> None:
        """An INVITE pends no more."""
        self.pending -= 1
        _less(self._pending, source)

    def forgotten(self, source: str) -> None:
        """A transaction is over."""
        self.alive -= 1
        _less(self._alive, source)


def _less(counter: Counter[str], source: str) -> None:
    counter[source] -= 1
    if counter[source] <= 0:
        del counter[source]
