"""libopus over numpy memory: the only file that calls it.

It comes with PyAV's wheel, or from the system, and is called through its ABI; every call releases the GIL. The
state of a decoder and of an encoder is memory of ours, without pointers into itself: nothing has to be freed, and
one encoder goes on where another stands by a copy. Knows nothing of settings, RTP and mixes.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from cffi import FFI

from mixer.codecs.base import CodecError
from mixer.samples import EMPTY, Samples

LONGEST: Final = 1200
"""Octets of a packet that an encoder may make: with all headers it fits the least MTU of IPv6."""

AUDIO: Final = 2049
LOW_DELAY: Final = 2051
"""Applications: the whole codec, and CELT alone."""

BITRATE: Final = 4002
MAX_BANDWIDTH: Final = 4004
VBR: Final = 4006
BANDWIDTH: Final = 4008
COMPLEXITY: Final = 4010
INBAND_FEC: Final = 4012
LOSS_PERCENT: Final = 4014
DTX: Final = 4016
FORCE_CHANNELS: Final = 4022
SIGNAL: Final = 4024
"""Requests to an encoder (opus_defines.h)."""

_MAX_MS: Final = 120
_FRAMES: Final = 48
_FFI: Final = FFI()
_FFI.cdef(
    """
    const char *opus_get_version_string(void);
    const char *opus_strerror(int error);
    int opus_decoder_get_size(int channels);
    int opus_decoder_init(void *st, int32_t rate, int channels);
    int opus_decode(void *st, const unsigned char *data, int32_t len, int16_t *pcm, int frame_size, int decode_fec);
    int opus_packet_parse(const unsigned char *data, int32_t len, unsigned char *toc,
                          const unsigned char *frames[48], int16_t size[48], int *offset);
    int opus_packet_get_nb_samples(const unsigned char *data, int32_t len, int32_t rate);
    int opus_encoder_get_size(int channels);
    int opus_encoder_init(void *st, int32_t rate, int channels, int application);
    int opus_encoder_ctl(void *st, int request, ...);
    int opus_encode(void *st, const int16_t *pcm, int frame_size, unsigned char *data, int32_t max_data_bytes);
    int opus_repacketizer_get_size(void);
    void *opus_repacketizer_init(void *rp);
    int opus_repacketizer_cat(void *rp, const unsigned char *data, int32_t len);
    int32_t opus_repacketizer_out(void *rp, unsigned char *data, int32_t maxlen);
    """
)


def candidates() -> list[str]:
    """Where libopus may lie, best first. PyAV is looked for, but not imported."""
    spec = importlib.util.find_spec("av")
    wheels = [Path(place).with_name("av.libs") for place in (spec and spec.submodule_search_locations) or ()]
    carried = [str(path) for wheel in wheels for path in sorted(wheel.glob("libopus-*.so*"))]
    return [*carried, "libopus.so.0", "libopus.so"]


@cache
def _library() -> Any | None:
    for name in candidates():
        try:
            return _FFI.dlopen(name)
        except OSError:  # not there, or for another machine
            continue
    return None


def missing() -> str:
    """What has to be installed, in words; empty if libopus is there."""
    return "" if _library() else "libopus is missing: pip install av, or install libopus0 from the distribution"


def version() -> str:
    """As libopus calls itself.

    Raises:
        CodecError: if there is no libopus.
    """
    return bytes(_FFI.string(_loaded().opus_get_version_string())).decode()


def duration(payload: bytes, rate: int) -> int:
    """Samples, at `rate` Hz, in one packet by its header; 0 if it is none."""
    return max(int(_loaded().opus_packet_get_nb_samples(payload, len(payload), rate)), 0)


def _loaded() -> Any:
    library = _library()
    if library is None:
        raise CodecError(missing())
    return library


def _memory(octets: int) -> Any:
    return _FFI.new("uint64_t[]", -(-octets // 8))  # aligned for any member


def _checked(result: int, what: str) -> int:
    if result < 0:
        reason = bytes(_FFI.string(_loaded().opus_strerror(result))).decode()
        raise CodecError(f"libopus: {what}: {reason}")
    return result


class DecoderState:
    """One decoder, to one channel of `rate` Hz.

    Raises:
        CodecError: if there is no libopus, or not for this rate.
    """

    def __init__(self, rate: int) -> None:
        library = _loaded()
        self._state = _memory(library.opus_decoder_get_size(1))
        _checked(library.opus_decoder_init(self._state, rate, 1), f"no decoder to {rate} Hz")
        self.longest = rate * _MAX_MS // 1000
        """Samples of the longest packet, and the most to ask for at once."""
        self._pcm = _FFI.new("int16_t[]", self.longest)
        self._samples = np.frombuffer(_FFI.buffer(self._pcm), np.int16)
        self._frames = _FFI.new("const unsigned char *[]", _FRAMES)
        self._sizes = _FFI.new("int16_t[]", _FRAMES)
        self._decode = library.opus_decode
        self._parse = library.opus_packet_parse

    def decode(self, payload: bytes) -> Samples:
        """The samples of one packet: int16[samples], never `EMPTY`.

        Raises:
            CodecError: it is corrupt.
        """
        if not payload:  # to libopus, a lost packet
            raise CodecError("libopus: a packet without octets")
        return self._run(payload, self.longest, 0)

    def repeated(self, payload: bytes, samples: int) -> Samples:
        """The `samples` before this packet, by what it repeats; a multiple of 2.5 ms.

        Raises:
            CodecError: it is corrupt.
        """
        return self._run(payload, samples, 1)

    def lost(self, samples: int) -> Samples:
        """What might have been in lost packets; a multiple of 2.5 ms, at most `longest`."""
        return self._run(_FFI.NULL, samples, 0)

    def _run(self, payload: Any, samples: int, fec: int) -> Samples:
        octets = len(payload) if payload else 0
        count = self._decode(self._state, payload, octets, self._pcm, samples, fec)
        if count < 0:
            _checked(count, f"a packet of {octets} octets")
        result: Samples = np.maximum(self._samples[:count], EMPTY + 1)
        return result

    def first_frame(self, payload: bytes) -> bytes:
        """The first octet of the first frame of a packet; nothing if it has none, or is corrupt."""
        frames = self._parse(payload, len(payload), _FFI.NULL, self._frames, self._sizes, _FFI.NULL)
        return bytes(self._frames[0][0:1]) if frames > 0 and self._sizes[0] > 0 else b""


class EncoderState:
    """One encoder of packets of a length that libopus knows, or of several frames each.

    Args:
        rate, channels: of what it is fed with.
        samples: of each channel, in one frame.
        frames: in one packet; if several, each frame must be coded alike, so fix mode, bandwidth and channels.

    Raises:
        CodecError: if there is no libopus, or it does not encode so.
    """

    def __init__(self, rate: int, channels: int, application: int, samples: int, frames: int = 1) -> None:
        library = _loaded()
        self._size = library.opus_encoder_get_size(channels)
        self._state = _memory(self._size)
        _checked(library.opus_encoder_init(self._state, rate, channels, application), f"no encoder from {rate} Hz")
        self._shape = (samples * frames, channels) if channels > 1 else (samples * frames,)
        self._frame, self._step, self._count = samples, samples * channels, frames
        self._room = LONGEST if frames == 1 else (LONGEST - 8) // frames
        self._octets = _FFI.new("unsigned char[]", LONGEST)
        self._encode = library.opus_encode
        if frames > 1:
            self._parts = [_FFI.new("unsigned char[]", self._room) for _ in range(frames)]
            self._packer = _memory(library.opus_repacketizer_get_size())

    def control(self, request: int, value: int) -> bool:
        """Set something. Returns False if this libopus does not know it, or refuses the value."""
        return bool(_loaded().opus_encoder_ctl(self._state, request, _FFI.cast("int32_t", value)) == 0)

    def encode(self, samples: Samples) -> bytes:
        """One packet of int16[samples] or int16[samples, 2].

        Raises:
            CodecError: if it is given anything else.
        """
        if samples.shape != self._shape or samples.dtype != np.int16:
            raise CodecError(f"Opus: {samples.dtype}{list(samples.shape)} given, int16{list(self._shape)} wanted")
        pcm = _FFI.from_buffer("int16_t[]", np.ascontiguousarray(samples))
        if self._count > 1:
            return self._packed(pcm)
        octets = self._encode(self._state, pcm, self._frame, self._octets, LONGEST)
        if octets < 0:
            _checked(octets, "encode")
        return bytes(_FFI.buffer(self._octets, octets))

    def _packed(self, pcm: Any) -> bytes:
        library = _loaded()
        library.opus_repacketizer_init(self._packer)
        for index, part in enumerate(self._parts):
            octets = _checked(
                self._encode(self._state, pcm + index * self._step, self._frame, part, self._room), "encode"
            )
            _checked(library.opus_repacketizer_cat(self._packer, part, octets), "frames of one packet differ")
        octets = _checked(library.opus_repacketizer_out(self._packer, self._octets, LONGEST), "pack")
        return bytes(_FFI.buffer(self._octets, octets))

    def copy(self, other: EncoderState) -> None:
        """Become what `other` is, an encoder made with the same arguments.

        Raises:
            CodecError: it was not.
        """
        if (other._size, other._shape, other._count) != (self._size, self._shape, self._count):
            raise CodecError("Opus: an encoder can only go on where one of its own kind stands")
        _FFI.memmove(self._state, other._state, self._size)
