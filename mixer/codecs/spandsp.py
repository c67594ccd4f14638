"""G.722 encoders of libspandsp, if the system has it: the only ones whose state can be copied.

A listener's decoder follows one encoder and no other: G.722 adapts backwards, so an encoder that has not lived
through the same samples is heard as a burst. The Python package G722 hides its state. libspandsp initialises a
state in memory of the caller, and that state holds no pointers, so a copy of the memory is a second encoder at
the same point. Both are the same code in origin and give the same octets. The interpreter lock is not held while
libspandsp encodes.

Must not know RTP, nor what an encoder is for.
"""

from __future__ import annotations

from typing import Any, Final

from cffi import FFI

from mixer.samples import Samples

NAMES: Final = ("libspandsp.so.2", "libspandsp.so.3")
"""Debian's, and that of FreeSWITCH: same functions, same signatures."""

ROOM: Final = 4096
"""Octets for a state, of which the versions above use 172 and less than 1000."""

BIT_RATE: Final = 64000

_FFI: Final = FFI()
_FFI.cdef("""
    void *g722_encode_init(void *state, int rate, int options);
    int g722_encode(void *state, uint8_t octets[], const int16_t samples[], int length);
""")


def load(names: tuple[str, ...] = NAMES) -> Any:
    """The first of these libraries that can be loaded, or None."""
    for name in names:
        try:
            return _FFI.dlopen(name)
        except OSError:
            continue
    return None


LIBRARY: Final[Any] = load()


class State:
    """A G.722 encoder of 64 kbit/s, sampled at 16000 Hz. Only where `LIBRARY` is not None."""

    def __init__(self) -> None:
        self.memory: Any = _FFI.new("char[]", ROOM)
        LIBRARY.g722_encode_init(self.memory, BIT_RATE, 0)

    def encode(self, samples: Samples) -> bytes:
        """int16[2 n], contiguous, to n octets."""
        octets = bytearray(len(samples) // 2)
        LIBRARY.g722_encode(self.memory, _FFI.from_buffer(octets), _FFI.from_buffer("int16_t[]", samples), len(samples))
        return bytes(octets)

    def copy_from(self, other: State) -> None:
        """Be where `other` is."""
        _FFI.memmove(self.memory, other.memory, ROOM)
