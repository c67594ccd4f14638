"""C pointers to the rows of packet matrices, for calls of a library a packet."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixer.libsrtp import HOT


class Pointers:
    """C pointers to the rows of a packet matrix and to their lengths, made once.

    The two arrays must be C-contiguous and must never be rebound while this lives.
    """

    def __init__(self, octets: NDArray[np.uint8], length: NDArray[np.int32]) -> None:
        self.octets = octets
        self.length = length
        self._data = np.empty(0, object)
        self._size = np.empty(0, object)

    def of(self, rows: NDArray[np.int64]) -> tuple[list[Any], list[Any]]:
        """Pointers to the given rows: (packets, lengths)."""
        self.reserve(int(rows.max(initial=-1)) + 1)
        return self._data[rows].tolist(), self._size[rows].tolist()

    def reserve(self, count: int) -> None:
        """Make the pointers to the first `count` rows."""
        if count > len(self._data):
            self._grow(min(len(self.octets), max(2 * len(self._data), count, 64)))

    def _grow(self, count: int) -> None:
        base, stride = self.octets.ctypes.data, self.octets.strides[0]
        sizes, step = self.length.ctypes.data, self.length.strides[0]
        data, size = np.empty(count, object), np.empty(count, object)
        data[:] = [HOT.cast("void *", base + i * stride) for i in range(count)]
        size[:] = [HOT.cast("int *", sizes + i * step) for i in range(count)]
        self._data, self._size = data, size
