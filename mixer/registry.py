"""The SSRC registry: no two live SSRCs of a conference are equal (invariant I11).

The seed demands that the conference system enforce it. So the mixer allocates its own SSRCs, unique in
all its conferences; what endpoints use is claimed for them, by declaration or by their first authentic
packet, and a second claimant is refused. As long as a conference lives, no SSRC that was ever ours or
anybody's in it is issued again: under a shared key that would be keystream reuse.
"""

from __future__ import annotations

import secrets
from collections import defaultdict


class SsrcRegistry:
    """Owners of SSRCs. Conferences and legs are named by their rows."""

    def __init__(self) -> None:
        self._ours: set[int] = set()
        self._claims: dict[tuple[int, int], int] = {}
        self._issued_in: defaultdict[int, set[int]] = defaultdict(set)
        self._claimed_in: defaultdict[int, set[int]] = defaultdict(set)

    def allocate(self, conference: int) -> int:
        """A fresh SSRC for a stream of ours: random, not 0, not seen in this conference."""
        while True:
            ssrc = secrets.randbits(32)
            if ssrc and ssrc not in self._ours and ssrc not in self._claimed_in[conference]:
                self._ours.add(ssrc)
                self._issued_in[conference].add(ssrc)
                return ssrc

    def is_ours(self, ssrc: int) -> bool:
        """True if we send or sent under this SSRC in a conference that lives."""
        return ssrc in self._ours

    def owner(self, conference: int, ssrc: int) -> int:
        """The leg that holds a claim, or -1."""
        return self._claims.get((conference, ssrc), -1)

    def claim(self, conference: int, ssrc: int, leg: int) -> bool:
        """Claim an SSRC for a leg. False, and nothing changed, if somebody else has it."""
        if ssrc in self._ours or self._claims.setdefault((conference, ssrc), leg) != leg:
            return False
        self._claimed_in[conference].add(ssrc)
        return True

    def release(self, conference: int, ssrc: int, leg: int) -> None:
        """Give a claim back, if it is this leg's."""
        if self._claims.get((conference, ssrc)) == leg:
            del self._claims[conference, ssrc]

    def forget(self, conference: int) -> None:
        """A conference is over, its keys with it."""
        self._ours -= self._issued_in.pop(conference, set())
        self._claimed_in.pop(conference, None)
