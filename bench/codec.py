"""The codecs of the measuring end: G.711 and L16, from the definition and not from the mixer.

Samples are float32 in -1 to 1. Decoding is a look-up in the 256 values of ITU-T G.711; encoding picks
the value nearest to the sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Samples: TypeAlias = NDArray[np.float32]
Octets: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True)
class Codec:
    """One codec at one clock rate: 20 ms a packet unless `samples` is told otherwise."""

    name: str
    rate: int
    payload_type: int
    width: int
    """Octets a sample."""
    silence: int
    """The octet that a silent payload consists of."""

    def samples(self, ptime_ms: int = 20) -> int:
        """Samples in one packet."""
        return self.rate * ptime_ms // 1000

    def encode(self, samples: Samples) -> Octets:
        """float32[..., n] to uint8[..., n * width]."""
        scaled = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)
        if self.name == "L16":
            return np.asarray(np.ascontiguousarray(scaled.astype(">i2")).view(np.uint8), np.uint8)
        return np.asarray(_ENCODE[self.name][scaled.view(np.uint16)], np.uint8)

    def decode(self, octets: Octets) -> Samples:
        """uint8[..., n * width] to float32[..., n]."""
        if self.name == "L16":
            words = np.ascontiguousarray(octets).view(">i2")
            return (words / np.float32(32768.0)).astype(np.float32)
        return _DECODE[self.name][octets]


class CodecError(ValueError):
    """No such codec, or not at that rate."""


def codec(name: str, rate: int = 8000) -> Codec:
    """The codec of that name; `rate` matters to L16 only.

    Raises:
        CodecError: for names other than PCMU, PCMA and L16.
    """
    if name == "PCMU":
        return Codec("PCMU", 8000, 0, 1, 0xFF)
    if name == "PCMA":
        return Codec("PCMA", 8000, 8, 1, 0xD5)
    if name == "L16":
        return Codec("L16", rate, 96, 2, 0)
    raise CodecError(f"no codec {name!r}: choose PCMU, PCMA or L16")


def _mu_law() -> Samples:
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    size = (((code & 0x0F) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return (np.where(code & 0x80, -size, size) / 32768.0).astype(np.float32)


def _a_law() -> Samples:
    code = np.arange(256, dtype=np.int32) ^ 0x55
    step = code >> 4 & 7
    size = np.where(step, ((code & 0x0F) << 4) + 0x108 << np.maximum(step - 1, 0), ((code & 0x0F) << 4) + 8)
    return (np.where(code & 0x80, size, -size) / 32768.0).astype(np.float32)


def _nearest(values: Samples) -> Octets:
    """uint8[65536]: for each int16 (as uint16) the code whose value is nearest."""
    order = np.argsort(values, kind="stable")
    ladder = values[order]
    wanted = (np.arange(65536, dtype=np.uint16).view(np.int16) / 32768.0).astype(np.float32)
    return order[np.searchsorted((ladder[1:] + ladder[:-1]) / 2, wanted)].astype(np.uint8)


_DECODE: Final = {"PCMU": _mu_law(), "PCMA": _a_law()}
_ENCODE: Final = {name: _nearest(values) for name, values in _DECODE.items()}
