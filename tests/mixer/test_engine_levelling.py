"""Automatic gain control by ear: the soft and the loud are heard alike, and pauses are left alone."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mixer.port import LegAdd, LegModify
from tests.loudness import loudness
from tests.mixer.phone import Phone, Voice
from tests.mixer.room import Room
from tests.tones import level_db

WORD, PAUSE = 2400, 1200
"""Samples."""


def words(hertz: float, rms_db: float, noise_db: float = -90.0, until: float = 1e9) -> Voice:
    """A tone in words, at an RMS in dBov while it lasts, over noise; silent but for the noise `until` some second."""
    amplitude = 32767 * np.sqrt(2) * 10 ** (rms_db / 20)
    noise = np.random.default_rng(int(hertz)).normal(0, 32767 * 10 ** (noise_db / 20), 8000)

    def say(at: NDArray[np.int64]) -> NDArray[np.int16]:
        spoken = (at % (WORD + PAUSE) < WORD) & (at < until * 8000)
        return np.asarray(
            np.where(spoken, amplitude * np.sin(2 * np.pi * hertz * at / 8000), 0) + noise[at % 8000], np.int16
        )

    return say


def heard(ear: Phone, hertz: float, seconds: int) -> float:
    """Level of a tone in the last seconds, dBov while it is spoken."""
    share = 10 * np.log10(WORD / (WORD + PAUSE))
    return level_db(ear.sound(1000 * seconds), hertz) - 3.01 - float(share)


def listened(voice: Voice, *, agc: bool = False) -> tuple[Room, Phone]:
    """A conference of ann, who speaks, and one who only listens."""
    room = Room()
    room.create()
    room.join("ann", voice, codec="L16", agc=agc)
    return room, room.join("ear", codec="L16", direction="recvonly")


def test_the_soft_and_the_loud_end_alike() -> None:
    """-40 and -10 dBov: 30 dB apart, and after ten seconds less than 2."""
    room = Room()
    room.create()
    room.join("soft", words(437.0, -40.0), codec="L16", agc=True)
    room.join("loud", words(1013.0, -10.0), codec="L16", agc=True)
    room.join("plain", words(1709.0, -30.0), codec="L16")
    ear = room.join("ear", codec="L16", direction="recvonly")
    room.run(13_500)
    soft, loud = (heard(ear, hertz, 3) for hertz in (437.0, 1013.0))
    assert abs(soft - loud) < 2
    assert abs(soft + 20) < 2
    assert abs(heard(ear, 1709.0, 3) + 30) < 0.5, "who did not ask for it is heard as it speaks"


@pytest.mark.parametrize(("said_db", "heard_db"), [(-55.0, -31.0), (-44.0, -20.0), (-3.0, -20.0)])
def test_gains_are_bounded(said_db: float, heard_db: float) -> None:
    room, ear = listened(words(437.0, said_db), agc=True)
    room.run(12_000)
    assert abs(heard(ear, 437.0, 3) - heard_db) < 1.5


@pytest.mark.parametrize(
    ("voice", "first_ms", "then_ms"),
    [
        pytest.param(words(437.0, -35.0, noise_db=-62.0, until=8.0), 9000, 5000, id="in a pause after words"),
        pytest.param(words(437.0, -35.0, noise_db=-45.0, until=0.0), 1000, 8000, id="alone"),
    ],
)
def test_noise_is_left_as_it_is(voice: Voice, first_ms: int, then_ms: int) -> None:
    """Seconds of nothing but noise: it is as loud at their end as at first."""
    room, ear = listened(voice, agc=True)
    room.run(first_ms)
    first = loudness(ear.sound(600), 8000)
    room.run(then_ms)
    assert abs(loudness(ear.sound(600), 8000) - first) < 0.5


def test_it_can_be_turned_on_and_off_without_a_jump() -> None:
    room, ear = listened(words(437.0, -32.0))
    room.run(2000)
    room.apply(LegModify(leg="ann", agc=True))
    room.run(6000)
    assert abs(heard(ear, 437.0, 2) + 20) < 2
    room.apply(LegModify(leg="ann", agc=False))
    room.run(4000)
    assert abs(heard(ear, 437.0, 1) + 32) < 0.5
    levels = [level_db(ear.sound()[n : n + 800], 437.0) for n in range(8000, len(ear.sound()) - 800, 3600)]
    assert np.abs(np.diff(levels)).max() < 6, "6 dB up and 12 dB down in a second, not more"


def test_without_agc_is_the_default() -> None:
    assert LegAdd(conference="c", leg="a").agc is False
