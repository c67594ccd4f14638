"""The memo: packets that were written, by what was said since the silence before them.

Whoever hears nothing but prompts hears what others heard before: the same samples since the same silence. So a file
that is played to one caller after another is encoded once for each format. Must never know: encoders, samples, legs.
"""

from __future__ import annotations

from typing import Final

MEMO_OCTETS: Final = 32 << 20
"""An hour and a half of Opus at 32 kbit/s."""
OVERHEAD: Final = 200
"""Octets that Python needs for an entry, beside the payload."""


class Memo:
    """Remembers them; those used longest ago are forgotten.

    Args:
        octets: of memory, at most.
    """

    def __init__(self, octets: int = MEMO_OCTETS) -> None:
        self._payloads: dict[bytes, bytes] = {}
        self._limit, self._octets = octets, 0

    def __len__(self) -> int:
        return len(self._payloads)

    def get(self, name: bytes) -> bytes | None:
        """What was written then."""
        payload = self._payloads.pop(name, None)
        if payload is not None:
            self._payloads[name] = payload  # the last of the dict is the one used last
        return payload

    def put(self, name: bytes, payload: bytes) -> None:
        """Keep a packet. A name is of one for ever."""
        if name in self._payloads:
            return
        self._payloads[name] = payload
        self._octets += len(payload) + OVERHEAD
        while self._octets > self._limit:
            self._octets -= len(self._payloads.pop(next(iter(self._payloads)))) + OVERHEAD
