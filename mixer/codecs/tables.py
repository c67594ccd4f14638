"""The codecs without memory: G.711 and L16."""

from __future__ import annotations

from typing import Final

import numpy as np

from mixer.codecs import g711
from mixer.codecs.base import Octets, Table
from mixer.samples import EMPTY, Samples


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


PCMU: Final = Table("PCMU", 0, (8000,), _mulaw_decode, _mulaw_encode, 1)
PCMA: Final = Table("PCMA", 8, (8000,), _alaw_decode, _alaw_encode, 1)
L16: Final = Table("L16", 96, (8000, 16000, 24000, 48000), _l16_decode, _l16_encode, 2)
