"""The finder of voices: exact on signals whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from bench import content
from bench.codec import Samples, codec

RATE = 8000
WINDOW = 1600


def noise(seed: int, seconds: float = 4.0) -> Samples:
    rng = np.random.default_rng(seed)
    return (0.05 * rng.standard_normal(int(seconds * RATE))).astype(np.float32)


def late(signal: Samples, samples: int) -> Samples:
    return np.concatenate([np.zeros(samples, np.float32), signal])[: len(signal)]


def find(mix: Samples, source: Samples, reach: int = 4000) -> content.Found:
    windows = np.arange(len(mix) // WINDOW) * WINDOW
    return content.find(mix, source, window=WINDOW, earliest=windows - reach, reach=reach)


def test_the_lag_is_found_to_the_sample() -> None:
    a, b = noise(1), noise(2)
    mix = late(a, 333) + 0.5 * late(b, 1234)
    found = find(mix, b)
    assert set(found.start - found.source) == {1234}
    assert found.share == 1.0
    assert found.gain_db == pytest.approx(-6.02, abs=1.0)


def test_a_moving_lag_is_followed() -> None:
    """A jitter buffer that grows by 20 ms in mid-speech."""
    a = noise(1)
    mix = np.concatenate([late(a, 320)[:16000], late(a, 480)[16000:]])
    found = find(mix, a)
    lags = found.start - found.source
    assert set(lags[found.start < 16000]) == {320}
    assert set(lags[found.start >= 16000]) == {480}


def test_who_is_absent_is_not_found() -> None:
    assert find(noise(1) + noise(2), noise(3)).gain_db == -120.0


def test_the_rest_is_empty_when_all_are_taken_out() -> None:
    a, b = noise(1), noise(2)
    mix = 0.9 * late(a, 100) + 0.3 * late(b, 200)
    rest = content.without(mix, [(a, find(mix, a)), (b, find(mix, b))], WINDOW)
    inner = slice(WINDOW, len(mix) // WINDOW * WINDOW)
    assert content.level_db(rest[inner], mix[inner]) < -90


@pytest.mark.parametrize("level", [-20.0, -30.0, -38.0, -45.0])
def test_the_own_voice_is_measured_under_the_others(level: float) -> None:
    """Through G.711 and under two talkers, 40 dB down is told from 45 and 38."""
    law = codec("PCMU")
    own, a, b = noise(1), noise(2), noise(3)
    quiet = np.float32(10 ** (level / 20)) * late(own, 480)
    mix = law.decode(law.encode(late(a, 400) + late(b, 560) + quiet))
    rest = content.without(mix, [(a, find(mix, a)), (b, find(mix, b))], WINDOW)
    assert content.strongest_db(rest, own) == pytest.approx(level, abs=1.5)


def test_chance_is_told_from_presence() -> None:
    own, other = noise(1), noise(2)
    assert content.strongest_db(other, own) > -40
    assert content.strongest_db(other, own) < content.by_chance_db(other, own) < -25
    assert content.strongest_db(other + 0.05 * late(own, 99), own) > content.by_chance_db(other, own)


def test_a_stained_window_does_not_stain_all() -> None:
    mix = noise(1)
    rest = np.zeros_like(mix)
    rest[:WINDOW] = mix[:WINDOW]
    assert content.window_level_db(rest, mix, WINDOW) == -120.0
    assert content.window_level_db(0.5 * mix, mix, WINDOW) == pytest.approx(-6.02, abs=0.01)


def test_an_inverted_echo_counts_too() -> None:
    own = noise(1)
    assert content.strongest_db(-0.1 * late(own, 700), own) == pytest.approx(-20, abs=1)


def test_silence_has_nobody_in_it() -> None:
    silence = np.zeros(16000, np.float32)
    assert find(silence, noise(1)).gain_db == -120.0
    assert content.strongest_db(silence, noise(1)) == -120.0


def test_latency_runs_from_the_packet_said_to_the_packet_heard() -> None:
    """Lag 3.5 packets: half of the samples are in the packet before."""
    a = noise(1, 2.0)
    found = find(late(a, 560), a)
    said = np.arange(100) * 20_000_000
    heard = said + 7_000_000
    ms = content.latencies_ns(found, WINDOW, 160, heard, said) / 1e6
    assert set(ms) == {67.0, 87.0}
    assert np.mean(ms == 67.0) == pytest.approx(0.5, abs=0.01)
