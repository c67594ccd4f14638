"""Keys pressed on a phone, as SIP INFO carries them where there are no telephone events. Pure.

Knows: the two bodies that are common, which no RFC describes. Must never know: what a key is pressed for.
"""

from __future__ import annotations

import re
from typing import Final, Literal, TypeAlias

Way: TypeAlias = Literal["rtp", "info"]
"""How a key came: as telephone event (RFC 4733), or by INFO."""

_RELAY: Final = re.compile(rb"Signal= ?([0-9*#A-D])\r?\nDuration= ?[0-9]{1,5}(?:\r?\n)*", re.IGNORECASE)
_PLAIN: Final = re.compile(rb"([0-9*#A-D]|1[0-5])(?:\r?\n)*", re.IGNORECASE)
_EVENTS: Final = "0123456789*#ABCD"
"""By number of their event (RFC 4733 section 3.2)."""
_BODIES: Final = {"application/dtmf-relay": _RELAY, "application/dtmf": _PLAIN}


def is_key(content: str) -> bool:
    """Whether a Content-Type is one of keys."""
    return _bare(content) in _BODIES


def key_of(content: str, body: bytes) -> str | None:
    """The key that a body tells; None if it tells none."""
    form = _BODIES.get(_bare(content))
    match = form.fullmatch(body) if form else None
    if match is None:
        return None
    word = match[1].decode().upper()
    return _EVENTS[int(word)] if len(word) == 2 else word


def _bare(content: str) -> str:
    return content.partition(";")[0].strip().lower()
