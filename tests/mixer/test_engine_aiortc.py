"""Opus and G.722 of WebRTC through the whole engine: aiortc's own encoders and decoders, as raw RTP.

aiortc encodes Opus in stereo at 96 kbit/s by its own settings. No browser: that needs ICE.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import av
import numpy as np
import pytest
from aiortc.codecs.g722 import G722Decoder, G722Encoder
from aiortc.codecs.opus import OpusDecoder, OpusEncoder
from aiortc.jitterbuffer import JitterFrame
from numpy.typing import NDArray

from mixer.port import Opus
from tests.mixer.phone import tone
from tests.mixer.room import MODES, Room
from tests.mixer.test_engine_sound import hear

Samples = NDArray[np.int16]

KINDS: dict[str, tuple[Any, Any, int]] = {
    "opus": (OpusEncoder, OpusDecoder, 48000),
    "G722": (G722Encoder, G722Decoder, 16000),
}


class Mouth:
    """aiortc's encoder, as `Phone.mouth`."""

    def __init__(self, codec: str) -> None:
        kind, _, self._rate = KINDS[codec]
        self._encoder, self._at = kind(), 0
        self._packets: deque[bytes] = deque()
        while not self._packets:  # it keeps some samples back
            self._feed(np.zeros(self._rate // 50, np.int16))

    def encode(self, samples: Samples) -> bytes:
        self._feed(samples)
        return self._packets.popleft()

    def _feed(self, samples: Samples) -> None:
        # In two channels: of one, aiortc would make two that are 3 dB fainter each.
        frame: Any = av.AudioFrame.from_ndarray(samples.repeat(2).reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate, frame.pts = self._rate, self._at
        self._at += len(samples)
        self._packets += self._encoder.encode(frame)[0]


class Ears(dict[int, Any]):
    """aiortc's decoders, as `Phone.ears`; of two channels the first is heard."""

    def __init__(self, codec: str) -> None:
        super().__init__()
        self._kind = KINDS[codec][1]

    def __missing__(self, ssrc: int) -> Any:
        self[ssrc] = Ear(self._kind())
        return self[ssrc]

    def __contains__(self, ssrc: object) -> bool:
        return True


class Ear:
    """One of them."""

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder

    def decode(self, payload: bytes) -> Samples:
        frames = self._decoder.decode(JitterFrame(payload, 0))
        return np.concatenate([frame.to_ndarray().reshape(-1)[:: len(frame.layout.channels)] for frame in frames])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("codec", ["opus", "G722"])
def test_aiortc_and_the_mixer_hear_each_other(mode: str, codec: str) -> None:
    """Two of them and a listener in linear sound: each tone as loud as it was said, and nobody itself."""
    rate = KINDS[codec][2]
    opus = Opus(bitrate=64000) if codec == "opus" else None
    room = Room()
    room.create(mode, rate=rate)
    for name, hertz in {"ann": 437.0, "bob": 1013.0}.items():
        phone = room.join(name, tone(hertz, rate), codec=codec, opus=opus)
        phone.mouth, phone.ears = Mouth(codec), Ears(codec)
    linear = room.join("linear", codec="L16", clock=rate, direction="recvonly", rx=None)
    room.run(1500)
    ann, bob = room.phones["ann"], room.phones["bob"]
    for phone, own, other in ((ann, 437.0, 1013.0), (bob, 1013.0, 437.0)):
        assert abs(hear(phone, other, 600)) < 1
        assert hear(phone, own, 600) < -40
        assert abs(hear(linear, own, 600)) < 1
        assert not phone.refused
    room.check_tally()
    assert room.engine.tally.drops() == {}
