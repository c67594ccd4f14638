"""The RTP payload of AMR and AMR-WB (RFC 4867 section 4), read and written as octets.

A payload is a mode request (CMR), a table of contents with one entry a frame, and the frames. Bandwidth-efficient
payloads (section 4.3) lay these bit by bit; octet-aligned ones (section 4.4) pad each of them to octets. Interleaving,
CRCs and robust sorting are not offered by us, hence not read. A frame is 20 ms.

Knows: bits. Must never know: what a frame sounds like, nor the libraries that can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mixer.codecs.base import CodecError, Octets

Sizes: TypeAlias = tuple[int, ...]
"""Bits of the 16 frame types; -1 where a type is reserved, or belongs to another codec."""

NB_SIZES: Final[Sizes] = (95, 103, 118, 134, 148, 159, 204, 244, 39, -1, -1, -1, -1, -1, -1, 0)
"""3GPP TS 26.101 table 1a: the modes 0 to 7, SID, ..., NO_DATA."""

WB_SIZES: Final[Sizes] = (132, 177, 253, 285, 317, 365, 397, 461, 477, 40, -1, -1, -1, -1, 0, 0)
"""3GPP TS 26.201 table 1a: the modes 0 to 8, SID, ..., SPEECH_LOST, NO_DATA."""

SPEECH_LOST: Final = 14
"""Of AMR-WB only."""

NO_DATA: Final = 15

MAX_FRAMES: Final = 6
"""120 ms, as much as the mixer takes of any codec."""

_NO_REQUEST: Final = 15
_HEADER: Final = 4
_ENTRY: Final = 6
_ENTRY_SHIFTS: Final = (64 - _HEADER - _ENTRY * np.arange(1, MAX_FRAMES + 1)).astype(np.uint64)
"""Bits; and where the entries stand in the first eight octets, from their lowest bit."""


class Frame(NamedTuple):
    """20 ms.

    Attributes:
        kind: the frame type, FT.
        good: the quality bit, Q; False if the frame was damaged on its way to who sent it.
        speech: its bits, from the highest of the first octet on, then zeros up to an octet.
    """

    kind: int
    good: bool
    speech: bytes


def parse(payload: bytes, sizes: Sizes, octet_aligned: bool) -> list[Frame]:
    """The frames of a payload, in the order of their time. Reserved and padding bits are ignored, as they must be.

    Raises:
        CodecError: a reserved frame type, more than `MAX_FRAMES`, or a length that the table of contents belies.
    """
    word = int.from_bytes(payload, "big")
    left = 8 * len(payload) - _padded(_HEADER, octet_aligned)
    table: list[tuple[int, bool]] = []
    more = True
    while more:
        left -= _padded(_ENTRY, octet_aligned)
        if left < 0 or len(table) == MAX_FRAMES:
            raise CodecError(f"the table of contents of {len(payload)} octets has no end")
        entry = word >> left + _padded(_ENTRY, octet_aligned) - _ENTRY & 0x3F
        more = bool(entry & 0x20)
        table.append((entry >> 1 & 0x0F, bool(entry & 1)))
    frames = []
    for kind, good in table:
        size = sizes[kind]
        if size < 0:
            raise CodecError(f"frame type {kind} is reserved")
        left -= _padded(size, octet_aligned)
        if left < 0:
            raise CodecError(f"{len(payload)} octets end before what their table of contents names")
        octets = size + 7 >> 3
        bits = word >> left + _padded(size, octet_aligned) - size & (1 << size) - 1
        frames.append(Frame(kind, good, (bits << 8 * octets - size).to_bytes(octets, "big")))
    if left >= 8:
        raise CodecError(f"{len(payload)} octets go on after what their table of contents names")
    return frames


def write(frames: Sequence[Frame], sizes: Sizes, octet_aligned: bool, request: int = _NO_REQUEST) -> bytes:
    """A payload of these frames, which are of as many bits as `sizes` says; `request` is the CMR."""
    fields = [(request, _HEADER)]
    last = len(frames) - 1
    fields += [(int(at < last) << 5 | frame.kind << 1 | frame.good, _ENTRY) for at, frame in enumerate(frames)]
    for frame in frames:
        size = sizes[frame.kind]
        fields.append((int.from_bytes(frame.speech, "big") >> -size % 8, size))
    word = total = 0
    for value, size in fields:
        padded = _padded(size, octet_aligned)
        word = word << padded | value << padded - size
        total += padded
    return (word << -total % 8).to_bytes(total + 7 >> 3, "big")


def survey(
    head: Octets, length: NDArray[np.int64], sizes: Sizes, octet_aligned: bool
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Count the frames of many payloads, and find those with speech. A header and six entries are always in view.

    Args:
        head: uint8[n, 8 or more], how they begin; what is beyond their length is garbage.
        length: int64[n], octets.

    Returns:
        int64[n], 0 exactly where `parse` raises; and bool[n], True unless all frames are SID or NO_DATA.
    """
    if octet_aligned:
        entries = (head[:, 1 : 1 + MAX_FRAMES] >> 2).astype(np.int64)
    else:
        word = np.ascontiguousarray(head[:, :8]).view(">u8")
        entries = (word >> _ENTRY_SHIFTS & np.uint64(0x3F)).astype(np.int64)
    count = 1 + np.cumprod(entries >> 5, axis=1).sum(axis=1)
    used = np.arange(MAX_FRAMES) < count[:, None]
    kind = entries >> 1 & 0x0F
    size = np.where(used, np.array(sizes)[kind], 0)
    if octet_aligned:
        total = 1 + count + (size + 7 >> 3).sum(axis=1)
    else:
        total = _HEADER + _ENTRY * count + size.sum(axis=1) + 7 >> 3
    valid = (size >= 0).all(axis=1) & (count <= MAX_FRAMES) & (total == length)
    speech = (used & (kind != speech_modes(sizes)) & (kind != NO_DATA)).any(axis=1)
    return np.where(valid, count, 0), speech


def requested_mode(payload: bytes, sizes: Sizes) -> int | None:
    """The mode that whoever sent a payload wants to receive (CMR); None if it asks for nothing, or for no mode that
    there is, which is to be ignored (section 4.3.1). Both ways of writing begin with it."""
    request = payload[0] >> 4 if payload else _NO_REQUEST
    return request if request < speech_modes(sizes) else None


def requested_modes(head: Octets, length: NDArray[np.int64], sizes: Sizes) -> NDArray[np.int64]:
    """`requested_mode` of many payloads, as int64[n], -1 for None; arguments as of `survey`."""
    request = (head[:, 0] >> 4).astype(np.int64)
    return np.where((length > 0) & (request < speech_modes(sizes)), request, -1)


def speech_modes(sizes: Sizes) -> int:
    """How many modes there are: 8 or 9. They are the first frame types, and the next is SID (comfort noise)."""
    return sizes.index(-1) - 1


def _padded(bits: int, octet_aligned: bool) -> int:
    return bits + 7 & ~7 if octet_aligned else bits
