"""Copies: packets that must be, octet by octet, what an earlier one of the same name was.

Knows: octets. Must never know: keys, or why two packets have one name.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

_CHUNK: Final = 1 << 14


def originals(
    octets: NDArray[np.uint8], length: NDArray[np.int32], rows: NDArray[np.intp], name: NDArray[np.int64]
) -> NDArray[np.intp]:
    """For each of `rows` the first of them that has the same name; -1 if the octets differ.

    Args:
        octets: uint8[packets, n], and `length` int32[packets]: how many of a row are its packet.
        name: int64[rows].
    """
    _, first, which = np.unique(name, return_index=True, return_inverse=True)
    original = rows[first[which]]
    same = length[rows] == length[original]
    columns = np.arange(octets.shape[1])
    for start in range(0, len(rows), _CHUNK):
        some = slice(start, start + _CHUNK)
        beyond = columns >= length[rows[some]][:, None]
        same[some] &= ((octets[rows[some]] == octets[original[some]]) | beyond).all(axis=1)
    return np.where(same, original, -1)
