"""G.722 at 64 kbit/s (ITU-T G.722 mode 1, RFC 3551 section 4.5.2): sampled at 16000 Hz, with an RTP clock of 8000.

An octet is two samples, one unit of the clock and 125 us: 160 octets are 20 ms. The codec has no DTX and repeats
nothing of earlier packets; gaps are filled as the playout fills those of codecs without memory.

Decoding is done by the Python package G722, which holds the interpreter lock. Encoding is done by libspandsp
where there is one, because only its encoders can take over from another without a trace.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from mixer import conceal
from mixer.codecs import spandsp
from mixer.codecs.base import CodecError, Coder, Decoder, Encoder, Octets
from mixer.samples import EMPTY, Samples

try:
    import G722 as _package
except ImportError:
    _package = None

RATE: Final = 16000
LONGEST: Final = 960
"""Octets of a payload at most: 120 ms."""
PRIMERS: Final = 3
"""Packets that an encoder without a copy of the state is prepared with."""


@dataclass(frozen=True, slots=True)
class G722(Coder):
    """G.722, one channel."""

    name: str = "G722"
    payload_type: int = 9
    clocks: tuple[int, ...] = (8000,)
    seamless: ClassVar[bool] = False

    @property
    def missing(self) -> str:
        return "" if _package is not None else "the Python package G722 (pip install G722)"

    def sampling(self, clock: int, mix: int) -> int:
        return RATE

    def peek(self, head: Octets, length: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Any octet is G.722: only the length tells, and nothing says that nobody speaks."""
        return np.where(length > LONGEST, 0, length), np.ones(len(length), bool)

    def decoder(self, rate: int) -> Decoder:
        self._check(rate)
        return G722Decoder()

    def encoder(self, rate: int, ptime: int, settings: Any) -> Encoder:
        self._check(rate)
        return CopyingEncoder() if spandsp.LIBRARY is not None else PrimedEncoder()

    def _check(self, rate: int) -> None:
        if self.missing:
            raise CodecError(f"G.722 needs {self.missing}")
        if rate != RATE:
            raise CodecError(f"G.722 is sampled at {RATE} Hz, not at {rate}")


class G722Decoder:
    """What one leg says: see `Decoder`."""

    def __init__(self) -> None:
        self._codec = _package.G722(RATE, spandsp.BIT_RATE)
        self._past: Samples = np.zeros(conceal.HISTORY_MS * RATE // 1000, np.int16)
        self._lost = 0

    def decode(self, payload: bytes) -> Samples:
        """int16[two an octet]; after concealment, its first 4 ms are blended in.

        Raises:
            CodecError: if it is empty or lasts longer than 120 ms.
        """
        if not 0 < len(payload) <= LONGEST:
            raise CodecError(f"a G.722 payload has 1 to {LONGEST} octets, not {len(payload)}")
        samples: Samples = np.frombuffer(self._codec.decode(payload), np.int16)
        samples = self._mend(samples, missing=False) if self._lost else np.maximum(samples, EMPTY + 1)
        self._lost = 0
        self._remember(samples)
        return samples

    def recover(self, payload: bytes, samples: int) -> Samples | None:
        """G.722 repeats nothing."""
        return None

    def conceal(self, samples: int) -> Samples:
        """Repeat the last pitch period, fading to silence within 60 ms: see `mixer.conceal`."""
        invented = self._mend(np.full(samples, EMPTY, np.int16), missing=True)
        self._lost += samples
        self._remember(invented)
        return invented

    def _mend(self, samples: Samples, *, missing: bool) -> Samples:
        gaps = np.full((1, len(samples)), missing)
        lost = np.array([self._lost], np.int64)
        mended: Samples = conceal.mend(self._past[None], samples[None], gaps, lost, RATE)[0]
        return np.maximum(mended, EMPTY + 1)

    def _remember(self, samples: Samples) -> None:
        self._past = np.concatenate((self._past, samples))[-len(self._past) :]


class CopyingEncoder:
    """An encoder of libspandsp: see `Encoder`. What takes over is exactly where the other stood."""

    def __init__(self) -> None:
        self._state = spandsp.State()

    def encode(self, samples: Samples) -> bytes:
        """Two samples to an octet.

        Raises:
            CodecError: not int16 of one channel, or an odd number of them.
        """
        return self._state.encode(_accepted(samples))

    def take_over(self, other: CopyingEncoder) -> None:
        self._state.copy_from(other._state)

    def request(self, mode: int | None) -> None:
        """G.722 over RTP has one mode."""


class PrimedEncoder:
    """An encoder of the package: see `Encoder`. What takes over has encoded the last 60 ms (of packets of 20 ms)
    that the other did: instead of a burst of full scale, a listener hears some noise for as long."""

    def __init__(self) -> None:
        self._codec = _package.G722(RATE, spandsp.BIT_RATE)
        self._last: deque[Samples] = deque(maxlen=PRIMERS)

    def encode(self, samples: Samples) -> bytes:
        """Two samples to an octet.

        Raises:
            CodecError: not int16 of one channel, or an odd number of them.
        """
        samples = _accepted(samples)
        self._last.append(samples.copy())
        return bytes(self._codec.encode(samples))

    def take_over(self, other: PrimedEncoder) -> None:
        self._codec = _package.G722(RATE, spandsp.BIT_RATE)
        self._last = other._last.copy()
        for samples in self._last:
            self._codec.encode(samples)

    def request(self, mode: int | None) -> None:
        """G.722 over RTP has one mode."""


def _accepted(samples: Samples) -> Samples:
    if samples.dtype != np.int16 or samples.ndim != 1 or len(samples) % 2:
        raise CodecError(
            f"G.722 encodes an even number of int16 of one channel, not {samples.dtype} of shape {samples.shape}"
        )
    return np.ascontiguousarray(samples)
