"""AMR and AMR-WB in RTP: one frame a packet, bandwidth-efficient (RFC 4867 sections 4.3 and 5.3).

storage     0 | FT 4 | Q | 0 0        and the speech bits, filled up to an octet
payload     CMR 4 | 0 | FT 4 | Q      and the speech bits, filled up to an octet
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

_NO_REQUEST: Final = 15


@dataclass(frozen=True)
class Form:
    """One of the two codecs.

    Attributes:
        bits: speech bits of each frame type; a type beyond it has none.
    """

    bits: tuple[int, ...]

    def payload(self, frame: bytes, request: int = _NO_REQUEST) -> bytes:
        """A frame as files have it, as a payload that asks to be sent a mode (CMR), or for none."""
        kind, good = frame[0] >> 3 & 15, frame[0] >> 2 & 1
        head = np.array([*_four(request), 0, *_four(kind), good], np.uint8)
        speech = np.unpackbits(np.frombuffer(frame, np.uint8)[1:])[: self._size(kind)]
        return np.packbits(np.concatenate((head, speech))).tobytes()

    def frame(self, payload: bytes) -> bytes:
        """The first frame of a payload, as files have it; nothing if it is cut short."""
        every = np.unpackbits(np.frombuffer(payload, np.uint8))
        if len(every) < 10:
            return b""
        kind, good = int(np.packbits(every[5:9])[0] >> 4), int(every[9])
        speech = every[10 : 10 + self._size(kind)]
        return (
            bytes([kind << 3 | good << 2]) + np.packbits(speech).tobytes() if len(speech) == self._size(kind) else b""
        )

    def kind(self, payload: bytes) -> int:
        """The frame type of the first frame: its mode; the last of `bits` is SID, 15 NO_DATA."""
        return self.frame(payload)[0] >> 3 & 15

    def _size(self, kind: int) -> int:
        return self.bits[kind] if kind < len(self.bits) else 0


def _four(value: int) -> list[int]:
    return [value >> shift & 1 for shift in (3, 2, 1, 0)]


NARROW: Final = Form((95, 103, 118, 134, 148, 159, 204, 244, 39))
"""3GPP TS 26.101; the last is SID."""

WIDE: Final = Form((132, 177, 253, 285, 317, 365, 397, 461, 477, 40))
"""3GPP TS 26.201; the last is SID."""
