"""The C libraries of AMR and AMR-WB: the only file that calls them.

opencore-amr decodes both and encodes AMR; vo-amrwbenc encodes AMR-WB. They are the system's, or else those that
some wheels of PyAV bring. Each may be missing; whoever asks for what is missing is told what to install.

Frames are as in the storage format (RFC 4867 section 5.3): an octet with frame type and quality bit, then the speech
bits. The calls release the interpreter lock. Knows nothing of packets.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from cffi import FFI

from mixer.codecs.base import CodecError
from mixer.samples import EMPTY, Samples

_FFI: Final = FFI()
_FFI.cdef(
    """
    void *Decoder_Interface_init(void);
    void Decoder_Interface_Decode(void *state, const unsigned char *frame, short *samples, int bad);
    void Decoder_Interface_exit(void *state);
    void *Encoder_Interface_init(int dtx);
    int Encoder_Interface_Encode(void *state, int mode, const short *samples, unsigned char *frame, int unused);
    void Encoder_Interface_exit(void *state);
    void *D_IF_init(void);
    void D_IF_decode(void *state, const unsigned char *frame, short *samples, int bad);
    void D_IF_exit(void *state);
    void *E_IF_init(void);
    int E_IF_encode(void *state, int mode, const short *samples, unsigned char *frame, int dtx);
    void E_IF_exit(void *state);
    """
)

_LARGEST: Final = 64
"""Octets; more than any frame has."""

_LOST: Final = bytes([15 << 3 | 4, 0])
"""NO_DATA. Not every version of the libraries heeds the flag for bad frames, but each conceals at this."""


class Part(NamedTuple):
    """A decoder or an encoder: where it is and what its functions are called."""

    soname: str
    package: str
    begin: str
    work: str
    end: str
    samples: int
    """in a frame"""


NB_DECODER: Final = Part(
    "libopencore-amrnb.so.0",
    "libopencore-amrnb0",
    "Decoder_Interface_init",
    "Decoder_Interface_Decode",
    "Decoder_Interface_exit",
    160,
)
NB_ENCODER: Final = Part(
    "libopencore-amrnb.so.0",
    "libopencore-amrnb0",
    "Encoder_Interface_init",
    "Encoder_Interface_Encode",
    "Encoder_Interface_exit",
    160,
)
WB_DECODER: Final = Part("libopencore-amrwb.so.0", "libopencore-amrwb0", "D_IF_init", "D_IF_decode", "D_IF_exit", 320)
WB_ENCODER: Final = Part("libvo-amrwbenc.so.0", "libvo-amrwbenc0", "E_IF_init", "E_IF_encode", "E_IF_exit", 320)


class _Functions(NamedTuple):
    begin: Any
    work: Any
    end: Any


def missing(*parts: Part) -> str:
    """What has to be installed for these parts, in words; empty if all are there."""
    packages = sorted({part.package for part in parts if _functions(part) is None})
    return f"a library is missing: apt-get install {' '.join(packages)}" if packages else ""


class SpeechDecoder:
    """The state of one decoder.

    Raises:
        CodecError: if its library is missing, or gives none.
    """

    def __init__(self, part: Part) -> None:
        functions = _found(part)
        self._work = functions.work
        self._samples = part.samples
        self._state = _owned(functions.begin(), functions.end)

    def decode(self, frame: bytes) -> Samples:
        """int16[samples] of a frame that is whole and of a type that the codec has: C does not look."""
        return self._run(frame + b"\0", bad=0)  # one octet is read beyond some

    def conceal(self) -> Samples:
        """int16[samples] in place of a frame that is bad or lost; comfort noise goes on."""
        return self._run(_LOST, bad=1)

    def _run(self, frame: bytes, bad: int) -> Samples:
        samples = np.empty(self._samples, np.int16)
        self._work(self._state, _FFI.from_buffer(frame), _FFI.from_buffer("short[]", samples), bad)
        return np.maximum(samples, EMPTY + 1)


class SpeechEncoder:
    """The state of one encoder; with `dtx` it writes SID and NO_DATA while there is only noise.

    Raises:
        CodecError: if its library is missing, or gives none.
    """

    def __init__(self, part: Part, dtx: bool) -> None:
        functions = _found(part)
        self._work = functions.work
        self._samples = part.samples
        # One library is told of DTX at its beginning, the other with each frame.
        self._dtx = int(dtx)
        begun = functions.begin(self._dtx) if part is NB_ENCODER else functions.begin()
        self._state = _owned(begun, functions.end)
        self._frame = _FFI.new(f"unsigned char[{_LARGEST}]")

    def encode(self, mode: int, samples: Samples) -> bytes:
        """A frame of int16[samples] in a mode that the codec has: C does not look.

        Raises:
            CodecError: if the library returns none, or the wrong number of samples was given.
        """
        if samples.shape != (self._samples,):
            raise CodecError(f"a frame has {self._samples} samples, not {samples.shape}")
        speech = _FFI.from_buffer("short[]", samples.copy())  # it filters them where they stand, const or not
        octets = self._work(self._state, mode, speech, self._frame, self._dtx)
        if not 0 < octets <= _LARGEST:
            raise CodecError(f"the library encoded 20 ms to {octets} octets")
        return bytes(_FFI.buffer(self._frame, octets))


def candidates(soname: str) -> Iterator[str]:
    """Where a library may be: wherever the system's loader looks, then beside PyAV."""
    yield soname
    if (av := find_spec("av")) and av.origin:
        beside = Path(av.origin).parent.with_name("av.libs")
        yield from map(str, sorted(beside.glob(f"{soname.removesuffix('.so.0')}*.so*")))


@cache
def _functions(part: Part) -> _Functions | None:
    for name in candidates(part.soname):
        try:
            library = _FFI.dlopen(name)
            return _Functions(*(getattr(library, function) for function in (part.begin, part.work, part.end)))
        except (OSError, AttributeError):  # no such library; one that was built without this part
            continue
    return None


def _found(part: Part) -> _Functions:
    functions = _functions(part)
    if functions is None:
        raise CodecError(missing(part))
    return functions


def _owned(state: Any, end: Any) -> Any:
    if state == _FFI.NULL:
        raise CodecError("the library has no memory for another stream")
    return _FFI.gc(state, end)
