"""The codecs of those who talk to the mixer: FFmpeg's, by PyAV, and G.711 by its definition.

A `Mouth` encodes and an `Ear` decodes, packet by packet. Must never know: the mixer's own codecs. Opus is encoded
by libopus but decoded by FFmpeg's own decoder, G.722 is FFmpeg's, and so are the decoders of AMR; only AMR-WB has no
encoder but VisualOn's, which the mixer uses, too.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final, Protocol

import av
import numpy as np
from numpy.typing import NDArray

from bench import amr, amr_encoders
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
    if codec in _AMR:
        return AmrMouth(codec, **options)
    return Plain(codec) if codec in ("PCMU", "PCMA", "L16") else AvMouth(codec, ptime, options)


def ear(codec: str) -> Ear:
    """A decoder."""
    if codec in _AMR:
        return AmrEar(codec)
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
_DECODERS: Final = {"opus": "opus", "G722": "g722", "AMR": "amrnb", "AMR-WB": "amrwb"}
_AMR: Final = {"AMR": amr.NARROW, "AMR-WB": amr.WIDE}


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
        elif codec == "AMR":
            self._codec.bit_rate, self._codec.options = 12200, options
        self._at = 0

    def encode(self, samples: Samples) -> bytes:
        frame: Any = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts = self._rate, self._at
        self._at += len(samples)
        return b"".join(bytes(packet) for packet in self._codec.encode(frame))


class AvEar:
    """A decoder of FFmpeg's own."""

    def __init__(self, codec: str, channels: int = 1) -> None:
        self._codec = _context(_DECODERS[codec], "r")
        self._codec.sample_rate, self._codec.layout = RATES[codec], "stereo" if channels == 2 else "mono"

    def decode(self, payload: bytes) -> Samples:
        parts = []
        for frame in self._codec.decode(av.Packet(payload)):
            sound = frame.to_ndarray()
            sound = (sound.T if frame.format.is_planar else sound).reshape(-1)  # channels side by side
            if sound.dtype != np.int16:
                sound = np.clip(np.rint(sound * 32768.0), -32768, 32767)
            parts.append(sound.astype(np.int16))
        return np.concatenate(parts) if parts else np.zeros(0, np.int16)


class AmrMouth:
    """AMR at 12.2 kbit/s, AMR-WB at 12.65: one frame a packet, bandwidth-efficient.

    Attributes:
        request: the mode that it asks to be sent (CMR), 15 for none.
    """

    def __init__(self, codec: str, dtx: str = "0") -> None:
        self._form = _AMR[codec]
        speech = amr_encoders.Narrow if codec == "AMR" else amr_encoders.Wide
        self._speech = speech(dtx=dtx == "1")
        self.request = 15

    def encode(self, samples: Samples) -> bytes:
        return self._form.payload(self._speech.encode(samples), self.request)


class AmrEar:
    """FFmpeg's decoder. It has no comfort noise: of that, and of NO_DATA, silence is heard."""

    def __init__(self, codec: str) -> None:
        self._form, self._speech, self._samples = _AMR[codec], AvEar(codec), RATES[codec] // 50

    def decode(self, payload: bytes) -> Samples:
        if self._form.kind(payload) >= len(self._form.bits) - 1:
            return np.zeros(self._samples, np.int16)
        return self._speech.decode(self._form.frame(payload))
