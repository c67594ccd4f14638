"""The codecs of those who talk to the mixer: FFmpeg's, by PyAV, and G.711 by its definition.

A `Mouth` encodes and an `Ear` decodes, packet by packet. Must never know: the mixer's own codecs. Opus is encoded
by libopus but decoded by FFmpeg's own decoder, G.722 and AMR are FFmpeg's; only AMR-WB has no second encoder.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final, Protocol

import av
import numpy as np
from numpy.typing import NDArray

from tests import naive

Samples = NDArray[np.int16]

CLOCKS: Final = {"PCMU": 8000, "PCMA": 8000, "G722": 8000, "opus": 48000, "AMR": 8000, "AMR-WB": 16000}
RATES: Final = {"PCMU": 8000, "PCMA": 8000, "G722": 16000, "opus": 48000, "AMR": 8000, "AMR-WB": 16000}
TYPES: Final = {"PCMU": 0, "PCMA": 8, "L16": 96, "G722": 9, "opus": 111, "AMR": 112, "AMR-WB": 113}
_TABLES: Final = {"PCMU": np.array(naive.ULAW, np.int16), "PCMA": np.array(naive.ALAW, np.int16)}


class Mouth(Protocol):
    """Encodes one stream."""

    def encode(self, samples: Samples) -> bytes:
        """The payload of one packet."""


class Ear(Protocol):
    """Decodes one stream."""

    def decode(self, payload: bytes) -> Samples:
        """Its samples."""


def mouth(codec: str, ptime: int = 20, **options: str) -> Mouth:
    """An encoder; `options` are FFmpeg's."""
    return Plain(codec) if codec in ("PCMU", "PCMA", "L16") else AvMouth(codec, ptime, options)


def ear(codec: str) -> Ear:
    """A decoder."""
    return Plain(codec) if codec in ("PCMU", "PCMA", "L16") else AvEar(codec)


class Plain:
    """G.711 and L16."""

    def __init__(self, codec: str) -> None:
        self._codec = codec

    def encode(self, samples: Samples) -> bytes:
        if self._codec == "L16":
            return samples.astype(">i2").tobytes()
        table = _TABLES[self._codec]
        order = np.argsort(table, kind="stable")
        ladder = table[order].astype(np.float64)
        return order[np.searchsorted((ladder[1:] + ladder[:-1]) / 2, samples)].astype(np.uint8).tobytes()

    def decode(self, payload: bytes) -> Samples:
        if self._codec == "L16":
            return np.frombuffer(payload, ">i2").astype(np.int16)
        return _TABLES[self._codec][np.frombuffer(payload, np.uint8)]


_ENCODERS: Final = {"opus": "libopus", "G722": "g722"}
_DECODERS: Final = {"opus": "opus", "G722": "g722"}


def _context(name: str, mode: Any) -> Any:
    return av.CodecContext.create(name, mode)


class AvMouth:
    """An encoder of FFmpeg or libopus, one frame a packet."""

    def __init__(self, codec: str, ptime: int, options: dict[str, str]) -> None:
        self._rate = RATES[codec]
        self._codec = _context(_ENCODERS[codec], "w")
        self._codec.sample_rate, self._codec.layout, self._codec.format = self._rate, "mono", "s16"
        self._codec.time_base = Fraction(1, self._rate)
        if codec == "opus":
            self._codec.bit_rate = int(options.pop("b", "32000"))
            self._codec.options = {"application": "voip", "frame_duration": str(ptime), **options}
        self._at = 0

    def encode(self, samples: Samples) -> bytes:
        frame: Any = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts = self._rate, self._at
        self._at += len(samples)
        return b"".join(bytes(packet) for packet in self._codec.encode(frame))


class AvEar:
    """A decoder of FFmpeg's own."""

    def __init__(self, codec: str) -> None:
        self._codec = _context(_DECODERS[codec], "r")
        self._codec.sample_rate, self._codec.layout = RATES[codec], "mono"

    def decode(self, payload: bytes) -> Samples:
        parts = []
        for frame in self._codec.decode(av.Packet(payload)):
            sound = frame.to_ndarray().reshape(-1)
            if sound.dtype != np.int16:
                sound = np.clip(np.rint(sound * 32768.0), -32768, 32767)
            parts.append(sound.astype(np.int16))
        return np.concatenate(parts) if parts else np.zeros(0, np.int16)
