"""Loudness by ITU-R BS.1770: nobody is louder for the codec that it speaks or hears."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.loudness import loudness
from tests.mixer.phone import Voice
from tests.mixer.room import Room

KINDS = [("PCMU", 8000), ("PCMA", 8000), ("L16", 8000), ("L16", 16000), ("L16", 24000), ("L16", 48000)]
each_rate = pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
HARMONICS = np.arange(2, 24)


def vowel(rate: int) -> Voice:
    """A voice of 140 Hz in syllables, with all its harmonics up to 3.2 kHz, falling by 6 dB an octave."""

    def say(at: NDArray[np.int64]) -> NDArray[np.int16]:
        seconds = at / rate
        waves = np.sin(2 * np.pi * 140 * HARMONICS[:, None] * seconds + HARMONICS[:, None] ** 2) / HARMONICS[:, None]
        return np.asarray(3000 * waves.sum(axis=0) * np.abs(np.sin(np.pi * 3 * seconds)), np.int16)

    return say


@each_rate
def test_all_hear_a_talker_alike(rate: int) -> None:
    room = Room()
    room.create(rate=rate)
    room.join("ann", vowel(8000), codec="L16", clock=8000)
    for codec, clock in KINDS:
        room.join(f"{codec}/{clock}", codec=codec, clock=clock, direction="recvonly")
    room.run(2500)
    heard = {f"{codec}/{clock}": room.phones[f"{codec}/{clock}"] for codec, clock in KINDS}
    levels = {name: loudness(phone.sound(2000), phone.rate) for name, phone in heard.items()}
    said = loudness(vowel(8000)(np.arange(16_000)) / 32768, 8000)
    assert max(levels.values()) - min(levels.values()) < 1, levels
    assert abs(levels["PCMU/8000"] - said) < 1


@each_rate
def test_all_are_heard_alike(rate: int) -> None:
    """Each says the same, alone in its conference, and the ears are of one kind."""
    room = Room()
    for number, (codec, clock) in enumerate(KINDS):
        room.create(name=f"h{number}", rate=rate)
        room.join(f"{codec}/{clock}", vowel(clock), hall=f"h{number}", codec=codec, clock=clock)
        room.join(f"ear{number}", hall=f"h{number}", codec="L16")
    room.run(2500)
    ears = {kind: room.phones[f"ear{number}"] for number, kind in enumerate(KINDS)}
    levels = {kind: loudness(ear.sound(2000), ear.rate) for kind, ear in ears.items()}
    assert max(levels.values()) - min(levels.values()) < 1, levels
