"""Files of recordings, of two kinds. Both can be played while they grow, and after a crash of the process.

    WavFile    16 bit PCM; its header is put right after each piece
    OpusFile   Opus in Matroska, a cluster a second, each of which can be read without what follows

Every error is an `OSError`. Must never know: conferences, threads, or how long a file may become.
"""

from __future__ import annotations

import errno
import os
import struct
from fractions import Fraction
from typing import Final, Protocol

import av
import numpy as np
from numpy.typing import NDArray

WAV_HEADER: Final = 44
WAV_MOST: Final = (1 << 32) - (1 << 20)
"""Octets of a file whose header can tell of all of them; a last second always fits behind it."""
ENCODER: Final = "libopus"
BIT_RATE: Final = 32_000
"""Of Opus: good speech, 14 MB an hour."""

Samples = NDArray[np.int16]


class RecordFile(Protocol):
    """A file that is being written."""

    @property
    def octets(self) -> int:
        """Written so far."""
        ...

    @property
    def most(self) -> int:
        """What it can hold at most."""
        ...

    def write(self, samples: Samples) -> None:
        """Append int16[n]. What is written can be read after a crash: at once, or a second later."""
        ...

    def close(self) -> None:
        """Complete the file. It is closed also if this raises."""
        ...


class WavFile:
    """RIFF WAVE, mono, 16 bit.

    Args:
        descriptor: of an empty file; taken over.
        rate: Hz.
    """

    most = WAV_MOST

    def __init__(self, descriptor: int, rate: int) -> None:
        self.octets = 0
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
        try:
            self._put(b"RIFF" + struct.pack("<I", WAV_HEADER - 8) + b"WAVE" + form + b"data" + struct.pack("<I", 0))
        except OSError:
            self._file.close()
            raise

    def write(self, samples: Samples) -> None:
        """See `RecordFile`."""
        self._put(samples.astype("<i2").tobytes())
        # Only now: a header never tells of samples that are not there.
        os.pwrite(self._file.fileno(), struct.pack("<I", self.octets - 8), 4)
        os.pwrite(self._file.fileno(), struct.pack("<I", self.octets - WAV_HEADER), WAV_HEADER - 4)

    def close(self) -> None:
        """See `RecordFile`."""
        self._file.close()

    def _put(self, octets: bytes) -> None:
        rest = memoryview(octets)
        while rest:
            done = self._file.write(rest)
            self.octets += done
            rest = rest[done:]


class OpusFile:
    """Opus in Matroska, mono.

    Args:
        descriptor: of an empty file; taken over.
        rate: Hz, one that Opus has: 8000, 12000, 16000, 24000 or 48000.
    """

    most = 1 << 62

    def __init__(self, descriptor: int, rate: int) -> None:
        self._rate, self._at, self._last = rate, 0, 0
        self._file = os.fdopen(descriptor, "r+b", buffering=0)
        # A cluster is kept back until the next one begins.
        options = {"cluster_time_limit": "1000", "flush_packets": "1"}
        try:
            self._container = av.open(self._file, "w", format="matroska", options=options)
            self._stream = self._container.add_stream(ENCODER, rate=rate, layout="mono")
            self._stream.bit_rate = BIT_RATE
            self._container.start_encoding()
        except (av.FFmpegError, OSError, ValueError) as error:  # the last: there is no such encoder
            self._file.close()
            raise _os_error(error) from None

    @property
    def octets(self) -> int:
        """See `RecordFile`."""
        return self._last if self._file.closed else os.fstat(self._file.fileno()).st_size

    def write(self, samples: Samples) -> None:
        """See `RecordFile`."""
        frame = av.AudioFrame.from_ndarray(samples[None, :], format="s16", layout="mono")
        frame.rate, frame.pts, frame.time_base = self._rate, self._at, Fraction(1, self._rate)
        self._at += len(samples)
        self._mux(frame)

    def close(self) -> None:
        """See `RecordFile`."""
        try:
            try:
                self._mux(None)
            finally:
                self._container.close()
        except av.FFmpegError as error:
            raise _os_error(error) from None
        finally:
            self._last = self.octets
            self._file.close()

    def _mux(self, frame: av.AudioFrame | None) -> None:
        try:
            self._container.mux(self._stream.encode(frame))
        except av.FFmpegError as error:
            raise _os_error(error) from None


def _os_error(error: av.FFmpegError | OSError | ValueError) -> OSError:
    if isinstance(error, OSError):
        return error
    if isinstance(error, av.FFmpegError):
        return OSError(error.errno, error.strerror)
    return OSError(errno.ENOSYS, str(error))
