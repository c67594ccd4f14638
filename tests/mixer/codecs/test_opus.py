"""Opus against FFmpeg's own decoder, which shares nothing with libopus, and against what was said."""

from __future__ import annotations

import itertools
from fractions import Fraction

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from mixer.codecs import CodecError
from mixer.codecs.opus import PTIMES, Opus
from mixer.port import Opus as Settings
from mixer.port.values import Rate
from mixer.samples import EMPTY, Samples
from tests import tones
from tests.mixer.codecs.sound import heard, likeness, packets, residual, sine, speech

OPUS = Opus()
RATES = (8000, 16000, 24000, 48000)
rates = pytest.mark.parametrize("rate", RATES)
ptimes = pytest.mark.parametrize("ptime", PTIMES)
MANNERS = {
    "usual": Settings(),
    "careful": Settings(complexity=10),
    "music": Settings(complexity=10, fec=False),
    "rich": Settings(bitrate=96000, fec=False),
}
manners = pytest.mark.parametrize("settings", MANNERS.values(), ids=MANNERS)


def foreign_decode(payloads: list[bytes], layout: str = "mono") -> NDArray[np.float32]:
    """By FFmpeg's own decoder: float32[channels, samples] at 48 kHz."""
    context = av.CodecContext.create("opus", "r")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate, context.layout = 48000, layout
    frames = [frame for payload in payloads for frame in context.decode(av.Packet(payload))]
    return np.concatenate([frame.to_ndarray() for frame in [*frames, *context.decode(None)]], axis=1)


def foreign_encode(samples: Samples, options: dict[str, str]) -> list[bytes]:
    context = av.CodecContext.create("libopus", "w")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate, context.layout, context.format = 48000, "mono", "s16"
    context.time_base, context.bit_rate, context.options = Fraction(1, 48000), 32000, options
    width = 48 * int(options["frame_duration"])
    payloads: list[bytes] = []
    for at in range(0, len(samples) - width + 1, width):
        frame = av.AudioFrame.from_ndarray(samples[None, at : at + width], "s16", "mono")
        frame.sample_rate, frame.pts = 48000, at
        payloads += [bytes(packet) for packet in context.encode(frame)]
    return payloads


def made(rate: int, ptime: int, settings: Settings, samples: Samples) -> list[bytes]:
    return packets(OPUS.encoder(rate, ptime, settings), samples, rate * ptime // 1000)


def test_samples_as_the_mix_does() -> None:
    assert [OPUS.sampling(48000, rate) for rate in RATES] == list(RATES)
    assert OPUS.missing == ""
    assert (OPUS.name, OPUS.payload_type, OPUS.clocks) == ("opus", 111, (48000,))


@rates
@ptimes
@pytest.mark.parametrize(("settings", "within"), [(Settings(), 1.5), (Settings(complexity=10, fec=False), 0.4)])
def test_a_tone_is_what_it_was_in_ears_that_are_not_ours(
    rate: int, ptime: int, settings: Settings, within: float
) -> None:
    payloads = made(rate, ptime, settings, sine(1000, rate, 3))
    theirs = foreign_decode(payloads)[0].astype(float)
    ours = heard(OPUS.decoder(rate), payloads) / 32768
    for samples, at in ((theirs, 48000), (ours, rate)):
        assert len(samples) == at * ptime // 1000 * len(payloads)
        part = tones.middle(samples, 1, rate=at)
        assert tones.level_db(part, 1000, rate=at) == pytest.approx(20 * np.log10(8000 / 32768), abs=within)
        assert tones.purity(part, rate=at) > 0.99


@rates
@manners
def test_speech_is_understood_by_ears_that_are_not_ours(rate: int, settings: Settings) -> None:
    payloads = made(rate, 20, settings, speech(rate))
    assert likeness(speech(rate), heard(OPUS.decoder(rate), payloads), rate) > 0.9
    assert likeness(speech(48000), foreign_decode(payloads)[0], 48000) > 0.9


@rates
@pytest.mark.parametrize("duration", ["10", "20", "40", "60"])
@pytest.mark.parametrize("application", ["voip", "audio", "lowdelay"])
def test_hears_what_others_encode(rate: int, duration: str, application: str) -> None:
    payloads = foreign_encode(speech(48000), {"frame_duration": duration, "application": application})
    assert likeness(speech(rate), heard(OPUS.decoder(rate), payloads), rate) > 0.85  # VOIP turns phases


@rates
def test_two_channels_are_heard_as_two_and_decoded_as_one(rate: int) -> None:
    both = np.stack([sine(600, rate, 3), sine(1700, rate, 3)], axis=1)
    payloads = made(rate, 20, Settings(stereo=True, bitrate=96000), both)
    left, right = foreign_decode(payloads, "stereo").astype(float)
    for samples, hertz, other in ((left, 600, 1700), (right, 1700, 600)):
        part = tones.middle(samples, 1, rate=48000)
        assert tones.level_db(part, hertz, rate=48000) == pytest.approx(-12.2, abs=1)
        assert tones.level_db(part, other, rate=48000) < -35
    one = tones.middle(heard(OPUS.decoder(rate), payloads) / 32768, 1, rate=rate)
    for hertz in (600, 1700):
        assert tones.level_db(one, hertz, rate=rate) == pytest.approx(-12.2 - 6, abs=1)


@pytest.mark.parametrize("rate", [16000, 48000])
@pytest.mark.parametrize("complexity", [5, 10])
def test_what_a_packet_repeats_is_nearer_than_a_guess(rate: int, complexity: int) -> None:
    width = rate // 50
    payloads = made(rate, 20, Settings(complexity=complexity), speech(rate))
    whole = OPUS.decoder(rate)
    clean = [whole.decode(payload) for payload in payloads]
    mending, guessing = OPUS.decoder(rate), OPUS.decoder(rate)
    lost, mended, guessed = [], [], []
    for index, payload in enumerate(payloads):
        if index % 10 == 5:
            continue
        if index % 10 == 6:
            repeated, guess = mending.recover(payload, width), guessing.conceal(width)
            if repeated is None:
                mending.conceal(width)
            else:
                lost.append(clean[index - 1])
                mended.append(repeated)
                guessed.append(guess)
        mending.decode(payload)
        guessing.decode(payload)
    assert len(lost) > len(payloads) / 10 / 2
    said = np.concatenate(lost).astype(float)
    assert np.corrcoef(said, np.concatenate(mended))[0, 1] > 0.9
    assert np.corrcoef(said, np.concatenate(guessed))[0, 1] < 0.8


def test_nothing_is_recovered_where_nothing_is_repeated() -> None:
    for settings in (Settings(fec=False), Settings(bitrate=96000, complexity=10, fec=False)):
        decoder = OPUS.decoder(16000)
        for payload in made(16000, 20, settings, speech(16000)):
            assert decoder.recover(payload, 320) is None
            decoder.decode(payload)
    assert decoder.recover(b"", 320) is None
    assert decoder.recover(b"\x00", 320) is None


def test_only_lengths_that_were_possible_are_recovered() -> None:
    payloads = made(16000, 20, Settings(), speech(16000))
    decoder = OPUS.decoder(16000)
    one = next(payload for payload in payloads if decoder.recover(payload, 320) is not None)
    longer = decoder.recover(one, 640)
    assert longer is not None
    assert len(longer) == 640
    for samples in (0, 160, 321, 16000):  # shorter than a frame, between steps, longer than any packet
        assert decoder.recover(one, samples) is None


@rates
def test_conceals_any_length_and_fades(rate: int) -> None:
    payloads = made(rate, 20, Settings(), sine(400, rate, 1))
    for samples in (0, 1, rate // 400 - 1, rate // 50, rate // 50 + 1, rate * 120 // 1000 + 1, rate):
        decoder = OPUS.decoder(rate)
        heard(decoder, payloads)
        concealed = decoder.conceal(samples)
        assert concealed.shape == (samples,)
        assert concealed.dtype == np.int16
    assert np.abs(concealed[: rate // 50]).max() > 4000
    assert np.abs(concealed[-rate // 50 :]).max() < 4000


@rates
@ptimes
@manners
def test_nobody_hears_that_another_encoder_went_on(rate: int, ptime: int, settings: Settings) -> None:
    """And everybody would, if it began afresh."""
    width = rate * ptime // 1000
    tone = sine(1000, rate, 4)
    at = len(tone) // width // 2
    first = OPUS.encoder(rate, ptime, settings)
    before = packets(first, tone[: at * width], width)
    heir, stranger = OPUS.encoder(rate, ptime, settings), OPUS.encoder(rate, ptime, settings)
    heir.take_over(first)
    inherited, afresh = (packets(encoder, tone[at * width :], width) for encoder in (heir, stranger))
    assert inherited == packets(first, tone[at * width :], width)  # `first` was not changed
    calm, click = (residual(heard(OPUS.decoder(rate), before + after), 1000, rate) for after in (inherited, afresh))
    around = slice(at * width, at * width + rate // 10)
    assert np.abs(calm[around]).max() < 1.5 * np.abs(calm[rate : at * width]).max()
    assert np.abs(calm[around]).max() < 800
    assert np.abs(click[around]).max() > 4000


def test_only_one_of_its_own_kind_is_taken_over() -> None:
    encoder = OPUS.encoder(16000, 20, None)
    for other in (
        OPUS.encoder(48000, 20, None),
        OPUS.encoder(16000, 40, None),
        OPUS.encoder(16000, 20, Settings(bitrate=64000)),
        OPUS.encoder(16000, 20, Settings(stereo=True)),
        "an encoder",
    ):
        with pytest.raises(CodecError, match="same rate"):
            encoder.take_over(other)
    encoder.take_over(OPUS.encoder(16000, 20, Settings()))  # None is the usual


@pytest.mark.parametrize("ptime", PTIMES)
def test_a_constant_bitrate_tells_nothing(ptime: int) -> None:
    payloads = made(16000, ptime, Settings(cbr=True), speech(16000))
    assert 32000 * ptime / 8000 - 2 < len(payloads[0]) <= 32000 * ptime / 8000
    assert len({len(payload) for payload in payloads}) == 1


def test_a_bitrate_is_kept_and_no_packet_is_longer_than_a_datagram() -> None:
    said = speech(48000)
    spent = {
        bitrate: sum(map(len, made(48000, 20, Settings(bitrate=bitrate), said))) * 8 / (len(said) / 48000)
        for bitrate in (12000, 32000, 64000)
    }
    assert all(0.5 * bitrate < bits < 1.2 * bitrate for bitrate, bits in spent.items())
    for ptime in PTIMES:
        loud = made(48000, ptime, Settings(bitrate=510000, stereo=True), np.stack([said, said[::-1]], axis=1))
        assert min(1000, 510 * ptime // 8 - 10) < max(map(len, loud)) <= 1200


@pytest.mark.parametrize("ptime", PTIMES)
def test_nearly_nothing_is_sent_while_nobody_speaks(ptime: int) -> None:
    quiet = np.zeros(16000 * 3, np.int16)
    payloads = made(16000, ptime, Settings(dtx=True), np.concatenate([speech(16000)[:32000], quiet]))
    tail = [len(payload) for payload in payloads[-2000 // ptime :]]
    assert sum(length <= 2 for length in tail) > 0.8 * len(tail)
    assert min(map(len, made(16000, ptime, Settings(), quiet))) > 2


@pytest.mark.parametrize(("max_rate", "cutoff"), [(8000, 4000), (16000, 8000), (24000, 12000)])
def test_nothing_is_spent_on_what_the_endpoint_cannot_hear(max_rate: Rate, cutoff: int) -> None:
    hiss = np.random.default_rng(4).normal(0, 3000, 48000).astype(np.int16)
    for ptime in PTIMES:
        theirs = foreign_decode(made(48000, ptime, Settings(bitrate=64000, max_rate=max_rate), hiss))[0]
        power = np.abs(np.fft.rfft(theirs)) ** 2
        edge = (cutoff + 1000) * len(theirs) // 48000
        assert power[edge:].mean() < power[: edge // 2].mean() / 300


def test_never_says_that_nobody_wrote() -> None:
    square = np.where(np.arange(48000 * 2) // 120 % 2, 32767, -32767).astype(np.int16)
    said = heard(OPUS.decoder(48000), made(48000, 20, Settings(bitrate=256000), square))
    assert said.min() == EMPTY + 1


def test_what_was_returned_stays_as_it_was() -> None:
    decoder = OPUS.decoder(16000)
    payloads = made(16000, 20, Settings(), speech(16000))
    kept = [decoder.decode(payload) for payload in payloads]
    again = OPUS.decoder(16000)
    assert all((again.decode(payload) == samples).all() for payload, samples in zip(payloads, kept, strict=True))
    assert not any(np.shares_memory(one, other) for one, other in itertools.pairwise(kept))


@pytest.mark.parametrize("corrupt", [b"", b"\x01\x00\x00\x00"[:2], b"\x03\x00", b"\x5b\x3f" + bytes(70), bytes(1300)])
def test_a_corrupt_packet_is_refused_and_the_next_one_is_heard(corrupt: bytes) -> None:
    payloads = made(16000, 20, Settings(), sine(500, 16000, 2))
    decoder, disturbed = OPUS.decoder(16000), OPUS.decoder(16000)
    for payload in payloads:
        with pytest.raises(CodecError):
            disturbed.decode(corrupt)
        assert (disturbed.decode(payload) == decoder.decode(payload)).all()


def test_what_cannot_be_is_refused() -> None:
    for rate in (44100, 0):
        with pytest.raises(CodecError, match="no decoder"):
            OPUS.decoder(rate)
        with pytest.raises(CodecError, match="no encoder"):
            OPUS.encoder(rate, 20, None)
    with pytest.raises(CodecError, match="use one of"):
        OPUS.encoder(48000, 25, None)
    for wrong in (np.zeros(319, np.int16), np.zeros((320, 2), np.int16), np.zeros(320, np.float32)):
        with pytest.raises(CodecError, match="wanted"):
            OPUS.encoder(16000, 20, None).encode(wrong)  # type: ignore[arg-type]


def test_modes_are_not_known() -> None:
    one, other = OPUS.encoder(16000, 20, None), OPUS.encoder(16000, 20, None)
    one.request(3)
    assert packets(one, speech(16000)[:32000], 320) == packets(other, speech(16000)[:32000], 320)
