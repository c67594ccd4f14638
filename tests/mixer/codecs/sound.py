"""What the tests of a codec with memory say and how they judge what comes back."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

import bench
from bench.phone import read_wav
from mixer.codecs import HEAD, Decoder, Encoder, Octets
from mixer.samples import Samples

SPEECH: Final = Path(bench.__file__).parent / "speech"
GARBAGE: Final = 0xFF


def sine(hertz: float, rate: int, seconds: float, amplitude: float = 8000) -> Samples:
    at = np.arange(round(rate * seconds)) / rate
    return np.rint(amplitude * np.sin(2 * np.pi * hertz * at)).astype(np.int16)


@cache
def speech(rate: int) -> Samples:
    """Two people in turn, a second of silence before and after each."""
    said = []
    for path in sorted(SPEECH.glob("*.wav"))[:2]:
        samples, given = read_wav(path)
        spectrum = np.zeros(len(samples) * rate // given // 2 + 1, complex)
        spectrum[: len(samples) // 2 + 1] = np.fft.rfft(samples)[: len(spectrum)]
        said += [np.zeros(rate), np.fft.irfft(spectrum, len(samples) * rate // given) * rate / given]
    whole = np.concatenate([*said, np.zeros(rate)])
    clipped: Samples = np.clip(np.rint(whole * 32767), -32767, 32767).astype(np.int16)
    return clipped


def noise(rate: int, seconds: float, dbov: float) -> Samples:
    """Like that of a room: less of it the higher."""
    spectrum = np.fft.rfft(np.random.default_rng(3).normal(size=round(rate * seconds)))
    spectrum /= np.sqrt(np.maximum(np.fft.rfftfreq(round(rate * seconds), 1 / rate), 50))
    samples = np.fft.irfft(spectrum)
    scaled: Samples = np.rint(samples / samples.std() * 32768 * 10 ** (dbov / 20)).astype(np.int16)
    return scaled


def packets(encoder: Encoder, samples: Samples, width: int) -> list[bytes]:
    """Packets of `width` samples each, without the rest that fills none."""
    return [encoder.encode(samples[at : at + width]) for at in range(0, len(samples) - width + 1, width)]


def heard(decoder: Decoder, payloads: Iterable[bytes]) -> Samples:
    return np.concatenate([decoder.decode(payload) for payload in payloads])


def heads(payloads: list[bytes]) -> tuple[Octets, NDArray[np.int64]]:
    """As the mixer shows them to `peek`: garbage behind the short ones."""
    rows = [payload[:HEAD].ljust(HEAD, bytes([GARBAGE])) for payload in payloads]
    head = np.frombuffer(b"".join(rows), np.uint8).reshape(len(payloads), HEAD)
    return head, np.array([len(payload) for payload in payloads], np.int64)


def likeness(said: NDArray[np.generic], came: NDArray[np.generic], rate: int) -> float:
    """Correlation, 1 for the same, whatever the delay up to 50 ms and the loudness."""
    count = min(len(said), len(came))
    first, second = said[:count].astype(float), came[:count].astype(float)
    product = np.fft.rfft(second, 2 * count) * np.fft.rfft(first, 2 * count).conj()
    delay = int(np.fft.irfft(product)[: rate // 20].argmax())
    return float(np.corrcoef(first[: count - delay], second[delay:])[0, 1])


def residual(samples: Samples, hertz: float, rate: int) -> NDArray[np.float64]:
    """What is left when a steady tone is taken away."""
    phase = 2 * np.pi * hertz * np.arange(len(samples)) / rate
    tone = np.stack([np.sin(phase), np.cos(phase)], axis=1)
    fit, *_ = np.linalg.lstsq(tone[rate:-rate], samples[rate:-rate].astype(float), rcond=None)
    return np.asarray(samples - tone @ fit)


def levels(frames: NDArray[np.generic]) -> NDArray[np.float64]:
    """dBov of each row."""
    return np.asarray(10 * np.log10(np.square(frames.astype(float)).mean(axis=1) / 32768**2 + 1e-12))
