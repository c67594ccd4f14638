"""G.711 against its formula, one value at a time, and against ffmpeg's tables by PyAV."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from mixer.codecs import g711
from tests import naive

LAWS = {
    "pcm_mulaw": (g711.MULAW_DECODE, g711.MULAW_ENCODE, naive.ULAW),
    "pcm_alaw": (g711.ALAW_DECODE, g711.ALAW_ENCODE, naive.ALAW),
}
laws = pytest.mark.parametrize("law", LAWS)


def foreign_decode(law: str, octets: bytes) -> NDArray[np.int16]:
    """By ffmpeg."""
    context = av.CodecContext.create(law, "r")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate, context.layout = 8000, "mono"
    frames = context.decode(av.Packet(octets))
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.int16)


def foreign_encode(law: str, samples: NDArray[np.int16]) -> bytes:
    """By ffmpeg."""
    context = av.CodecContext.create(law, "w")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate, context.layout, context.format = 8000, "mono", "s16"
    context.time_base = Fraction(1, 8000)
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), "s16", "mono")
    frame.sample_rate = 8000
    return b"".join(bytes(packet) for packet in context.encode(frame))


@laws
def test_decodes_by_the_formula(law: str) -> None:
    decode, _, values = LAWS[law]
    assert decode.tolist() == values


@laws
def test_decodes_as_ffmpeg_does(law: str) -> None:
    assert foreign_decode(law, bytes(range(256))).tolist() == LAWS[law][0].tolist()


@laws
def test_encodes_to_a_nearest_code(law: str) -> None:
    _, encode, values = LAWS[law]
    for sample in [*range(-32768, 32768, 97), -1, 0, 1, 32767]:
        assert encode[sample & 0xFFFF] in naive.nearest_codes(values, sample), sample


@laws
def test_encodes_about_as_ffmpeg_does(law: str) -> None:
    """ffmpeg rounds some ties the other way: never more than a step, hardly ever at all."""
    decode, encode, _ = LAWS[law]
    samples = np.arange(-32768, 32768, dtype=np.int16)
    mine = decode[encode[samples.view(np.uint16)]].astype(int)
    theirs = decode[np.frombuffer(foreign_encode(law, samples), np.uint8)].astype(int)
    assert np.mean(mine != theirs) < 0.07
    assert (np.abs(mine - samples) <= np.abs(theirs - samples)).all()


@laws
def test_every_code_comes_back(law: str) -> None:
    decode, encode, values = LAWS[law]
    for code in range(256):
        assert values[encode[int(decode[code]) & 0xFFFF]] == values[code]


@laws
def test_odd_symmetric(law: str) -> None:
    decode, encode, _ = LAWS[law]
    samples = np.arange(1, 32768, dtype=np.int16)
    up, down = (decode[encode[part.view(np.uint16)]].astype(int) for part in (samples, -samples))
    assert (up == -down).all()
