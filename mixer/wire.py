"""The RTP header as columns: classify and parse a batch, write headers of many packets at once.

      0                   1                   2                   3
      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
     |V=2|P|X|  CC   |M|     PT      |        sequence number        |
     |                           timestamp                           |
     |                             SSRC                              |
     |                      CSRC list (0 to 15)                      |
     | extension: profile 0xBEDE, length | elements (RFC 8285) ...   |

Sources: RFC 3550 section 5.1, RFC 5761 section 4 (RTP or RTCP), RFC 7983 (what else shares a port),
RFC 8285 section 4.2 (one-byte header extensions). Knows nothing of legs or keys.
"""

from __future__ import annotations

from typing import Final, TypeVar

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from mixer.batch import STRIDE
from mixer.drops import Drop

HEADER: Final = 12
ONE_BYTE_PROFILE: Final = 0xBEDE
HEADER_DTYPE: Final = np.dtype(
    [("flags", "u1"), ("marker_pt", "u1"), ("seq", ">u2"), ("timestamp", ">u4"), ("ssrc", ">u4")]
)

Rows = NDArray[np.int64]
Octets = NDArray[np.uint8]
Element = TypeVar("Element", bound=np.generic)

_FIRST_OCTET: Final = np.full(256, Drop.NOT_MEDIA, np.uint8)
_FIRST_OCTET[0:4] = Drop.STUN
_FIRST_OCTET[16:20] = Drop.ZRTP
_FIRST_OCTET[20:64] = Drop.DTLS
_FIRST_OCTET[64:80] = Drop.STUN  # TURN channel data
_FIRST_OCTET[128:192] = Drop.ACCEPTED
_FIRST_OCTET[192:256] = Drop.BAD_VERSION


def header_view(octets: Octets) -> NDArray[np.void]:
    """The first 12 octets of each row as a structured array [rows], sharing memory."""
    return np.ndarray((len(octets),), HEADER_DTYPE, octets.data, strides=(octets.strides[0],))


def windows(octets: NDArray[Element], width: int) -> NDArray[Element]:
    """Every run of `width` neighbouring elements of a contiguous array, as rows: `result[i]` starts at
    flat element i. Indexing it with an array of starts copies whole runs, wherever they begin."""
    flat = octets.reshape(-1)
    step = flat.strides[0]
    return as_strided(flat, (len(flat) - width + 1, width), (step, step))


def classify(
    octets: Octets, length: NDArray[np.int32], rtcp_port: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """First look at each datagram: its fate so far, and whether it is RTCP.

    Args:
        octets: uint8[n, STRIDE].
        length: int32[n], octets received.
        rtcp_port: bool[n], True for datagrams that came in on a port for RTCP only.

    Returns:
        `fate` uint8[n] of `Drop` values, and `rtcp` bool[n].
    """
    fate = _FIRST_OCTET[octets[:, 0]]
    fate[length < 2] = Drop.TRUNCATED
    second = octets[:, 1]
    rtcp = rtcp_port | ((second >= 192) & (second <= 223))
    media = fate == Drop.ACCEPTED
    fate[media & (length < np.where(rtcp, 8, HEADER))] = Drop.TRUNCATED
    fate[length > STRIDE] = Drop.OVERSIZED
    return fate, rtcp


def header_lengths(octets: Octets, length: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Octets from the start of each packet to its payload, and the packet's fate.

    Args:
        octets: uint8[n, STRIDE] of packets of at least 12 octets.
        length: int32[n].
    """
    flags = octets[:, 0]
    fate = np.zeros(len(octets), np.uint8)
    header = HEADER + 4 * (flags & 15).astype(np.int64)
    extended = np.flatnonzero(flags & 0x10)
    if len(extended):
        start = header[extended]
        words = octets[extended, start + 2].astype(np.int64) << 8 | octets[extended, start + 3]
        header[extended] += 4 + 4 * words
        fate[extended[header[extended] > length[extended]]] = Drop.BAD_EXTENSION
    fate[(header > length) & (fate == 0)] = Drop.TRUNCATED
    return header, fate


def payload_ends(
    octets: Octets, length: NDArray[np.int32], header: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Where each decrypted packet's payload ends, padding taken off (RFC 3550 section 5.1)."""
    end = length.astype(np.int64)
    fate = np.zeros(len(octets), np.uint8)
    padded = np.flatnonzero(octets[:, 0] & 0x20)
    if len(padded):
        count = octets[padded, np.maximum(end[padded] - 1, 0)].astype(np.int64)
        end[padded] -= count
        fate[padded[(count == 0) | (end[padded] < header[padded])]] = Drop.BAD_PADDING
    return end, fate


def claimed_levels(octets: Octets, header: NDArray[np.int64], wanted: NDArray[np.uint8]) -> NDArray[np.int16]:
    """RFC 6464 levels: int16[n], 0 (loudest) to 127 (silence), or -1 where the packet has none.

    `wanted` is uint8[n], the negotiated extension id of each packet's leg, 0 for none. The elements
    are walked in step, all packets at once; an extension longer than 32 octets is not searched further.
    """
    level = np.full(len(octets), -1, np.int16)
    rows = np.flatnonzero((octets[:, 0] & 0x10).astype(bool) & (wanted > 0))
    if not len(rows):
        return level
    at = HEADER + 4 * (octets[rows, 0] & 15).astype(np.int64)
    rows, at = _keep(octets[rows, at] == 0xBE, rows, at)
    rows, at = _keep(octets[rows, at + 1] == 0xDE, rows, at)
    at += 4
    for _ in range(32):
        rows, at = _keep(at < header[rows], rows, at)
        if not len(rows):
            break
        element = octets[rows, at]
        found = (element >> 4) == wanted[rows]
        level[rows[found]] = octets[rows[found], at[found] + 1] & 0x7F
        at += np.where(element == 0, 1, 2 + (element & 15))
        rows, at = _keep(~found & (element >> 4 != 15), rows, at)
    return level


def _keep(mask: NDArray[np.bool_], rows: Rows, at: NDArray[np.int64]) -> tuple[Rows, NDArray[np.int64]]:
    return rows[mask], at[mask]
