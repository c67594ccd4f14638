"""What a bad network does to a leg, judged by what is heard: tones stay tones, speech stays speech, and in time."""

from __future__ import annotations

import random

import numpy as np
import pytest

from tests.mixer import steady
from tests.mixer.journey import Ear, Packet, Samples, cut, echo, late, speech, tone

CALM_MS = 1000
"""So long a leg may take to learn how its packets come."""
SMOOTH = 1.1
"""Steps up to so many times those of the sine itself: a click is more."""
CLICK_DB = -14.0
"""In a window of 20 ms a fade of 4 ms leaves at most -14.6 dB beside a tone, a cut up to -12."""

rates = pytest.mark.parametrize("rate", [8000, 16000, 48000])
tones = pytest.mark.parametrize("hertz", [440.0, 1000.0])
seeds = pytest.mark.parametrize("seed", range(2))
speakers = pytest.mark.parametrize("name", ["anna", "boris", "clara", "david"])


def jitter(packets: list[Packet], most_ms: float, seed: int) -> list[Packet]:
    """Uniform, so that packets overtake each other."""
    chance = random.Random(seed)
    return late(packets, [chance.uniform(0, most_ms) for _ in packets])


def lose(packets: list[Packet], share: float, seed: int) -> list[Packet]:
    """At random."""
    chance = random.Random(seed)
    return [packet for packet in packets if chance.random() >= share]


def burst(packets: list[Packet], seed: int, every: int = 60) -> list[Packet]:
    """Three to five in a row, at about the same intervals."""
    chance = random.Random(seed)
    gone = {first + n for first in range(30, len(packets), every) for n in range(chance.randint(3, 5))}
    return [packet for number, packet in enumerate(packets) if number not in gone]


def check_no_click(ear: Ear, hertz: float) -> None:
    """Neither in value nor, where it is quiet, in what lies beside the tone."""
    assert ear.roughness(hertz) < SMOOTH
    assert steady.residue(ear.part(CALM_MS, 10_000), ear.rate, hertz, 8000.0).max() < CLICK_DB


@rates
@tones
@seeds
def test_jitter_with_reordering_is_not_heard(rate: int, hertz: float, seed: int) -> None:
    ear = Ear(rate).hear(jitter(cut(tone(hertz, rate, 10_000), rate, [20] * 500), 100, seed), 10_000)
    learnt = ear.part(CALM_MS, 10_000)
    assert steady.level(learnt, rate, 8000.0).min() > -1.0
    assert steady.residue(learnt, rate, hertz, 8000.0).max() < -40.0
    assert ear.roughness(hertz) < SMOOTH
    assert ear.refused <= 6, "and learnt fast"
    assert max(ear.waiting) <= ear.delay_max_ms


@rates
@tones
@seeds
@pytest.mark.parametrize("jitter_ms", [0, 100])
def test_loss_does_not_click(rate: int, hertz: float, seed: int, jitter_ms: int) -> None:
    packets = jitter(cut(tone(hertz, rate, 10_000), rate, [20] * 500), jitter_ms, seed)
    ear = Ear(rate).hear(lose(packets, 0.1, seed), 10_000)
    assert ear.concealed_ms > 500
    check_no_click(ear, hertz)
    assert np.median(steady.level(ear.part(CALM_MS, 10_000), rate, 8000.0)) > -1.0


@rates
@tones
@seeds
@pytest.mark.parametrize("jitter_ms", [0, 100])
def test_bursts_of_loss_do_not_click(rate: int, hertz: float, seed: int, jitter_ms: int) -> None:
    packets = jitter(burst(cut(tone(hertz, rate, 10_000), rate, [20] * 500), seed), jitter_ms, seed)
    ear = Ear(rate).hear(packets, 10_000)
    check_no_click(ear, hertz)
    assert ear.concealed_ms <= 9 * 60 + 200, "longer gaps fade and are silence"


@seeds
@pytest.mark.parametrize("ptime", [10, 20, 40, 60])
def test_when_the_network_is_well_again_the_delay_is_short_again(seed: int, ptime: int) -> None:
    packets = cut(tone(440.0, 8000, 20_000), 8000, [ptime] * 2000)
    bad = [packet for packet in packets if packet.arrival < 5000]
    ear = Ear().hear(jitter(bad, 100, seed) + packets[len(bad) :], 14_000)
    assert max(ear.waiting[: 5000 // 20]) > 60
    assert max(ear.waiting[10_000 // 20 :]) <= 20 + ptime + 20, "five seconds later"
    assert steady.residue(ear.part(5200, 14_000), 8000, 440.0, 8000.0).max() < -40.0, "and nobody heard it shrink"


@pytest.mark.parametrize("stall_ms", [60, 100, 150])
def test_after_a_stall_all_is_heard(stall_ms: int) -> None:
    """A network that holds everything back for a while, and then lets it go at once."""
    packets = cut(tone(440.0, 8000, 10_000), 8000, [20] * 500)
    held = [p._replace(arrival=2000.0 + stall_ms) if 2000 < p.arrival <= 2000 + stall_ms else p for p in packets]
    ear = Ear().hear(held, 9900)
    assert ear.refused == 0
    assert ear.concealed_ms <= stall_ms
    check_no_click(ear, 440.0)
    assert max(ear.waiting[7000 // 20 :]) <= 60


@speakers
def test_speech_under_jitter_is_what_was_said_and_in_time(name: str) -> None:
    said = _long(speech(name))
    ear = Ear().hear(jitter(cut(said, 8000, [20] * 1000), 100, 3), len(said) / 8)
    heard = echo(said, ear.sound, 8000, 400)[10:]
    likeness, delay = np.array(heard).T
    assert np.median(likeness) > 0.99
    assert np.percentile(likeness, 10) > 0.9, "where a period was left out, too"
    assert delay[likeness > 0.9].max() <= ear.delay_max_ms
    assert ear.concealed_ms < 0.02 * len(said) / 8


@speakers
@pytest.mark.parametrize("jitter_ms", [0, 100])
@pytest.mark.parametrize("how", [lambda p: lose(p, 0.1, 3), lambda p: burst(p, 3)], ids=["loss", "bursts"])
def test_speech_under_loss_stays_aligned(name: str, jitter_ms: int, how: object) -> None:
    said = _long(speech(name))
    assert callable(how)
    ear = Ear().hear(how(jitter(cut(said, 8000, [20] * 1000), jitter_ms, 3)), len(said) / 8)
    likeness, delay = np.array(echo(said, ear.sound, 8000, 400)[10:]).T
    assert np.median(likeness) > 0.95
    assert delay[likeness > 0.95].max() <= ear.delay_max_ms
    assert max(ear.waiting) <= ear.delay_max_ms


def _long(said: Samples) -> Samples:
    """Ten seconds of it."""
    return np.tile(said, -(-80_000 // len(said)))[:80_000]


@rates
@tones
def test_ptime_changes_in_mid_call_leave_no_gap(rate: int, hertz: float) -> None:
    """A longer packet comes later by nature: what has not been said yet is bridged, and nothing is lost."""
    ptimes = [ptime for ptime in (20, 60, 10, 40) for _ in range(3000 // ptime)]
    ear = Ear(rate).hear(cut(tone(hertz, rate, 12_000), rate, ptimes), 11_900)
    assert ear.refused == 0
    assert steady.level(ear.part(CALM_MS, 11_900), rate, 8000.0).min() > -10.0
    assert ear.concealed_ms <= 20 + (60 - 20 - 20) + (40 - 10) + 2 * 15, "the first delay, what was not said, to join"
    check_no_click(ear, hertz)


@rates
@tones
def test_ptime_that_grows_slowly_is_not_heard_and_the_delay_follows(rate: int, hertz: float) -> None:
    ptimes = [ptime for ptime in (20, 30, 40, 60, 80, 100, 120) for _ in range(3000 // ptime)]
    ear = Ear(rate).hear(cut(tone(hertz, rate, 21_000), rate, ptimes), 20_000)
    assert ear.refused == 0
    assert steady.level(ear.part(CALM_MS, 20_000), rate, 8000.0).min() > -3.0
    assert max(ear.waiting) <= 160
    check_no_click(ear, hertz)


@rates
def test_packets_of_120_ms_after_such_of_20_are_heard_whole(rate: int) -> None:
    """A tenth of a second is missing and no more; concealment fades in 60 ms of it."""
    ptimes = [20] * 150 + [120] * 50
    ear = Ear(rate).hear(cut(tone(440.0, rate, 9000), rate, ptimes), 8900)
    assert ear.refused == 0
    level = steady.level(ear.part(CALM_MS, 8900), rate, 8000.0)
    assert np.count_nonzero(level < -3.0) <= 4
    assert level[-200:].min() > -0.2
    check_no_click(ear, 440.0)
