"""AMR-WB by VisualOn's encoder, a library of the distribution: FFmpeg's wheels have only a decoder."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import cffi
import numpy as np
from numpy.typing import NDArray

from bench.codec import CodecError, Samples

_LIBRARY: Final = "libvo-amrwbenc.so.0"
_FRAME: Final = 320
_MODE: Final = 2
"""12.65 kbit/s, what networks use."""

_LARGEST: Final = 64
_ffi = cffi.FFI()
_ffi.cdef(
    """
    void *E_IF_init(void);
    int E_IF_encode(void *state, int mode, const short *speech, unsigned char *out, int dtx);
    void E_IF_exit(void *state);
    """
)


@cache
def library() -> Any:
    """The library.

    Raises:
        CodecError: it is missing.
    """
    try:
        return _ffi.dlopen(_LIBRARY)
    except OSError as error:
        raise CodecError(f"no {_LIBRARY} to encode AMR-WB with: apt-get install libvo-amrwbenc0") from error


class Encoder:
    """One stream.

    Raises:
        CodecError: the library is missing.
    """

    def __init__(self, *, dtx: bool) -> None:
        self._library, self._dtx = library(), int(dtx)
        self._state = _ffi.gc(self._library.E_IF_init(), self._library.E_IF_exit)
        self._out = _ffi.new("unsigned char[]", _LARGEST)

    def encode(self, samples: NDArray[np.generic]) -> bytes:
        """int16[320] at 16000 Hz as a frame as files have it."""
        speech = _ffi.from_buffer("short[]", samples.tobytes())
        size = self._library.E_IF_encode(self._state, _MODE, speech, self._out, self._dtx)
        return bytes(_ffi.buffer(self._out, size))


def encode(samples: Samples, dtx: bool) -> list[bytes]:
    """Frames of 20 ms as files have them; the samples are int16 at 16000 Hz.

    Raises:
        CodecError: the library is missing.
    """
    encoder = Encoder(dtx=dtx)
    return [encoder.encode(samples[at : at + _FRAME]) for at in range(0, len(samples) - _FRAME + 1, _FRAME)]
