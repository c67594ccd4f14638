"""Who is in a packet: the fixed header, the CSRC list (RFC 3550 section 7.1) and their levels (RFC 6465)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer.casting import Cast
from mixer.mixing import Mix
from mixer.wire import HEADER, ONE_BYTE_PROFILE, header_view

Rows = NDArray[np.int64]
MAX_CSRC: Final = 15


def write(octets: NDArray[np.uint8], mix: Mix, cast: Cast, ssrc: Rows, payload_type: Rows, extension: Rows) -> Rows:
    """Write the headers of prototypes, but for SSRC, sequence number and time.

    Args:
        octets: uint8[q, STRIDE].
        ssrc: int64[legs].
        payload_type: int64[q].
        extension: int64[q], id of the levels' extension, 0 for none.

    Returns:
        The lengths of the headers, int64[q].
    """
    count = np.minimum(cast.count - (cast.itself >= 0), MAX_CSRC)
    position = cast.first[:, None] + np.arange(MAX_CSRC)
    position += (position >= cast.itself[:, None]) & (cast.itself[:, None] >= 0)
    size = HEADER + 4 * count
    view = header_view(octets)
    view["flags"] = 0x80 | count
    view["marker_pt"] = payload_type
    if not len(mix.talker):
        return size
    position = np.minimum(position, len(mix.talker) - 1)
    csrc = ssrc[mix.talker][position].astype(">u4")
    octets[:, HEADER : HEADER + 4 * MAX_CSRC] = csrc.view(np.uint8)
    extended = np.flatnonzero((extension > 0) & (count > 0))
    for n in np.unique(count[extended]):
        some = extended[count[extended] == n]
        size[some] += _write_levels(octets, some, int(n), extension[some], mix.level[position[some, :n]])
    view["flags"][extended] |= 0x10
    return size


def _write_levels(octets: NDArray[np.uint8], rows: Rows, count: int, identifier: Rows, level: Rows) -> int:
    """One RFC 6465 element for `count` CSRCs in a one-byte extension (RFC 8285); its length in octets."""
    at = HEADER + 4 * count
    words = (1 + count + 3) // 4
    octets[rows, at : at + 4 + 4 * words] = 0
    octets[rows, at] = ONE_BYTE_PROFILE >> 8
    octets[rows, at + 1] = ONE_BYTE_PROFILE & 0xFF
    octets[rows, at + 3] = words
    octets[rows, at + 4] = identifier << 4 | (count - 1)
    octets[rows, at + 5 : at + 5 + count] = level
    return 4 + 4 * words
