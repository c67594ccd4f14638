"""How a SILK frame begins: whether its encoder heard a voice in it, and whether it is silence, without decoding it.

RFC 6716 section 4.2.3: the first bits are a voice activity flag for each 20 ms, and one that says whether the packet
before is repeated. If all are 0, the next symbols are the type of the frame (4.2.7.3) and its gain (4.2.7.4). Flags
alone do not do: an encoder takes steady noise, a steady tone and the first milliseconds of a word for no voice,
whatever their level. With the least gains there is no room for more than -50 dBov, and next to nothing of noise.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer.codecs.base import Octets

Numbers = NDArray[np.int64]

LEAST_GAIN: Final = 1
"""Index of the highest gain that counts as silence: 3 dB over one unit of 16 bits as the step of the quantiser."""

_FRAMES: Final = np.array([*[1, 1, 2, 3] * 3, 1, 1, 1, 1], np.int64)
"""Frames of 20 ms or less with a flag of their own, by the configuration of the packet."""
_TYPE: Final = np.array([230, 0], np.int64)
_GAIN_HIGH: Final = np.array([224, 112, 44, 15, 3, 2, 1, 0], np.int64)
_GAIN_LOW: Final = np.arange(224, -1, -32, dtype=np.int64)
"""Probabilities of 256 that a symbol is above 0, 1, 2... in a frame without voice (tables 9, 11 and 12)."""
_READ: Final = 8
"""Octets that hold all this."""
_TOP: Final = 1 << 31
_BOTTOM: Final = 1 << 23


def quiet(head: Octets, length: Numbers) -> NDArray[np.bool_]:
    """Whether packets are silent: no voice by the sender's own word, nothing repeated, and no gain: bool[n].

    Args:
        head: uint8[n, 16], how they begin: one frame each of SILK or hybrid, one channel, two octets or more.
        length: int64[n], octets.
    """
    frames = _FRAMES[head[:, 0] >> 3]
    silent: NDArray[np.bool_] = head[:, 1] >> (7 - frames) == 0
    rows = np.flatnonzero(silent)
    if len(rows):
        silent[rows] = _gain(head[rows], length[rows], frames[rows]) <= LEAST_GAIN
    return silent


def repeats(first: int, octet: int) -> bool:
    """Whether a packet repeats the one before (LBRR): by its first octet, and the first octet of its first frame."""
    if first >= 0x80:  # CELT alone
        return False
    frames = int(_FRAMES[first >> 3])
    flags = octet >> 7 - frames
    if first & 4:  # two channels, each with its flags
        flags |= octet >> 6 - 2 * frames
    return bool(flags & 1)


def _gain(head: Octets, length: Numbers, frames: Numbers) -> Numbers:
    """Index of the first gain, 0 to 63, behind flags that are all 0."""
    octets = np.where(np.arange(1, _READ) < length[:, None], head[:, 1:_READ], 0).astype(np.int64)
    # The range decoder of section 4.1, begun: `low` is how far the code lies below the top of its range.
    span = _TOP >> (frames + 1)
    low = span - 1 - (octets[:, 0] << 23 | octets[:, 1] << 15 | octets[:, 2] << 7 | octets[:, 3] >> 1)
    _, low, span = _symbol(low, span, _TYPE)
    high, low, span = _symbol(low, span, _GAIN_HIGH)
    more = span <= _BOTTOM
    next_octet = (octets[:, 3] << 7 | octets[:, 4] >> 1) & 255
    low = np.where(more, (low << 8) + 255 - next_octet & _TOP - 1, low)
    span = np.where(more, span << 8, span)
    return 8 * high + _symbol(low, span, _GAIN_LOW)[0]


def _symbol(low: Numbers, span: Numbers, table: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    edges = np.concatenate([span[:, None], (span >> 8)[:, None] * table], axis=1)
    symbol = (low[:, None] < edges).sum(axis=1) - 1
    row = np.arange(len(low))
    floor = edges[row, symbol + 1]
    return symbol, low - floor, edges[row, symbol] - floor
