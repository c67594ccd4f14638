"""The finder of I12: is any part of a key in a text, however it is written?"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping

WINDOW = 8
"""Octets in a row that nothing may show."""


def leaks(secrets: Mapping[str, bytes], text: str | bytes) -> set[str]:
    """Names of the keys of which eight octets in a row are in a text or a capture.

    They are found raw, as Python writes octets, in hex of either case (colons between or not), and in base64
    and base64url at each of the three ways in which they may lie in the longer base64 of something.
    """
    whole = text.decode("latin-1") if isinstance(text, bytes) else text
    lower = whole.lower()
    return {
        name
        for name, octets in secrets.items()
        if any(
            window.hex() in lower
            or window.hex(":") in lower
            or any(form in whole for form in (window.decode("latin-1"), repr(window)[2:-1], *_base64(window)))
            for window in _windows(octets)
        )
    }


def _windows(octets: bytes) -> Iterator[bytes]:
    for at in range(len(octets) - WINDOW + 1):
        yield octets[at : at + WINDOW]


def _base64(window: bytes) -> Iterator[str]:
    """The letters that eight octets decide alone: ten, wherever they begin in a group of three."""
    for before in range(3):
        letters = base64.b64encode(bytes(before) + window).decode()
        first = -(-8 * before // 6)
        decided = letters[first : (8 * (before + WINDOW)) // 6]
        yield decided
        yield decided.replace("+", "-").replace("/", "_")
