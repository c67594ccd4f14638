"""Who sends, who listens: the four words of RFC 3264 section 6.1.

Knows what they mean seen from either end. Must never know an SDP beyond them.
"""

from __future__ import annotations

from typing import Final

from control.sdp.model import Media, Session
from mixer.port import Direction

DIRECTIONS: Final[tuple[Direction, ...]] = ("inactive", "sendonly", "recvonly", "sendrecv")
"""By what they are as bits: 1 sends, 2 listens."""


def direction_of(session: Session, media: Media) -> Direction:
    """What an m-line says, or else its session, or else sendrecv. Of several the least: a lie must not open a way."""
    for level in (media, session):
        for direction in DIRECTIONS:
            if level.attribute(direction) is not None:
                return direction
    return "sendrecv"


def reverse(direction: Direction) -> Direction:
    """The same, seen from the other end."""
    bits = DIRECTIONS.index(direction)
    return DIRECTIONS[bits >> 1 | (bits & 1) << 1]


def meet(one: Direction, other: Direction) -> Direction:
    """What both allow, seen from the same end."""
    return DIRECTIONS[DIRECTIONS.index(one) & DIRECTIONS.index(other)]


def deaf(direction: Direction) -> Direction:
    """The same without listening: the old way to say hold (RFC 3264 section 8.4)."""
    return meet(direction, "sendonly")
