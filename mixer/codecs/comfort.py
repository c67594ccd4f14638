"""Comfort noise (RFC 3389): how loud the noise is that stands for silence.

The first octet is the level in -dBov, 0 to 127. Reflection coefficients may follow: they colour the noise, which
the mixer does not play, and are ignored. What is sent has none.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer.codecs.base import CodecError, Octets

QUIETEST: Final = 127
"""-dBov: silence."""


def levels(head: Octets, length: NDArray[np.int64]) -> NDArray[np.int64]:
    """Levels of many payloads.

    Args:
        head: uint8[n, at least 1], how they begin.
        length: int64[n], octets.

    Returns:
        int64[n], 0 to 127 in -dBov; 127 for an empty payload. The highest bit is unused (section 3.1).
    """
    return np.where(length > 0, head[:, 0] & QUIETEST, QUIETEST).astype(np.int64)


def level(payload: bytes) -> int:
    """Level of one payload, 0 to 127 in -dBov; 127 if it is empty."""
    return payload[0] & QUIETEST if payload else QUIETEST


def payload(level: int) -> bytes:
    """White noise of that level, 0 to 127 in -dBov.

    Raises:
        CodecError: it is no such level.
    """
    if not 0 <= level <= QUIETEST:
        raise CodecError(f"a level of comfort noise is 0 to {QUIETEST} in -dBov, not {level}")
    return bytes([level])
