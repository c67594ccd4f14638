"""Noise suppression by ear: noise goes, speech stays, whatever the rates of leg and mix."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mixer import denoise
from mixer.port import LegModify, PortError, Refusal
from tests.mixer.phone import Voice
from tests.mixer.room import MODES, Room
from tests.tones import level_db

NOISE = 200.0
HERTZ = 1013.0


def noisy(rate: int) -> Voice:
    """A tone in words of 300 ms, one in 600 ms, amid noise."""
    noise = np.random.default_rng(rate).normal(0, NOISE, rate)

    def say(at: NDArray[np.int64]) -> NDArray[np.int16]:
        spoken = at * 1000 // rate % 600 < 300
        return np.asarray(
            np.where(spoken, 6000 * np.sin(2 * np.pi * HERTZ * at / rate), 0) + noise[at % rate], np.int16
        )

    return say


def parts(room: Room, rate: int) -> tuple[float, float]:
    """Of the last 1.8 s, a multiple of 600 ms: level of the tone, dB, and RMS of the quietest 200 ms."""
    sound = room.phones["ear"].sound(1800)
    width = rate // 5
    quiet = min(float(np.sqrt(np.mean(sound[n : n + width] ** 2))) for n in range(0, len(sound) - width, rate // 100))
    return level_db(sound, HERTZ, rate=rate), quiet * 32768


def meeting(clock: int, rate: int, **fields: object) -> Room:
    room = Room()
    room.create(rate=rate)
    room.join("ann", noisy(clock), codec="L16", clock=clock, **fields)  # type: ignore[arg-type]
    room.join("ear", codec="L16", direction="recvonly")
    return room


@pytest.mark.parametrize(
    ("clock", "rate"), [(8000, 8000), (16000, 16000), (8000, 48000), (48000, 48000), (24000, 16000)]
)
def test_noise_goes_and_speech_stays(clock: int, rate: int) -> None:
    plain, clean = meeting(clock, rate), meeting(clock, rate, noise_suppression=True)
    for room in (plain, clean):
        room.run(5000)
    (tone, noise), (tone_left, noise_left) = parts(plain, rate), parts(clean, rate)
    assert abs(tone_left - tone) < 1.5
    assert 20 * np.log10(noise_left / noise) < -10


def test_who_did_not_ask_is_left_alone() -> None:
    """Beside a leg that did, in one tick and of one rate."""
    room = meeting(8000, 8000)
    alone = meeting(8000, 8000)
    room.join("bob", codec="L16", noise_suppression=True)
    room.run(1500)
    alone.run(1500)
    assert (room.phones["ear"].audio(1000) == alone.phones["ear"].audio(1000)).all()


def test_it_can_be_turned_on_and_off() -> None:
    room = meeting(8000, 8000)
    room.run(2400)
    before = parts(room, 8000)[1]
    room.apply(LegModify(leg="ann", noise_suppression=True))
    room.run(5000)
    assert parts(room, 8000)[1] < before / 3
    room.apply(LegModify(leg="ann", noise_suppression=False))
    room.run(2400)
    assert abs(parts(room, 8000)[1] - before) < 0.1 * before


@pytest.mark.parametrize("mode", MODES)
def test_without_the_package_it_is_refused_and_nothing_changes(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denoise, "AVAILABLE", False)
    room = Room()
    room.create(mode)
    room.join("ann")
    before = room.show()
    with pytest.raises(PortError, match=r"pip install mrfp\[voice\]") as refused:
        room.join("bob", noise_suppression=True)
    assert refused.value.refusal is Refusal.UNAVAILABLE
    with pytest.raises(PortError, match="pip install"):
        room.apply(LegModify(leg="ann", mute=True, noise_suppression=True))
    assert room.show() == before


def test_the_delay_is_six_milliseconds() -> None:
    rng = np.random.default_rng(5)
    said = (rng.normal(0, 4000, 64_000) * (np.arange(64_000) % 8000 < 3000)).astype(np.float32)
    denoiser = denoise.Denoiser()
    heard = np.concatenate([denoiser.clean(said[n : n + 320]) for n in range(0, len(said), 320)])
    likeness = [float(np.dot(heard[32_000 + late : 60_000 + late], said[32_000:60_000])) for late in range(320)]
    assert int(np.argmax(likeness)) == 96
