"""Telephone events on the wire (RFC 4733 section 2.3): the keys of a telephone, as blocks of four octets.

     0                   1                   2                   3
     |     event     |E|R| volume    |          duration             |

`keypad` makes keys of what comes, `dialling` makes what is sent. Must know neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer.codecs.base import Octets

KEYS: Final = (*"0123456789*#ABCD", "flash")
"""By event code (section 3.2), and the flash of RFC 2833."""

BLOCK: Final = 4
"""Octets of an event."""

LONGEST: Final = 0xFFFF
"""The most that the duration of a block can say, in units of the RTP clock."""

_END: Final = 0x80
_VOLUME: Final = 0x3F


@dataclass(frozen=True, slots=True)
class Events:
    """A column for each field of a block.

    Attributes:
        packet: int64[m], the index of the payload it was in, ascending.
        event: int64[m], index of `KEYS`.
        end: bool[m], the event is over.
        volume: int64[m], 0 to 63 in -dBm0.
        duration: int64[m], since the timestamp, in units of the clock; never 0.
        offset: int64[m], to be added to the timestamp of the packet: what the blocks before it lasted.
    """

    packet: NDArray[np.int64]
    event: NDArray[np.int64]
    end: NDArray[np.bool_]
    volume: NDArray[np.int64]
    duration: NDArray[np.int64]
    offset: NDArray[np.int64]


def parse(head: Octets, length: NDArray[np.int64]) -> Events:
    """Read many payloads.

    A payload is one block, or several of events that follow one another without a pause (section 2.5.1.5); as
    many are read as `head` shows. Left out are payloads that are not whole blocks, events that are no keys,
    and those without a duration: that is how states are told (section 2.3.5), and no key is a state.

    Args:
        head: uint8[n, HEAD], how they begin; what is beyond their length is garbage.
        length: int64[n], octets.
    """
    blocks = head.shape[1] // BLOCK
    field = head[:, : blocks * BLOCK].reshape(len(head), blocks, BLOCK).astype(np.int64)
    event, flags, duration = field[..., 0], field[..., 1], field[..., 2] << 8 | field[..., 3]
    there = (np.arange(blocks) < length[:, None] // BLOCK) & (length[:, None] % BLOCK == 0)
    valid = there & (event < len(KEYS)) & (duration > 0)
    offset = np.cumsum(duration, axis=1) - duration
    packet, block = np.nonzero(valid)
    return Events(
        packet=packet,
        event=event[packet, block],
        end=flags[packet, block] & _END != 0,
        volume=flags[packet, block] & _VOLUME,
        duration=duration[packet, block],
        offset=offset[packet, block],
    )


def block(event: int, duration: int, volume: int, *, end: bool) -> bytes:
    """One block: index of `KEYS`, units of the clock up to `LONGEST`, -dBm0 up to 63."""
    return bytes([event, (_END if end else 0) | volume, duration >> 8, duration & 0xFF])
