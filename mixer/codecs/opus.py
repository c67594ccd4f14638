"""Opus (RFC 6716, RFC 7587): the codec of the mixer, by `libopus`.

Decodes straight to the rate of the mix, always to one channel. How it encodes was measured, at libopus 1.6.1:

* Application AUDIO, not VOIP: speech is as good (PESQ within 0.1), and without VOIP's high-pass what is heard is
  nearer to what was said (speech 17 to 24 dB over its error, instead of 12).
* Below complexity 7 libopus does not listen to what it encodes, so it is told that it will be speech. Else it takes
  CELT alone, at 32 kbit/s half a MOS worse. From 7 on it decides by itself, and music and tones are the better for it.
* FEC needs SILK, which is worse for music. From libopus 1.4 on it may be asked to leave music alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mixer.codecs import libopus, opuspacket, silkhead
from mixer.codecs.base import CodecError, Coder, Octets
from mixer.codecs.libopus import DecoderState, EncoderState
from mixer.port import Opus as Settings
from mixer.samples import Samples

CLOCK: Final = 48000
PTIMES: Final = (10, 20, 30, 40, 60)
_LISTENS: Final = 7
"""Complexity from which libopus analyses what it encodes."""
_AUTO, _VOICE = -1000, 3001
_FEC_NOT_FOR_MUSIC: Final = 2
_BANDWIDTH: Final = {8000: 1101, 16000: 1103, 24000: 1104, 48000: 1105}
_STEPS_A_SECOND: Final = 400
"""libopus conceals in multiples of 2.5 ms."""


class OpusDecoder:
    """A `mixer.codecs.base.Decoder`."""

    def __init__(self, rate: int) -> None:
        self._state = DecoderState(rate)
        self._rate = rate
        self._step = rate // _STEPS_A_SECOND

    def decode(self, payload: bytes) -> Samples:
        return self._state.decode(payload)

    def recover(self, payload: bytes, samples: int) -> Samples | None:
        """As in `Decoder`. Only the end of a lost packet is repeated, if it was longer than this one's frames; a
        shorter one is not recovered."""
        first = self._state.first_frame(payload)
        if not first or not silkhead.repeats(payload[0], first[0]):
            return None
        frame = int(opuspacket.FRAME[payload[0] >> 3]) * self._rate // CLOCK
        if samples % self._step or not frame <= samples <= self._state.longest:
            return None
        return self._state.repeated(payload, samples)

    def conceal(self, samples: int) -> Samples:
        parts = [
            self._state.lost(min(-(-(samples - start) // self._step) * self._step, self._state.longest))
            for start in range(0, samples, self._state.longest)
        ]
        return np.concatenate(parts)[:samples] if parts else np.empty(0, np.int16)


class OpusEncoder:
    """A `mixer.codecs.base.Encoder`."""

    def __init__(self, rate: int, ptime: int, settings: Settings) -> None:
        if ptime not in PTIMES:
            raise CodecError(f"Opus has no packets of {ptime} ms here: use one of {', '.join(map(str, PTIMES))}")
        self._kind = rate, ptime, settings
        channels = 2 if settings.stereo else 1
        if ptime == 30:
            # Not a length of libopus: three of 10 ms in one, which must be coded alike: by CELT, without FEC.
            self._state = EncoderState(rate, channels, libopus.LOW_DELAY, rate // 100, 3)
            self._must(libopus.BANDWIDTH, _BANDWIDTH[min(rate, settings.max_rate)])
            self._must(libopus.FORCE_CHANNELS, channels)
        else:
            self._state = EncoderState(rate, channels, libopus.AUDIO, rate * ptime // 1000)
        self._set(settings)

    def _set(self, settings: Settings) -> None:
        self._must(libopus.BITRATE, settings.bitrate)
        self._must(libopus.COMPLEXITY, settings.complexity)
        self._must(libopus.SIGNAL, _AUTO if settings.complexity >= _LISTENS else _VOICE)
        self._must(libopus.LOSS_PERCENT, settings.loss_percent)
        self._must(libopus.DTX, settings.dtx)
        self._must(libopus.VBR, not settings.cbr)
        self._must(libopus.MAX_BANDWIDTH, _BANDWIDTH[settings.max_rate])
        if not (settings.fec and self._state.control(libopus.INBAND_FEC, _FEC_NOT_FOR_MUSIC)):
            self._must(libopus.INBAND_FEC, settings.fec)

    def _must(self, request: int, value: int) -> None:
        if not self._state.control(request, value):
            raise CodecError(f"libopus refuses the setting {request} = {value}")

    def encode(self, samples: Samples) -> bytes:
        return self._state.encode(samples)

    def take_over(self, other: Any) -> None:
        """As in `Encoder`.

        Raises:
            CodecError: it is not of the same rate, ptime and settings.
        """
        if not isinstance(other, OpusEncoder) or other._kind != self._kind:
            raise CodecError("Opus: an encoder can only go on where one of the same rate, ptime and settings stands")
        self._state.copy(other._state)

    def request(self, mode: int | None) -> None:
        """Opus has no modes."""


@dataclass(frozen=True, slots=True)
class Opus(Coder):
    """Opus; its payload type is dynamic, and 111 what everybody takes."""

    name: str = "opus"
    payload_type: int = 111
    clocks: tuple[int, ...] = (CLOCK,)

    @property
    def missing(self) -> str:
        return libopus.missing()

    def sampling(self, clock: int, mix: int) -> int:
        return mix  # libopus resamples while it decodes, at no cost

    def peek(self, head: Octets, length: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        duration = opuspacket.durations(head, length)
        return duration, opuspacket.voiced(head, length, duration)

    def decoder(self, rate: int) -> OpusDecoder:
        return OpusDecoder(rate)

    def encoder(self, rate: int, ptime: int, settings: Any) -> OpusEncoder:
        return OpusEncoder(rate, ptime, Settings() if settings is None else settings)
