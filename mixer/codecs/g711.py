"""G.711 as two tables, computed from the definition (ITU-T G.711, RFC 3551 section 4.5.14).

Decoding and encoding a matrix of any shape is one table look-up. int16 is the 16-bit linear scale in
which the 14-bit (mu-law) and 13-bit (A-law) values of the recommendation are left-aligned.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray


def _mulaw_values() -> NDArray[np.int16]:
    code = ~np.arange(256, dtype=np.uint8)
    segment = (code >> 4 & 7).astype(np.int32)
    step = (code & 15).astype(np.int32)
    magnitude = ((2 * step + 33) << segment) - 33
    return (np.where(code & 0x80, -magnitude, magnitude) * 4).astype(np.int16)


def _alaw_values() -> NDArray[np.int16]:
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    segment = (code >> 4 & 7).astype(np.int32)
    step = (code & 15).astype(np.int32)
    magnitude = np.where(segment == 0, 2 * step + 1, (2 * step + 33) << np.maximum(segment - 1, 0))
    return (np.where(code & 0x80, magnitude, -magnitude) * 8).astype(np.int16)


def _nearest(values: NDArray[np.int16]) -> NDArray[np.uint8]:
    """For each int16, as an unsigned index, the code whose value is nearest (ties: the smaller magnitude)."""
    order = np.argsort(values, kind="stable").astype(np.uint8)
    ladder = values[order].astype(np.int32)
    samples = np.arange(-32768, 32768, dtype=np.int32)
    # Decision values lie half-way; rounding them toward zero makes the table odd-symmetric.
    middle = ladder[:-1] + ladder[1:]
    upward = np.searchsorted(middle, 2 * samples, side="left")
    downward = np.searchsorted(middle, 2 * samples, side="right")
    chosen = order[np.where(samples >= 0, upward, downward)]
    table = np.empty(65536, np.uint8)
    table[samples.astype(np.int16).view(np.uint16)] = chosen
    return table


MULAW_DECODE: Final = _mulaw_values()
ALAW_DECODE: Final = _alaw_values()
MULAW_ENCODE: Final = _nearest(MULAW_DECODE)
ALAW_ENCODE: Final = _nearest(ALAW_DECODE)
