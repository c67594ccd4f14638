"""Each authentic message is acted on once; a repetition gets the answer it got (RFC 3830 section 5.4).

Knows digests, times and answers; must never know what was asked. Only authentic messages are kept, so
no stranger can fill the memory; and of each peer only so many.
"""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from dataclasses import dataclass

from control.mikey.errors import Refused, Replayed


@dataclass(frozen=True, slots=True)
class _Entry:
    peer: str
    expires: int
    answer: bytes


class ReplayCache:
    """Messages of the last while, by their digest. Times are seconds of any epoch, the same everywhere."""

    def __init__(self, skew_s: int, per_peer: int) -> None:
        """`skew_s`: how far the clocks of peers may be off, either way. `per_peer`: messages kept of one peer."""
        self._skew_s = skew_s
        self._per_peer = per_peer
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._count: Counter[str] = Counter()

    def recall(self, octets: bytes, now: int) -> bytes | None:
        """The answer that this very message got before, if it is still remembered."""
        self._expire(now)
        entry = self._entries.get(_digest(octets))
        return None if entry is None else entry.answer

    def check(self, peer: str, stamp: int, now: int) -> None:
        """Whether a message that `recall` does not know may be new.

        Raises:
            Replayed: if its time is too far from now for it not to have been forgotten.
            Refused: if the peer has said too much.
        """
        if abs(stamp - now) > self._skew_s:
            raise Replayed(f"the timestamp is more than {self._skew_s} s off")
        if self._count[peer] >= self._per_peer:
            raise Refused(f"more than {self._per_peer} messages within {2 * self._skew_s} s")

    def remember(self, peer: str, octets: bytes, answer: bytes, now: int) -> None:
        """Keep a message that was acted on for as long as its time could still pass `check`."""
        self._entries[_digest(octets)] = _Entry(peer, now + 2 * self._skew_s, answer)
        self._count[peer] += 1

    def _expire(self, now: int) -> None:
        while self._entries:
            digest, entry = next(iter(self._entries.items()))
            if entry.expires >= now:
                return
            del self._entries[digest]
            self._count[entry.peer] -= 1
            if not self._count[entry.peer]:
                del self._count[entry.peer]


def _digest(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()
