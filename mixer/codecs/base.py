"""What a codec is to the mixer. Two kinds, and nothing of the mixer asks further.

    Table    has no memory: a matrix of payloads is a matrix of samples, in one expression
    Coder    has memory: a decoder for each leg that is decoded, an encoder for each thing that is heard

RTP counts time by a clock that need not be the sampling rate: G.722 has a clock of 8000 Hz and samples at
16000, Opus has 48000 and samples as its user likes. `clock` is always the first, `rate` the second.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mixer.samples import Samples

Octets: TypeAlias = NDArray[np.uint8]

HEAD: Final = 16
"""Octets of a payload that `Coder.peek` sees."""


class CodecError(Exception):
    """A payload is not of this codec, or a library refused what it was asked for."""


class Decoder(Protocol):
    """What one leg says, packet by packet in the order of their timestamps. May be used by any thread, one at a
    time. Everything it returns is int16[samples], one channel, without `EMPTY`."""

    def decode(self, payload: bytes) -> Samples:
        """The samples of the next packet.

        Raises:
            CodecError: it is corrupt. The decoder goes on with the next one.
        """

    def recover(self, payload: bytes, samples: int) -> Samples | None:
        """The lost packet before this one, from what this one repeats of it (in-band FEC); None if it repeats
        nothing. The packet itself is still to be decoded, after this.

        Args:
            samples: how long the lost packet was, at the decoder's rate.
        """

    def conceal(self, samples: int) -> Samples:
        """So many samples that might have been in lost packets."""


class Encoder(Protocol):
    """One stream that somebody hears, packet by packet. May be used by any thread, one at a time."""

    def encode(self, samples: Samples) -> bytes:
        """One packet of int16[samples], or int16[samples, 2] if the encoder is one of two channels.

        Raises:
            CodecError: if the library refuses it.
        """

    def take_over(self, other: Any) -> None:
        """Go on where another encoder of the same kind stands, so that a receiver that heard that one notices
        nothing. `other` is not changed."""

    def request(self, mode: int | None) -> None:
        """The receiver asks for a mode (RFC 4867 CMR); None if it asks for none any more. Codecs without modes take no
        notice."""


@dataclass(frozen=True, slots=True)
class Codec(ABC):
    """What every codec has.

    Attributes:
        name: as in the commands of the port.
        payload_type: the default RTP payload type.
        clocks: clock rates that it may have, Hz.
    """

    name: str
    payload_type: int
    clocks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Table(Codec):
    """A codec without memory, sampled at its clock.

    Attributes:
        decode: uint8[packets, octets] to int16[packets, samples], never `EMPTY`.
        encode: int16[packets, samples] to uint8[packets, octets].
        width: octets a sample.
    """

    decode: Callable[[Octets], Samples]
    encode: Callable[[Samples], Octets]
    width: int


@dataclass(frozen=True, slots=True)
class Coder(Codec):
    """A codec with memory."""

    @property
    @abstractmethod
    def missing(self) -> str:
        """What has to be installed for it, in words; empty if nothing is missing."""

    @abstractmethod
    def sampling(self, clock: int, mix: int) -> int:
        """The rate, Hz, at which to decode for a mix of `mix` Hz, and to encode from it."""

    @abstractmethod
    def peek(self, head: Octets, length: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Look at payloads without decoding them.

        Args:
            head: uint8[n, HEAD], how they begin; what is beyond their length is garbage.
            length: int64[n], octets.

        Returns:
            How long each lasts, int64[n], in units of the clock, 0 if it can't be a payload of this codec; and
            bool[n], True unless it says of itself that nobody speaks in it (DTX, SID, voice activity).
        """

    seamless: ClassVar[bool] = True
    """A receiver can be handed from one encoder to another that was given the same: it agrees with it at once. Of
    other codecs it must be done in a pause."""

    requests: ClassVar[bool] = False
    """Payloads carry requests for the mode to be sent."""

    def requested_modes(self, head: Octets, length: NDArray[np.int64]) -> NDArray[np.int64]:
        """The modes that senders of payloads ask to be sent, int64[n], -1 where they ask for none. Arguments as of
        `peek`; to be heeded only where that gives a duration."""
        return np.full(len(length), -1, np.int64)

    @abstractmethod
    def decoder(self, rate: int) -> Decoder:
        """A decoder of what one leg sends, to one channel of `rate` Hz.

        Raises:
            CodecError: if the library refuses.
        """

    @abstractmethod
    def encoder(self, rate: int, ptime: int, settings: Any) -> Encoder:
        """An encoder from `rate` Hz; `ptime` in ms; `settings` is the part of `LegAdd` for this codec, or None.

        Raises:
            CodecError: if the library refuses.
        """
