"""AMR and AMR-WB (3GPP TS 26.071 and 26.171) in RTP payloads of RFC 4867, each written in two ways.

Both ways have one name on the wire; which of them a leg means is a matter of its SDP (`octet-align`), so each is a
codec of its own here. The redundancy that RFC 4867 section 4.2 allows is neither sent nor made use of.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from mixer import port
from mixer.codecs import amr_payload, libamr
from mixer.codecs.amr_payload import NO_DATA, SPEECH_LOST, Frame, Sizes
from mixer.codecs.base import CodecError, Coder, Octets
from mixer.samples import Samples

_FRAME_MS: Final = 20
_HISTORY: Final = 5
"""Frames from which a new encoder learns where another stands."""


@dataclass(frozen=True, slots=True)
class Amr(Coder):
    """One of the two codecs, in one of its two ways.

    Attributes:
        octet_aligned: whether payloads are octet-aligned, else bandwidth-efficient.
    """

    octet_aligned: bool
    sizes: Sizes
    speech_decoder: libamr.Part
    speech_encoder: libamr.Part
    seamless: ClassVar[bool] = False
    requests: ClassVar[bool] = True

    @property
    def missing(self) -> str:
        return libamr.missing(self.speech_decoder, self.speech_encoder)

    def sampling(self, clock: int, mix: int) -> int:
        return self.clocks[0]

    def peek(self, head: Octets, length: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        frames, speech = amr_payload.survey(head, length, self.sizes, self.octet_aligned)
        return frames * self.speech_decoder.samples, speech

    def requested_modes(self, head: Octets, length: NDArray[np.int64]) -> NDArray[np.int64]:
        """The modes that senders of payloads want to receive, int64[n], -1 where they ask for none; arguments as of
        `peek`. To be heeded in payloads only that have a duration there."""
        return amr_payload.requested_modes(head, length, self.sizes)

    def decoder(self, rate: int) -> AmrDecoder:
        self._check(rate)
        return AmrDecoder(self)

    def encoder(self, rate: int, ptime: int, settings: port.Amr | None) -> AmrEncoder:
        self._check(rate)
        return AmrEncoder(self, ptime, settings or port.Amr(octet_aligned=self.octet_aligned))

    def _check(self, rate: int) -> None:
        if rate != self.clocks[0]:
            raise CodecError(f"{self.name} is sampled at {self.clocks[0]} Hz, not at {rate}")


class AmrDecoder:
    """A `Decoder`. What is damaged or lost is concealed by the library, as 3GPP TS 26.091 and 26.191 say."""

    def __init__(self, codec: Amr) -> None:
        self._codec = codec
        self._speech = libamr.SpeechDecoder(codec.speech_decoder)
        self._left = np.empty(0, np.int16)

    def decode(self, payload: bytes) -> Samples:
        """int16[160 or 320 a frame].

        Raises:
            CodecError: exactly where `peek` tells no duration; nothing of it is decoded.
        """
        frames = amr_payload.parse(payload, self._codec.sizes, self._codec.octet_aligned)
        self._left = self._left[:0]
        return np.concatenate([self._frame(frame) for frame in frames])

    def recover(self, payload: bytes, samples: int) -> None:
        """Nothing: redundancy is not offered."""
        return

    def conceal(self, samples: int) -> Samples:
        """int16[samples]. The rest of the last frame that this takes is what comes first the next time."""
        while len(self._left) < samples:
            self._left = np.concatenate((self._left, self._speech.conceal()))
        concealed, self._left = np.split(self._left, [samples])
        return concealed

    def _frame(self, frame: Frame) -> Samples:
        if not frame.good or frame.kind in {SPEECH_LOST, NO_DATA}:
            return self._speech.conceal()
        return self._speech.decode(bytes([frame.kind << 3 | 4]) + frame.speech)


class AmrEncoder:
    """An `Encoder`. With DTX, packets of a pause are NO_DATA, which need not be sent, and now and then SID.

    Args:
        ptime: ms, a multiple of 20 up to 120.

    Raises:
        CodecError: a ptime or a mode that the codec has not; settings for the other way of writing; a missing library.
    """

    def __init__(self, codec: Amr, ptime: int, settings: port.Amr) -> None:
        if ptime % _FRAME_MS or not 0 < ptime <= _FRAME_MS * amr_payload.MAX_FRAMES:
            raise CodecError(f"{codec.name} has frames of {_FRAME_MS} ms: no packet of {ptime} ms can be made of them")
        if settings.octet_aligned != codec.octet_aligned:
            raise CodecError(f"these settings are for the other way of writing {codec.name} (octet_aligned)")
        known = amr_payload.speech_modes(codec.sizes)
        if unknown := [mode for mode in (*settings.modes, settings.mode or 0) if mode >= known]:
            raise CodecError(f"{codec.name} has no mode {unknown[0]}: its modes are 0 to {known - 1}")
        self._codec = codec
        self._frames = ptime // _FRAME_MS
        self._dtx = settings.dtx
        self._modes = sorted(settings.modes) or list(range(known))
        self._mode = self._first = self._modes[-1] if settings.mode is None else self._highest(settings.mode)
        self._speech = libamr.SpeechEncoder(codec.speech_encoder, self._dtx)
        self._heard: deque[Samples] = deque(maxlen=_HISTORY)

    @property
    def mode(self) -> int:
        """The mode that the next packet has."""
        return self._mode

    def encode(self, samples: Samples) -> bytes:
        """One packet of int16[ptime]. It asks for no mode (CMR 15).

        Raises:
            CodecError: another number of samples, or two channels.
        """
        expected = self._frames * self._codec.speech_encoder.samples
        if samples.shape != (expected,):
            raise CodecError(f"a packet of {self._codec.name} has {expected} samples here, not {samples.shape}")
        frames = [self._frame(part) for part in samples.reshape(self._frames, -1)]
        return amr_payload.write(frames, self._codec.sizes, self._codec.octet_aligned)

    def take_over(self, other: AmrEncoder) -> None:
        """The state of the library can't be copied, so a fresh one encodes what the other encoded last. What the
        receiver's decoder remembers is then nearly what this one takes it to remember: without this, the first frames
        would be as loud as a click; with it, the worst case, a steady tone, has a ripple some 20 dB below."""
        self._mode = self._highest(other._mode)
        self._speech = libamr.SpeechEncoder(self._codec.speech_encoder, self._dtx)
        self._heard.clear()
        for samples in other._heard:
            self._frame(samples)

    def request(self, mode: int | None) -> None:
        """Go to the highest allowed mode that is not above this one, or to the lowest there is (section 3.3.1); None is
        the one that it began with."""
        self._mode = self._first if mode is None else self._highest(mode)

    def _highest(self, mode: int) -> int:
        return max((allowed for allowed in self._modes if allowed <= mode), default=self._modes[0])

    def _frame(self, samples: Samples) -> Frame:
        self._heard.append(samples.copy())
        encoded = self._speech.encode(self._mode, samples)
        return Frame(encoded[0] >> 3 & 0x0F, True, encoded[1:])


def _pair(name: str, payload_type: int, clock: int, *speech: Any) -> tuple[Amr, Amr]:
    efficient, aligned = (Amr(name, payload_type, (clock,), way, *speech) for way in (False, True))
    return efficient, aligned


AMR, AMR_ALIGNED = _pair("AMR", 112, 8000, amr_payload.NB_SIZES, libamr.NB_DECODER, libamr.NB_ENCODER)
AMR_WB, AMR_WB_ALIGNED = _pair("AMR-WB", 113, 16000, amr_payload.WB_SIZES, libamr.WB_DECODER, libamr.WB_ENCODER)
