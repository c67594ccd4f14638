"""Recorded speech through a whole conference sounds as through its codecs alone: PESQ (ITU-T P.862) is the judge.

The mixer decodes and encodes again, so "alone" is the two codecs one after the other.
"""

from __future__ import annotations

import numpy as np
import pytest

from mixer.samples import Samples
from tests import codecs
from tests.mixer.codecs.sound import speech
from tests.quality.paths import Loses, Path, resampled

pytestmark = pytest.mark.needs("pesq", "libopencore-amrnb", "libopencore-amrwb", "libvo-amrwbenc")

ALLOWED_MOS = 0.1
"""What the whole path may cost over the codecs."""

RATES = {"PCMU": 8000, "AMR": 8000, "G722": 16000, "AMR-WB": 16000, "opus": 48000}
"""Of the mix that loses nothing of a codec."""
MIXED = [("opus", "PCMU"), ("G722", "opus"), ("AMR", "opus"), ("PCMU", "AMR"), ("AMR-WB", "G722")]

each_codec = pytest.mark.parametrize("codec", RATES)


def mos(path: Path, heard: Samples) -> float:
    """How good what was heard is, against what was said: 1 to 4.6, on the narrowband scale if one end is narrow."""
    from pesq import pesq

    rate = min(16000, *(codecs.RATES[codec] for codec in (path.talker, path.listener)))
    said = speech(rate).astype(np.float64)
    came = resampled(heard, codecs.RATES[path.listener], rate).astype(np.float64)
    size = len(said) + len(came)
    likeness = np.fft.irfft(np.fft.rfft(came, size) * np.fft.rfft(said, size).conj(), size)
    delay = int(likeness[:rate].argmax())
    both = min(len(said), len(came) - delay)
    return float(pesq(rate, said[:both], came[delay : delay + both], "nb" if rate == 8000 else "wb"))


def same(codec: str) -> Path:
    return Path(codec, codec, RATES[codec])


@each_codec
def test_the_mixer_costs_no_more_than_its_codecs(codec: str) -> None:
    path = same(codec)
    assert mos(path, path.whole()) >= mos(path, path.direct()) - ALLOWED_MOS


@pytest.mark.parametrize(("talker", "listener"), MIXED)
def test_the_mixer_costs_no_more_than_both_codecs(talker: str, listener: str) -> None:
    path = Path(talker, listener, max(RATES[talker], RATES[listener]))
    assert mos(path, path.whole()) >= mos(path, path.direct()) - ALLOWED_MOS


@pytest.mark.parametrize("codec", [codec for codec in RATES if codec != "PCMU"])
def test_what_is_lost_is_concealed_as_well_as_the_codec_can(codec: str) -> None:
    """And FEC is made use of whenever the packet that repeats has come."""
    path, net = same(codec), Loses(0.05, seed=1)
    whole = path.whole(net)
    assert len(net.gone) > 20
    assert mos(path, whole) >= mos(path, path.direct(net.gone)) - ALLOWED_MOS


def test_what_is_lost_of_a_codec_that_cannot_conceal_is_not_left_silent() -> None:
    path, net = same("PCMU"), Loses(0.05, seed=1)
    assert mos(path, path.whole(net)) > mos(path, path.direct(net.gone)) + ALLOWED_MOS


@each_codec
def test_the_judge_hears_what_a_codec_costs_and_what_is_lost(codec: str) -> None:
    """Were it deaf, all else would pass."""
    path = same(codec)
    once, twice = mos(path, path.single()), mos(path, path.direct())
    lossy = mos(path, path.direct([number for number in range(700) if number % 20 < 2]))  # FEC repeats only one
    assert once >= twice
    assert lossy < twice - 2 * ALLOWED_MOS
