"""AMR by opencore's encoder: a library of the distribution, or of PyAV's wheel on Python 3.11; later ones have none."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any, Final

import cffi
import numpy as np
from numpy.typing import NDArray

from bench.codec import CodecError, Samples

_LIBRARY: Final = "libopencore-amrnb.so.0"
_FRAME: Final = 160
_MODE: Final = 7
"""12.2 kbit/s, what networks use."""

_LARGEST: Final = 64
_ffi = cffi.FFI()
_ffi.cdef(
    """
    void *Encoder_Interface_init(int dtx);
    int Encoder_Interface_Encode(void *state, int mode, const short *speech, unsigned char *out, int force_speech);
    void Encoder_Interface_exit(void *state);
    """
)


@cache
def library() -> Any:
    """The library.

    Raises:
        CodecError: it is missing.
    """
    package = importlib.util.find_spec("av")
    wheel = Path(package.origin).parent.parent / "av.libs" if package and package.origin else Path("av.libs")
    for name in (_LIBRARY, *map(str, sorted(wheel.glob("libopencore-amrnb*")))):
        try:
            return _ffi.dlopen(name)
        except OSError:
            continue
    raise CodecError(f"no {_LIBRARY} to encode AMR with: apt-get install libopencore-amrnb0")


class Encoder:
    """One stream.

    Raises:
        CodecError: the library is missing.
    """

    def __init__(self, *, dtx: bool) -> None:
        self._library = library()
        self._state = _ffi.gc(self._library.Encoder_Interface_init(int(dtx)), self._library.Encoder_Interface_exit)
        self._out = _ffi.new("unsigned char[]", _LARGEST)

    def encode(self, samples: NDArray[np.generic]) -> bytes:
        """int16[160] at 8000 Hz as a frame as files have it."""
        speech = _ffi.new("short[]", samples.tolist())  # a copy: the library writes into it
        size = self._library.Encoder_Interface_Encode(self._state, _MODE, speech, self._out, 0)
        return bytes(_ffi.buffer(self._out, size))


def encode(samples: Samples, dtx: bool) -> list[bytes]:
    """Frames of 20 ms as files have them; the samples are int16 at 8000 Hz.

    Raises:
        CodecError: the library is missing.
    """
    encoder = Encoder(dtx=dtx)
    return [encoder.encode(samples[at : at + _FRAME]) for at in range(0, len(samples) - _FRAME + 1, _FRAME)]
