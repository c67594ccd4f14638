"""AMR and AMR-WB by opencore's and VisualOn's encoders, libraries of the distribution: FFmpeg has only decoders.

PyAV's wheel for Python 3.11 brings opencore's along; later ones have none.
"""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Final

import cffi
import numpy as np
from numpy.typing import NDArray

from bench.codec import CodecError, Samples

_LARGEST: Final = 64
"""Octets that no frame exceeds."""

_ffi = cffi.FFI()
_ffi.cdef(
    """
    void *Encoder_Interface_init(int dtx);
    int Encoder_Interface_Encode(void *state, int mode, const short *speech, unsigned char *out, int force_speech);
    void Encoder_Interface_exit(void *state);

    void *E_IF_init(void);
    int E_IF_encode(void *state, int mode, const short *speech, unsigned char *out, int dtx);
    void E_IF_exit(void *state);
    """
)


class Encoder(ABC):
    """One stream.

    Raises:
        CodecError: the library is missing.
    """

    library: ClassVar[str]
    frame: ClassVar[int]
    """Samples in 20 ms."""

    def __init__(self, *, dtx: bool) -> None:
        self._functions, self._dtx = load(self.library), int(dtx)
        self._out = _ffi.new("unsigned char[]", _LARGEST)
        self._state = self._begin()

    def encode(self, samples: NDArray[np.generic]) -> bytes:
        """int16[frame] as a frame as files have it."""
        speech = _ffi.new("short[]", samples.tolist())  # a copy: opencore writes into it
        return bytes(_ffi.buffer(self._out, self._encode(speech)))

    @abstractmethod
    def _begin(self) -> Any:
        """The library's state."""

    @abstractmethod
    def _encode(self, speech: Any) -> int:
        """How many octets of `_out` the frame has."""

    @classmethod
    def frames(cls, samples: Samples, dtx: bool) -> list[bytes]:
        """Frames of 20 ms as files have them; the samples are int16 at the codec's rate.

        Raises:
            CodecError: the library is missing.
        """
        encoder, size = cls(dtx=dtx), cls.frame
        return [encoder.encode(samples[at : at + size]) for at in range(0, len(samples) - size + 1, size)]


class Narrow(Encoder):
    """AMR at 12.2 kbit/s, what networks use; 8000 Hz."""

    library, frame, _mode = "libopencore-amrnb", 160, 7

    def _begin(self) -> Any:
        return _ffi.gc(self._functions.Encoder_Interface_init(self._dtx), self._functions.Encoder_Interface_exit)

    def _encode(self, speech: Any) -> int:
        return int(self._functions.Encoder_Interface_Encode(self._state, self._mode, speech, self._out, 0))


class Wide(Encoder):
    """AMR-WB at 12.65 kbit/s, what networks use; 16000 Hz."""

    library, frame, _mode = "libvo-amrwbenc", 320, 2

    def _begin(self) -> Any:
        return _ffi.gc(self._functions.E_IF_init(), self._functions.E_IF_exit)

    def _encode(self, speech: Any) -> int:
        return int(self._functions.E_IF_encode(self._state, self._mode, speech, self._out, self._dtx))


@cache
def load(name: str) -> Any:
    """A library of the distribution, or of PyAV's wheel.

    Raises:
        CodecError: it is missing.
    """
    package = importlib.util.find_spec("av")
    wheel = Path(package.origin).parent.parent / "av.libs" if package and package.origin else Path("av.libs")
    for file in (f"{name}.so.0", *map(str, sorted(wheel.glob(f"{name}*")))):
        try:
            return _ffi.dlopen(file)
        except OSError:
            continue
    raise CodecError(f"no {name} to encode with: apt-get install {name}0")
