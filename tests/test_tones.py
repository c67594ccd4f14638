"""The judge of the audio is judged first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.tones import (
    SILENCE_DB,
    assert_hears,
    level_db,
    middle,
    purity,
    read_pcm,
    sine,
    ulaw_decode,
    ulaw_encode,
)


@pytest.mark.parametrize("hertz", [300, 440, 1000, 3333])
@pytest.mark.parametrize("amplitude", [1.0, 0.25, 0.001])
def test_level_of_a_sine_is_its_amplitude(hertz: int, amplitude: float) -> None:
    tone = sine(hertz, 2.0, amplitude=amplitude)
    assert level_db(tone, hertz) == pytest.approx(20 * np.log10(amplitude), abs=0.05)
    assert level_db(tone, hertz + 140) < 20 * np.log10(amplitude) - 60


def test_tones_are_told_apart() -> None:
    both = sine(440, 2.0) + sine(1000, 2.0)
    assert_hears(both, present={440, 1000}, absent={700})
    with pytest.raises(AssertionError, match="700 Hz is not heard"):
        assert_hears(both, present={700})
    with pytest.raises(AssertionError, match="440 Hz should not be heard"):
        assert_hears(both, present={1000}, absent={440})
    with pytest.raises(AssertionError, match=r"only 0\.50 s"):
        assert_hears(both[:4000], present={440, 1000})


def test_a_leak_of_38_db_is_noticed() -> None:
    leak = sine(440, 2.0, amplitude=0.25 / 80) + sine(1000, 2.0)
    with pytest.raises(AssertionError, match="440 Hz should not be heard"):
        assert_hears(leak, present={1000}, absent={440})


def test_purity_knows_tone_from_noise_and_nothing() -> None:
    noise = np.random.default_rng(1).uniform(-1, 1, 16000)
    assert purity(sine(440, 2.0)) > 0.999
    assert purity(noise) < 0.02
    assert purity(np.zeros(16000)) == purity(np.zeros(0)) == 0.0
    assert level_db(np.zeros(16000), 440) == SILENCE_DB


def test_mu_law_loses_little() -> None:
    tone = sine(440, 2.0)
    heard = ulaw_decode(ulaw_encode(tone))
    assert purity(heard) > 0.999
    assert ulaw_encode(np.zeros(2)) in (b"\xff\xff", b"\x7f\x7f")
    assert ulaw_encode(np.array([-1.0, 1.0])) == b"\x00\x80"
    every = bytes(set(range(256)) - {0x7F})  # 0x7F and 0xFF are both zero
    assert set(ulaw_encode(ulaw_decode(every))) <= set(range(256))
    assert np.array_equal(ulaw_decode(ulaw_encode(ulaw_decode(every))), ulaw_decode(every))


def test_a_torn_recording_is_read_to_its_last_sample(tmp_path: Path) -> None:
    torn = tmp_path / "torn.pcm"
    torn.write_bytes(b"\x00\x80\xff\x7f\x01")
    assert read_pcm(torn).tolist() == [-1.0, 32767 / 32768]
    assert len(read_pcm(tmp_path / "absent.pcm")) == 0
    assert len(middle(np.zeros(100), 2.0)) == 0
