"""The SSRC registry: no two live SSRCs of a conference are equal (invariant I11).

The seed demands that the conference system enforce it. So the mixer allocates its own SSRCs and never
issues one twice in its life; what endpoints use is claimed for them, by declaration or by their first
authentic packet, and a second claimant is refused. An SSRC that was ever ours under a group key, or
ever claimed in a conference, is not issued again: under a shared key that would be keystream reuse.
"""

from __future__ import annotations

import secrets


class SsrcRegistry:
    """Owners of SSRCs: claims of legs by conference, and the mixer's own, which are unique everywhere."""

    def __init__(self) -> None:
        self._issued: set[int] = set()
        self._claims: dict[tuple[int, int], int] = {}
        self._ever_claimed: set[int] = set()

    def allocate(self) -> int:
        """A fresh SSRC for a stream of ours: random, not 0, never seen before."""
        while True:
            ssrc = secrets.randbits(32)
            if ssrc and ssrc not in self._issued and ssrc not in self._ever_claimed:
                self._issued.add(ssrc)
                return ssrc

    def is_ours(self, ssrc: int) -> bool:
        """True if we send or ever sent under this SSRC."""
        return ssrc in self._issued

    def owner(self, conference: int, ssrc: int) -> int:
        """The leg row that holds a claim, or -1."""
        return self._claims.get((conference, ssrc), -1)

    def claim(self, conference: int, ssrc: int, leg: int) -> bool:
        """Claim an SSRC for a leg. False, and nothing changed, if somebody else has it."""
        if ssrc in self._issued or self._claims.setdefault((conference, ssrc), leg) != leg:
            return False
        self._ever_claimed.add(ssrc)
        return True

    def release(self, conference: int, ssrc: int, leg: int) -> None:
        """Give a claim back, if it is this leg's."""
        if self._claims.get((conference, ssrc)) == leg:
            del self._claims[conference, ssrc]
