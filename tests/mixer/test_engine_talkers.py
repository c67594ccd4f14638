"""Who is heard, by ear: a first syllable arrives whole, and nobody's coming or going clicks."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mixer.port import ConferenceModify, DominantSpeaker, LegModify
from tests.mixer.phone import Voice, tone
from tests.mixer.room import MODES, Room

modes = pytest.mark.parametrize("mode", MODES)


def utterance(begin: int, samples: NDArray[np.int16]) -> Voice:
    """Silence, these samples from number `begin` on, and silence."""

    def say(at: NDArray[np.int64]) -> NDArray[np.int16]:
        inside = (at >= begin) & (at < begin + len(samples))
        return np.where(inside, samples[np.clip(at - begin, 0, len(samples) - 1)], 0).astype(np.int16)

    return say


def syllable(seed: int) -> NDArray[np.int16]:
    """250 ms that begin suddenly and end softly, like a plosive."""
    at = np.arange(2000)
    return np.asarray(np.random.default_rng(seed).normal(0, 4000, 2000) * np.exp(-at / 700), np.int16)


@modes
@pytest.mark.parametrize("begin", [4000, 4077, 4159])
def test_the_first_syllable_arrives_whole(mode: str, begin: int) -> None:
    """Every sample of it, in the middle of a tick as at its beginning, while another speaks."""
    room, said = Room(), syllable(1)
    room.create(mode, max_talkers=2)
    room.join("bob", utterance(begin, said), codec="L16")
    ear = room.join("ear", codec="L16", direction="recvonly")
    room.run(1200)
    heard = ear.audio().astype(int)
    start = int(np.flatnonzero(heard)[0])
    assert (heard[start : start + len(said)] == said).all()
    assert not heard[start + len(said) :].any()


@modes
def test_the_first_syllable_arrives_whole_beside_another_talker(mode: str) -> None:
    room, said = Room(), syllable(2)
    ann = tone(500.0)
    room.create(mode, max_talkers=2)
    room.join("ann", ann, codec="L16")
    room.join("bob", utterance(4000, said), codec="L16")
    ear = room.join("ear", codec="L16", direction="recvonly")
    alone = Room()
    alone.create(mode)
    alone.join("ann", ann, codec="L16")
    without = alone.join("ear", codec="L16", direction="recvonly")
    room.run(1200)
    alone.run(1200)
    bob = ear.audio().astype(int) - without.audio()
    start = int(np.flatnonzero(bob)[0])
    assert (bob[start : start + len(said)] == said).all()


def roughness(sound: NDArray[np.int16]) -> float:
    """The largest step of the slope: a click shows here, and a tone hardly does."""
    return float(np.abs(np.diff(sound.astype(float), 2)).max())


def bend(hertz: float, amplitude: float) -> float:
    """The roughness of a tone."""
    return amplitude * (2 * np.pi * hertz / 8000) ** 2


SMOOTH = bend(317.0, 9000.0) + bend(411.0, 12_000.0)
FADED = SMOOTH + 15_000 / 40 * 2
"""The slope of a fade of 5 ms, at its two ends, comes on top."""


@modes
def test_a_change_of_seats_does_not_click(mode: str) -> None:
    """Two steady tones and one seat: neither is ever silent, and one takes the place of the other."""
    room = Room()
    room.create(mode, max_talkers=1)
    room.join("ann", tone(300.0), codec="L16")
    ear = room.join("ear", codec="L16", direction="recvonly")
    room.run(500)
    ear.forget()
    room.join("bob", tone(411.0, amplitude=12_000.0), codec="L16", phone={"timestamp": 0})
    room.run(600)
    sound = ear.audio()
    assert np.abs(sound[:160]).max() < 3100, "at first it is ann"
    assert np.abs(sound[-160:]).max() > 11_900, "then bob"
    quiet = [np.abs(sound[n : n + 80]).max() for n in range(0, len(sound) - 80, 40)]
    assert min(quiet) > 1500, "and never nobody"
    assert roughness(sound) < FADED


@modes
def test_to_be_muted_does_not_click(mode: str) -> None:
    room = Room()
    room.create(mode)
    room.join("bob", tone(411.0, amplitude=12_000.0), codec="L16")
    ear = room.join("ear", codec="L16", direction="recvonly")
    room.run(500)
    ear.forget()
    for mute in (True, False, True):
        room.apply(LegModify(leg="bob", mute=mute))
        room.run(100)
    assert not ear.audio(60).any()
    assert roughness(ear.audio()) < FADED


@modes
def test_to_lose_a_seat_to_a_command_does_not_click(mode: str) -> None:
    room = Room()
    room.create(mode, max_talkers=2)
    room.join("ann", tone(317.0, amplitude=9000.0), codec="L16")
    room.join("bob", tone(411.0, amplitude=12_000.0), codec="L16")
    ear = room.join("ear", codec="L16", direction="recvonly")
    room.run(500)
    ear.forget()
    room.apply(ConferenceModify(conference="c", max_talkers=1))
    room.run(100)
    room.apply(ConferenceModify(conference="c", max_talkers=2))
    room.run(100)
    assert roughness(ear.audio()) < FADED


def test_the_measure_hears_a_click() -> None:
    at = np.arange(800)
    sound = tone(411.0, amplitude=12_000.0)(at)
    sound[410:] = 0
    assert roughness(tone(411.0, amplitude=12_000.0)(at)) < SMOOTH
    assert roughness(sound) > FADED


def test_the_dominant_speaker_is_told() -> None:
    room = Room()
    room.create()
    words = np.where(np.arange(16_000) % 3000 < 2000, tone(437.0)(np.arange(16_000)), 0).astype(np.int16)
    room.join("ann", utterance(800, words))
    room.join("bob")
    room.run(2000)
    assert [event.leg for event in room.named(DominantSpeaker)] == ["ann"]
