"""Pauses: what is said first afterwards is heard whole, once, and after silence, whatever the timestamps did."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.mixer.journey import ROW, Ear, Packet, Samples, cut, late

RATE = 8000
SPEECH_MS = 1000
BLEND = 32
"""Samples faded in where sound begins."""

pauses = pytest.mark.parametrize("pause_ms", [300, 5000, 60_000])
jitters = pytest.mark.parametrize("jitter_ms", [0, 60])


def hiss(seed: int) -> Samples:
    """A second that is like no other, and loud throughout."""
    chance = np.random.default_rng(seed)
    size = chance.integers(4000, 8000, SPEECH_MS * RATE // 1000)
    return np.asarray(size * chance.choice([-1, 1], len(size)), np.int16)


def places(sound: Samples, part: Samples) -> NDArray[np.int64]:
    """Where it is heard, sample by sample."""
    return np.flatnonzero((np.lib.stride_tricks.sliding_window_view(sound, len(part)) == part).all(axis=1))


def spurts(pause_ms: int, slip: int, jitter_ms: float) -> list[Packet]:
    """Two seconds of hiss with a pause between, in which the timestamp runs `slip` samples more than time."""
    chance = np.random.default_rng(7)
    first = cut(hiss(1), RATE, [20] * 50, start=0xFFFF_F000)
    second = cut(hiss(2), RATE, [20] * 50, start=0xFFFF_F000 + (SPEECH_MS + pause_ms) * RATE // 1000 + slip)
    second = [packet._replace(arrival=packet.arrival + SPEECH_MS + pause_ms) for packet in second]
    packets = first + second
    return late(packets, chance.uniform(0, jitter_ms, len(packets)).tolist())


def check(ear: Ear, pause_ms: int, jitter_ms: int, delay_ms: float) -> None:
    """Silence, then the onset once and soon."""
    onset = places(ear.sound, hiss(2)[BLEND : RATE // 50])
    assert len(onset) == 1
    assert onset[0] * 1000 / RATE - SPEECH_MS - pause_ms <= 20 + delay_ms + 20 + 4
    faded = SPEECH_MS + jitter_ms + 150
    assert not ear.part(faded, SPEECH_MS + pause_ms).any(), "nothing stale before it"
    assert len(places(ear.sound, hiss(1)[-RATE // 50 :])) <= 1, "nor behind it"


@pauses
@jitters
def test_the_timestamp_went_on(pause_ms: int, jitter_ms: int) -> None:
    ear = Ear().hear(spurts(pause_ms, 0, jitter_ms), 2500 + pause_ms)
    check(ear, pause_ms, jitter_ms, 2 * jitter_ms + 20)


@pytest.mark.parametrize("pause_ms", [5000, 60_000])
@jitters
@pytest.mark.parametrize("slip", [400, -400, 1920, -1920, 8000, -8000, 123_456_789, 1 << 31, "stopped"])
def test_the_timestamp_went_elsewhere(pause_ms: int, jitter_ms: int, slip: int | str) -> None:
    samples = -pause_ms * RATE // 1000 if isinstance(slip, str) else slip
    ear = Ear().hear(spurts(pause_ms, samples, jitter_ms), 2500 + pause_ms)
    check(ear, pause_ms, jitter_ms, 2 * jitter_ms + 20)
    assert jitter_ms or ear.refused == 0


@pauses
@pytest.mark.parametrize("slip", [0, 1920, 123_456_789])
def test_without_jitter_all_of_it_is_heard_sample_by_sample(pause_ms: int, slip: int) -> None:
    ear = Ear().hear(spurts(pause_ms, slip, 0), 2500 + pause_ms)
    assert len(places(ear.part(0, 1500), hiss(1)[BLEND:])) == 1
    assert len(places(ear.part(SPEECH_MS + pause_ms, 2500 + pause_ms), hiss(2)[BLEND:])) == 1


def test_a_pause_is_used_to_shorten_the_delay() -> None:
    """Hiss has no period that could be left out; where nothing sounds, nothing has to be."""
    first = cut(np.tile(hiss(1), 6), RATE, [20] * 300)
    slow = [50.0 if number in range(10, 30) else 0.0 for number in range(len(first))]
    second = cut(hiss(2), RATE, [20] * 50, start=11_000 * RATE // 1000)
    second = [packet._replace(arrival=packet.arrival + 11_000) for packet in second]
    ear = Ear().hear(late(first, slow) + second, 12_500)
    assert ear.waiting[5900 // 20] > 30
    onset = places(ear.sound, hiss(2)[BLEND : RATE // 50])
    assert onset[0] * 1000 / RATE - 11_000 <= 20 + 20 + 20 + 4


def test_a_straggler_of_before_the_pause_is_not_taken_for_an_onset() -> None:
    packets = spurts(5000, 0, 0)
    lone = packets[40]._replace(arrival=packets[49].arrival + 200)
    ear = Ear().hear([*packets[:40], *packets[41:], lone], 7500)
    assert not len(places(ear.sound, hiss(1)[40 * 160 + BLEND : 41 * 160]))
    assert ear.playout.late[ROW] == 1
    assert len(places(ear.sound, hiss(2)[BLEND:])) == 1


def test_a_leg_that_was_stopped_begins_with_nothing_of_before() -> None:
    """Another SSRC, long after: what was played before it is not to be gone on from."""
    packets = spurts(5000, 0, 0)
    ear = Ear().hear(packets[:30], 600)
    ear.playout.stop(ROW)
    ear.hear([], 3000)
    ear.hear([packet._replace(arrival=packet.arrival - 3000) for packet in packets[50:]], 4500)
    assert not ear.part(600, 3000).any()
    onset = places(ear.sound, hiss(2)[BLEND:])
    assert len(onset) == 1
    assert not ear.sound[600 * 8 : onset[0] - BLEND].any()
