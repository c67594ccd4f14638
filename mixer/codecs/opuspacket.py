"""What Opus packets say of themselves, many at once and without decoding them (RFC 6716 section 3).

How long a packet lasts stands in its first octets. That nobody speaks is claimed only of what says so: packets of
discontinuous transmission, and those of a muted microphone (`silkhead`).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer.codecs import silkhead
from mixer.codecs.base import Octets

Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]

LONGEST: Final = 5760
"""A packet lasts 120 ms at most, in units of 48 kHz (R5)."""
_FRAME_OCTETS: Final = 1275
FRAME: Final = np.array([*[480, 960, 1920, 2880] * 3, *[480, 960] * 2, *[120, 240, 480, 960] * 4], np.int64)
"""How long a frame lasts, by the configuration (section 3.1, table 2), in units of 48 kHz."""
_DTX_OCTETS: Final = 2
"""A packet so short carries no sound: decoders go on as if it was lost, or make comfort noise."""


def durations(head: Octets, length: Numbers) -> Numbers:
    """How long packets last, in units of 48 kHz; 0 if one can't be Opus (section 3.4).

    Args:
        head: uint8[n, 16], how they begin.
        length: int64[n], octets.
    """
    first = head[:, 0]
    code = first & 3
    body = length - 1
    count = np.where(code == 3, head[:, 1] & 63, np.minimum(code, 1) + 1).astype(np.int64)
    total = FRAME[first >> 3] * count
    one = body <= _FRAME_OCTETS
    equal = (body % 2 == 0) & (body <= 2 * _FRAME_OCTETS)
    fits = np.choose(code, [one, equal, _two(head, body), _many(head, body, count)])
    return np.where(fits & (length > 0) & (total <= LONGEST), total, 0)


def voiced(head: Octets, length: Numbers, duration: Numbers) -> Flags:
    """False for packets in which nobody speaks, by their own word: bool[n]. Arguments as of `durations`."""
    voiced = length > _DTX_OCTETS
    first = head[:, 0]
    # One frame, one channel, not CELT alone: else the flags would have to be searched for.
    told = np.flatnonzero(voiced & (duration > 0) & (first < 0x80) & (first & 7 == 0))
    if len(told):
        voiced[told] = ~silkhead.quiet(head[told], length[told])
    return voiced


def _two(head: Octets, body: Numbers) -> Flags:
    """Code 2: two frames, of which the length of the first is told in one or two octets (section 3.2.5)."""
    wide = head[:, 1] >= 252
    size = head[:, 1].astype(np.int64) + np.where(wide, 4 * head[:, 2].astype(np.int64), 0)
    rest = body - 1 - wide - size
    return np.asarray((rest >= 0) & (rest <= _FRAME_OCTETS))


def _many(head: Octets, body: Numbers, count: Numbers) -> Flags:
    """Code 3: any number of frames, with padding whose length is told in a run of octets of 255 and one other."""
    padded = head[:, 1] & 0x40 != 0
    run = (head[:, 2:] == 255).cumprod(axis=1).sum(axis=1)
    last = head[np.arange(len(head)), np.minimum(2 + run, head.shape[1] - 1)].astype(np.int64)
    rest = body - 1 - np.where(padded, 255 * run + 1 + last, 0)
    equal = (rest % np.maximum(count, 1) == 0) & (rest <= count * _FRAME_OCTETS)
    # Of different lengths, each frame but the last has told its own, in one octet or two.
    return np.asarray((rest >= 0) & (count > 0) & np.where(head[:, 1] & 0x80, rest >= count - 1, equal))
