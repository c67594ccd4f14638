"""Loudness by ITU-R BS.1770: nobody is louder for the codec that it speaks or hears."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests import codecs
from tests.loudness import loudness
from tests.mixer.phone import Voice
from tests.mixer.room import Room

PLAIN = [("PCMU", 8000), ("PCMA", 8000), ("L16", 8000), ("L16", 16000), ("L16", 24000), ("L16", 48000)]
CODED = [("G722", 16000), ("opus", 48000), ("AMR", 8000), ("AMR-WB", 16000)]
SPEECH_ONLY = CODED[2:]
KINDS = PLAIN + CODED
libraries = pytest.mark.needs("libopencore-amrnb", "libopencore-amrwb", "libvo-amrwbenc")
each_rate = pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
HARMONICS = np.arange(2, 24)


def vowel(rate: int) -> Voice:
    """A voice of 140 Hz in syllables, with all its harmonics up to 3.2 kHz, falling by 6 dB an octave."""

    def say(at: NDArray[np.int64]) -> NDArray[np.int16]:
        seconds = at / rate
        waves = np.sin(2 * np.pi * 140 * HARMONICS[:, None] * seconds + HARMONICS[:, None] ** 2) / HARMONICS[:, None]
        return np.asarray(3000 * waves.sum(axis=0) * np.abs(np.sin(np.pi * 3 * seconds)), np.int16)

    return say


def given(codec: str, rate: int) -> int | None:
    """The rate that the mixer must be told: all codecs but one have their own."""
    return rate if codec == "L16" else None


def taken_by(codec: str, rate: int) -> float:
    """What a codec by itself, with no mixer, adds to the loudness of this voice: CELP makes it up to 2 LU quieter."""
    said, mouth, ear = vowel(rate)(np.arange(2 * rate)), codecs.mouth(codec), codecs.ear(codec)
    heard = [ear.decode(mouth.encode(packet)) for packet in said.reshape(-1, rate // 50)]
    return loudness(np.concatenate(heard) / 32768, rate) - loudness(said / 32768, rate)


@libraries
@each_rate
def test_all_hear_a_talker_alike(rate: int) -> None:
    room = Room()
    room.create(rate=rate)
    room.join("ann", vowel(8000), codec="L16", clock=8000)
    for codec, clock in KINDS:
        room.join(f"{codec}/{clock}", codec=codec, clock=given(codec, clock), direction="recvonly")
    room.run(2500)
    heard = {f"{codec}/{clock}": room.phones[f"{codec}/{clock}"] for codec, clock in KINDS}
    levels = {name: loudness(phone.sound(2000), phone.rate) for name, phone in heard.items()}
    levels |= {f"{codec}/{rate}": levels[f"{codec}/{rate}"] - taken_by(codec, rate) for codec, rate in SPEECH_ONLY}
    said = loudness(vowel(8000)(np.arange(16_000)) / 32768, 8000)
    assert max(levels.values()) - min(levels.values()) < 1, levels
    assert abs(levels["PCMU/8000"] - said) < 1


@libraries
@each_rate
def test_all_are_heard_alike(rate: int) -> None:
    """Each says the same, alone in its conference, and the ears are of one kind."""
    room = Room()
    for number, (codec, clock) in enumerate(KINDS):
        room.create(name=f"h{number}", rate=rate)
        room.join(f"{codec}/{clock}", vowel(clock), hall=f"h{number}", codec=codec, clock=given(codec, clock))
        room.join(f"ear{number}", hall=f"h{number}", codec="L16")
    room.run(2500)
    ears = {kind: room.phones[f"ear{number}"] for number, kind in enumerate(KINDS)}
    levels = {kind: loudness(ear.sound(2000), ear.rate) for kind, ear in ears.items()}
    assert max(levels.values()) - min(levels.values()) < 1, levels
