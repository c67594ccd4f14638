"""Codecs as the mixer sees them: a batch of payloads to a batch of samples, and back.

A new codec is one `Codec` in the table below. `decode` and `encode` work on matrices, one packet a
row, and keep no state here; a codec that needs state (Opus) keeps it in a table of its own, by row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer import g711

Samples = NDArray[np.int16]
Octets = NDArray[np.uint8]

EMPTY: Final = -32768
"""The sample value that means "nobody wrote here". No codec produces it: see `_l16_decode`."""


@dataclass(frozen=True, slots=True)
class Codec:
    """One codec.

    Attributes:
        decode: uint8[packets, octets] to int16[packets, samples], never `EMPTY`.
        encode: int16[packets, samples] to uint8[packets, octets].
        width: octets a sample.
        payload_type: the default RTP payload type.
        rates: clock rates it may have, Hz.
    """

    name: str
    decode: Callable[[Octets], Samples]
    encode: Callable[[Samples], Octets]
    width: int
    payload_type: int
    rates: tuple[int, ...]


def _mulaw_decode(octets: Octets) -> Samples:
    return g711.MULAW_DECODE.take(octets, mode="wrap")


def _mulaw_encode(samples: Samples) -> Octets:
    return g711.MULAW_ENCODE.take(samples.view(np.uint16), mode="wrap")


def _alaw_decode(octets: Octets) -> Samples:
    return g711.ALAW_DECODE.take(octets, mode="wrap")


def _alaw_encode(samples: Samples) -> Octets:
    return g711.ALAW_ENCODE.take(samples.view(np.uint16), mode="wrap")


def _l16_decode(octets: Octets) -> Samples:
    """RFC 3551 section 4.5.11, network byte order. The lowest value gives way to the one above it."""
    samples = octets.view(">i2").astype(np.int16)
    return np.maximum(samples, EMPTY + 1)


def _l16_encode(samples: Samples) -> Octets:
    return samples.astype(">i2").view(np.uint8)


CODECS: Final = (
    Codec("PCMU", _mulaw_decode, _mulaw_encode, 1, 0, (8000,)),
    Codec("PCMA", _alaw_decode, _alaw_encode, 1, 8, (8000,)),
    Codec("L16", _l16_decode, _l16_encode, 2, 96, (8000, 16000, 48000)),
)
"""The index in this table is the `codec` column of legs and streams."""

CODEC_INDEX: Final = {codec.name: index for index, codec in enumerate(CODECS)}
