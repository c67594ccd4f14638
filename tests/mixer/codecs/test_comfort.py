"""Comfort noise against RFC 3389 and against ffmpeg's coder by PyAV."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from mixer.codecs import HEAD, CodecError, comfort

FRAME = 640
"""Samples that ffmpeg makes a payload of."""


def noise(db: float, samples: int) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    scale = 32768 * 10 ** (db / 20)
    return np.rint(np.random.default_rng(1).standard_normal(samples) * scale).astype(np.int16)


def foreign_payloads(db: float) -> list[bytes]:
    """What ffmpeg sends for white noise of a level; a few packets."""
    context = av.CodecContext.create("comfortnoise", "w")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate, context.layout, context.format = 8000, "mono", "s16"
    context.time_base = Fraction(1, 8000)
    payloads = []
    for part in noise(db, 4 * FRAME).reshape(-1, FRAME):
        frame = av.AudioFrame.from_ndarray(part.reshape(1, -1), "s16", "mono")
        frame.sample_rate = 8000
        payloads += [bytes(packet) for packet in context.encode(frame)]
    return payloads


def foreign_level(payload: bytes) -> float:
    """How loud ffmpeg plays it, dBov."""
    context = av.CodecContext.create("comfortnoise", "r")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate, context.layout = 8000, "mono"
    frames = [frame for _ in range(20) for frame in context.decode(av.Packet(payload))]
    played = np.concatenate([frame.to_ndarray()[0] for frame in frames]) / 32768.0
    return float(20 * np.log10(played.std()))


@pytest.mark.parametrize("db", [-20, -40, -60])
def test_reads_the_level_that_ffmpeg_sends_whatever_follows(db: int) -> None:
    payloads = foreign_payloads(db)
    assert len(payloads) >= 3
    assert min(map(len, payloads)) > 1  # there are coefficients to be ignored
    assert all(abs(comfort.level(payload) + db) <= 2 for payload in payloads)


def test_ffmpeg_plays_what_is_sent_at_its_level() -> None:
    """ffmpeg plays all noise some dB lower, and ever the same."""
    played = [foreign_level(comfort.payload(level)) + level for level in (20, 30, 40, 50, 60)]
    assert max(played) - min(played) < 1.0
    assert -7.0 < min(played) < 1.0


def test_every_level_comes_back() -> None:
    assert [comfort.level(comfort.payload(level)) for level in range(128)] == list(range(128))
    assert all(len(comfort.payload(level)) == 1 for level in range(128))


@pytest.mark.parametrize("level", [-1, 128])
def test_what_is_no_level_is_refused(level: int) -> None:
    with pytest.raises(CodecError, match=str(level)):
        comfort.payload(level)


def test_many_are_read_as_each_of_them_is() -> None:
    random = np.random.default_rng(2)
    head = random.integers(0, 256, (200, HEAD), np.uint8)
    length = random.integers(0, HEAD + 1, 200)
    length[:2] = 0, 1
    levels = comfort.levels(head, length)
    assert levels.dtype == np.int64
    assert levels.tolist() == [comfort.level(row[:n].tobytes()) for row, n in zip(head, length.tolist(), strict=True)]


def test_the_unused_bit_is_ignored_and_nothing_is_silence() -> None:
    assert comfort.level(bytes([0x80 | 40, 1, 2])) == 40
    assert comfort.level(b"") == 127
