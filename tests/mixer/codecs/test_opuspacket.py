"""What packets say of themselves, against libopus' own reading, a decode, and what was really said."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mixer.codecs import CodecError, libopus
from mixer.codecs.opus import PTIMES, Opus
from mixer.port import Opus as Settings
from mixer.samples import Samples
from tests.mixer.codecs.sound import heads, levels, noise, packets, sine, speech

OPUS = Opus()
ptimes = pytest.mark.parametrize("ptime", PTIMES)
MANNERS = {
    "usual": Settings(),
    "rich": Settings(bitrate=64000, fec=False),
    "careful": Settings(bitrate=16000, complexity=9),
    "stereo": Settings(stereo=True),
    "dtx": Settings(dtx=True),
    "celt": Settings(bitrate=96000, fec=False),
}
manners = pytest.mark.parametrize("settings", MANNERS.values(), ids=MANNERS)

shaped = st.builds(
    lambda toc, second, runs, rest: bytes([toc, second]) + b"\xff" * runs + rest,
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 3),
    st.binary(max_size=700),
)
"""Any header, with runs of 255 where padding would be told."""


def peek(payloads: list[bytes]) -> tuple[list[int], NDArray[np.bool_]]:
    duration, voiced = OPUS.peek(*heads(payloads))
    return duration.tolist(), voiced


def made(rate: int, ptime: int, settings: Settings, samples: Samples) -> list[bytes]:
    if settings.stereo:
        samples = np.stack([samples, samples // 2], axis=1)
    return packets(OPUS.encoder(rate, ptime, settings), samples, rate * ptime // 1000)


@given(st.binary(max_size=1500) | shaped)
def test_a_packet_lasts_as_libopus_says_or_is_none(payload: bytes) -> None:
    (duration,), _ = peek([payload])
    assert duration in (0, libopus.duration(payload, 48000) if payload else 0)
    try:
        decoded = len(OPUS.decoder(48000).decode(payload))
    except CodecError:
        return
    assert duration == decoded


def test_every_header_of_every_length_is_read_as_libopus_reads_it() -> None:
    """All first and second octets, in one batch: none that decodes is refused, and few that do not are let pass."""
    decoder = OPUS.decoder(8000)
    payloads = [bytes([toc, second]) + bytes(size) for toc in range(256) for second in range(256) for size in (0, 9)]
    payloads += [bytes([toc]) for toc in range(256)]
    durations, _ = peek(payloads)
    wrong = 0
    for payload, duration in zip(payloads, durations, strict=True):
        try:
            assert duration == 6 * len(decoder.decode(payload)), payload.hex()
        except CodecError:
            wrong += duration > 0
    assert wrong < len(payloads) / 50  # frames of different lengths, told behind the head


def test_nothing_lasts_no_time() -> None:
    duration, voiced = OPUS.peek(*heads([b""]))
    assert duration.tolist() == [0]
    assert voiced.dtype == np.bool_
    empty_duration, empty_voiced = OPUS.peek(np.empty((0, 16), np.uint8), np.empty(0, np.int64))
    assert len(empty_duration) == len(empty_voiced) == 0


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
@ptimes
@manners
def test_our_own_packets_last_their_ptime(rate: int, ptime: int, settings: Settings) -> None:
    durations, _ = peek(made(rate, ptime, settings, speech(rate)[: rate * 2]))
    assert set(durations) == {48 * ptime}


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
@ptimes
@manners
def test_no_word_begins_in_a_packet_that_says_nobody_speaks(rate: int, ptime: int, settings: Settings) -> None:
    """Except in discontinuous transmission, where the sender has decided."""
    payloads = made(rate, ptime, settings, speech(rate))
    _, voiced = peek(payloads)
    decoder = OPUS.decoder(rate)
    level = levels(np.stack([decoder.decode(payload) for payload in payloads]))
    sent = np.array([len(payload) > 2 for payload in payloads])
    assert level[~voiced & sent].max(initial=-100) < -50
    assert voiced[level > -50].all() or settings.dtx


@pytest.mark.parametrize("dbov", [-45, -35, -25])
@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_steady_noise_and_tones_are_not_silence(rate: int, dbov: int) -> None:
    """Whatever an encoder's own voice activity says of them."""
    for said in (noise(rate, 4, dbov), sine(1000, rate, 4, 32768 * 2**0.5 * 10 ** (dbov / 20))):
        for settings in (Settings(), Settings(bitrate=64000, fec=False), Settings(bitrate=16000, complexity=9)):
            _, voiced = peek(made(rate, 20, settings, said))
            assert voiced.all()


@pytest.mark.parametrize(
    ("rate", "ptime"), [*itertools.product([8000, 16000], [10, 20, 40, 60]), (48000, 10), (48000, 20)]
)
@pytest.mark.parametrize("settings", [Settings(), Settings(bitrate=64000), Settings(bitrate=16000, complexity=9)])
def test_a_muted_microphone_is_known_without_decoding(rate: int, ptime: int, settings: Settings) -> None:
    """Longer packets of 48 kHz have several frames, which are not looked for."""
    payloads = made(rate, ptime, settings, np.concatenate([speech(rate)[: 2 * rate], np.zeros(rate * 4, np.int16)]))
    _, voiced = peek(payloads[-3000 // ptime :])
    assert not voiced.any()


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
@pytest.mark.parametrize("ptime", [10, 20, 40, 60])
def test_discontinuous_transmission_is_known_for_what_it_is(rate: int, ptime: int) -> None:
    quiet = np.concatenate([speech(rate)[: 2 * rate], noise(rate, 4, -72)])
    payloads = made(rate, ptime, Settings(dtx=True), quiet)
    _, voiced = peek(payloads)
    assert not voiced[[len(payload) <= 2 for payload in payloads]].any()
    assert voiced[-3000 // ptime :].mean() < 0.2


def test_octets_beyond_the_length_do_not_count() -> None:
    payloads = made(16000, 20, Settings(dtx=True), speech(16000))
    head, length = heads(payloads)
    other = np.where(np.arange(head.shape[1]) < length[:, None], head, 0).astype(np.uint8)
    for one, same in zip(OPUS.peek(head, length), OPUS.peek(other, length), strict=True):
        assert (one == same).all()
