"""Octets with their length in front, and a cursor that never runs past their end.

Knows lengths; must never know what the octets mean.
"""

from __future__ import annotations

from control.mikey.errors import Malformed


def counted(octets: bytes, length_octets: int) -> bytes:
    """Octets behind their length, itself of so many octets. Raises Malformed if they are too many for it."""
    try:
        return len(octets).to_bytes(length_octets) + octets
    except OverflowError:
        raise Malformed(f"{len(octets)} octets are too many for a length of {length_octets} octets") from None


class Reader:
    """Takes integers and strings of octets in network order. Every method raises Malformed at the end."""

    __slots__ = ("_at", "_octets")

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._at = 0

    def take(self, length: int) -> bytes:
        """The next `length` octets."""
        end = self._at + length
        if end > len(self._octets):
            raise Malformed(f"the message is cut short: {length} octets wanted, {self.left} left")
        taken = self._octets[self._at : end]
        self._at = end
        return taken

    def number(self, octets: int) -> int:
        """The next unsigned integer of so many octets."""
        return int.from_bytes(self.take(octets))

    def counted(self, length_octets: int) -> bytes:
        """A length of so many octets, and then as many octets as it says."""
        return self.take(self.number(length_octets))

    @property
    def left(self) -> int:
        """Octets not taken yet."""
        return len(self._octets) - self._at

    @property
    def at(self) -> int:
        """Octets taken so far."""
        return self._at

    def finish(self, what: str) -> None:
        """Raise Malformed unless everything has been taken."""
        if self.left:
            raise Malformed(f"{self.left} octets are left over behind {what}")
