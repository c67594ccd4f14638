"""Codecs with memory for the measuring end: Opus, G.722, AMR and AMR-WB by FFmpeg's, through PyAV.

The mixer calls libraries of its own choice; what decodes here shares no line with them but for G.722's standard:
Opus is decoded by FFmpeg's native decoder and not by libopus, AMR by FFmpeg's and not by OpenCORE. FFmpeg has no
encoder of AMR: see `bench.amr_encoders`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal, TypeAlias

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.error import FFmpegError

from bench import amr, amr_encoders
from bench.codec import CodecError, Octets, Samples
from bench.coder import Quiet

Encode: TypeAlias = Callable[[Samples, bool], list[bytes]]

_JUDGED: Final = 8000
_LEAD_S: Final = 1
"""An encoder in DTX needs so long to settle."""

_UPDATE: Final = 20
"""Opus sends a whole packet in every 400 ms of DTX."""


@dataclass(frozen=True)
class Lossy:
    """One codec of FFmpeg.

    Attributes:
        sampling: what it samples at, Hz.
        encode: int16[n] to packets of 20 ms as FFmpeg has them; the flag asks for DTX. `encode_background` is what
            legs use that do not talk, if another one.
        decoder: FFmpeg's name of the decoder.
        wrap: from a packet of FFmpeg's to an RTP payload, and `unwrap` back.
    """

    name: str
    clock: int
    sampling: int
    payload_type: int
    largest: int
    rest_limit_db: float
    heard_limit_db: float
    quiets: tuple[Quiet, ...]
    encode: Encode
    decoder: str
    encode_background: Encode | None = None
    wrap: Callable[[bytes], bytes] = bytes
    unwrap: Callable[[bytes], bytes] = bytes
    fixed: bool = False
    rate: int = _JUDGED

    def packets(self, sound: Samples) -> list[bytes]:
        """Payloads of 20 ms; the sound is 8000 Hz."""
        return [self.wrap(packet) for packet in self._encoded(sound, self.encode, dtx=False)]

    def background(self, sound: Samples) -> list[bytes]:
        """The same of a leg that does not talk."""
        return [self.wrap(packet) for packet in self._encoded(sound, self.encode_background or self.encode, dtx=False)]

    def sound(self, payloads: Sequence[Octets]) -> Samples:
        """What FFmpeg hears; 20 ms of silence for a payload that it refuses."""
        context = _context(self.decoder, "r", self.sampling)
        heard = np.zeros((len(payloads), self.sampling // 50), np.float32)
        for place, payload in enumerate(payloads):
            samples = _decode(context, self.unwrap(bytes(payload)))
            heard[place, : len(samples)] = samples[: heard.shape[1]]
        return resample(heard.ravel(), len(payloads) * _JUDGED // 50) if len(payloads) else heard.ravel()

    def pauses(self) -> list[bytes]:
        """Two seconds of DTX."""
        rng = np.random.default_rng(6464)
        faint = (rng.standard_normal((2 + _LEAD_S) * _JUDGED) * 1e-4).astype(np.float32)
        if self.name == "opus":
            return _opus_pauses(self.background(faint)[_LEAD_S * 50 :])
        return [self.wrap(packet) for packet in self._encoded(faint, self.encode, dtx=True)[_LEAD_S * 50 :]]

    def _encoded(self, sound: Samples, encode: Encode, *, dtx: bool) -> list[bytes]:
        count = len(sound) * 50 // _JUDGED
        wide = resample(sound, len(sound) * self.sampling // _JUDGED)
        return encode(np.clip(np.rint(wide * 32768), -32768, 32767).astype(np.int16), dtx)[:count]


def lossy(name: str, bitrate: int = 32000) -> Lossy:
    """The codec of that name.

    Raises:
        CodecError: there is none, or it needs a library that is missing.
    """
    if name == "opus":
        return _opus(bitrate)
    if name == "G722":
        encode = _encoder("g722", 16000)
        quiets: tuple[Quiet, ...] = ("silence", "level127", "sound")
        return Lossy(name, 8000, 16000, 9, 160, -15.0, -6.0, quiets, encode, "g722", fixed=True)
    if name == "AMR":
        return _amr(name, 8000, (-3.5, -6.0), amr.NARROW, amr_encoders.Narrow)
    if name == "AMR-WB":
        return _amr(name, 16000, (-2.2, -9.0), amr.WIDE, amr_encoders.Wide)
    raise CodecError(f"no codec {name!r}: choose opus, G722, AMR or AMR-WB")


def _opus(bitrate: int) -> Lossy:
    """Talkers in CELT, everybody else in whatever a telephone would choose, which is SILK or both.

    Decoders of SILK may differ in what they resample with, and so by some microseconds: too much for a judge who
    takes what was said out of what is heard.
    """
    return Lossy(
        name="opus",
        clock=48000,
        sampling=48000,
        payload_type=111,
        largest=max(240, bitrate // 100),
        rest_limit_db=-4.5,
        heard_limit_db=-6.0,
        quiets=("silence", "dtx", "level127", "sound"),
        encode=_encoder("libopus", 48000, bitrate, {"application": "lowdelay", "frame_duration": "20"}),
        encode_background=_encoder("libopus", 48000, bitrate, {"application": "voip", "frame_duration": "20"}),
        decoder="opus",
    )


def _amr(
    name: str, rate: int, limits_db: tuple[float, float], form: amr.Form, encoder: type[amr_encoders.Encoder]
) -> Lossy:
    amr_encoders.load(encoder.library)  # or say now that it is missing
    return Lossy(
        name=name,
        clock=rate,
        sampling=rate,
        payload_type=112 if form is amr.NARROW else 113,
        largest=64,
        rest_limit_db=limits_db[0],
        heard_limit_db=limits_db[1],
        quiets=("silence", "dtx", "level127", "sound"),
        encode=encoder.frames,
        decoder="amrnb" if form is amr.NARROW else "amrwb",
        wrap=form.payload,
        unwrap=form.frame,
    )


def resample(sound: Samples, count: int) -> Samples:
    """The same sound in `count` samples, exactly: by its spectrum, taken to be periodic."""
    spectrum = np.fft.rfft(sound)
    if count < len(sound):
        spectrum = spectrum[: count // 2 + 1]
    return np.asarray(np.fft.irfft(spectrum, count) * (count / max(1, len(sound))), np.float32)


def _encoder(name: str, rate: int, bitrate: int = 0, options: dict[str, str] | None = None) -> Encode:
    def encode(samples: Samples, dtx: bool) -> list[bytes]:
        context = _context(name, "w", rate)
        if bitrate:
            context.bit_rate = bitrate
        context.options = (options or {}) | ({"dtx": "1"} if dtx else {})
        size = rate // 50
        packets: list[bytes] = []
        for at in range(0, len(samples) - size + 1, size):
            frame = AudioFrame.from_ndarray(samples[None, at : at + size], format="s16", layout="mono")
            frame.sample_rate, frame.pts = rate, at
            packets += map(bytes, context.encode(frame))
        return packets + [bytes(packet) for packet in context.encode(None)]

    return encode


def _context(name: str, mode: Literal["r", "w"], rate: int) -> AudioCodecContext:
    try:
        context = av.CodecContext.create(name, mode)
    except (FFmpegError, ValueError) as error:
        raise CodecError(f"this PyAV has no codec {name!r}: pip install 'av>=14' from a wheel") from error
    assert isinstance(context, AudioCodecContext)
    context.sample_rate, context.layout = rate, "mono"
    if mode == "w":
        context.format, context.time_base = "s16", Fraction(1, rate)
    return context


def _decode(context: AudioCodecContext, packet: bytes) -> Samples:
    try:
        frames = context.decode(av.Packet(packet)) if packet else []
    except FFmpegError:
        return np.zeros(0, np.float32)
    parts = [frame.to_ndarray().ravel() for frame in frames]
    scaled = [part.astype(np.float32) / (32768 if part.dtype == np.int16 else 1) for part in parts]
    return np.concatenate([np.zeros(0, np.float32), *scaled])


def _opus_pauses(packets: list[bytes]) -> list[bytes]:
    """A whole packet in every 400 ms, else a TOC octet with no frame behind it (RFC 6716 section 3.1), which is what
    libopus makes in DTX. FFmpeg has no option for it."""
    return [packet if place % _UPDATE == 0 else bytes([packet[0] & 0xFC]) for place, packet in enumerate(packets)]
