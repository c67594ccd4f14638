"""WAV files: what a phone is given to say, and what it wrote down of what it heard.

Knows: 16-bit mono RIFF as the phones write it. Must never know: phones.
"""

from __future__ import annotations

import wave
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Samples: TypeAlias = NDArray[np.float64]
"""Full scale is 1.0."""


def write_tone(path: Path, hertz: float, *, seconds: float = 60.0, rate: int = 8000) -> Path:
    """A tone at -12 dBFS, the level that the tests expect."""
    phase = 2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate
    samples = np.round(0.25 * np.sin(phase) * 32767).astype("<i2")
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(samples.tobytes())
    return path


def read_wav(path: Path) -> tuple[Samples, int]:
    """Samples of the first channel, and their rate."""
    with wave.open(str(path), "rb") as sound:
        if sound.getsampwidth() != 2:
            raise ValueError(f"{path.name} has {8 * sound.getsampwidth()}-bit samples: only 16 can be judged")
        octets = sound.readframes(sound.getnframes())
        samples = np.frombuffer(octets, "<i2")[:: sound.getnchannels()] / 32768.0
        return samples, sound.getframerate()
