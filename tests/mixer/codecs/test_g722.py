"""G.722 against ffmpeg's own coder by PyAV, both ways; tones over its band; what a listener hears at a loss and when
one encoder takes over from another."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from mixer.codecs import HEAD, CodecError, Encoder, g722, spandsp
from mixer.codecs.g722 import G722, RATE, CopyingEncoder, PrimedEncoder
from mixer.samples import EMPTY, Samples
from tests.tones import level_db, sine

FRAME = 320
BAND = (300, 440, 1000, 2000, 3000, 3900, 4300, 5000, 6000, 6500)
"""Both sub-bands and where they meet; the recommendation has 50 to 7000 Hz."""

with_spandsp = pytest.mark.needs("libspandsp")
encoders = pytest.mark.parametrize(
    "make", [pytest.param(CopyingEncoder, marks=with_spandsp, id="spandsp"), pytest.param(PrimedEncoder, id="package")]
)


def tone(hertz: float, packets: int = 50, amplitude: float = 0.25) -> list[Samples]:
    samples = np.rint(sine(hertz, packets * FRAME / RATE, rate=RATE, amplitude=amplitude) * 32768)
    return list(samples.astype(np.int16).reshape(-1, FRAME))


def encoded(encoder: Encoder, packets: list[Samples]) -> list[bytes]:
    return [encoder.encode(packet) for packet in packets]


def decoded(payloads: list[bytes]) -> Samples:
    decoder = G722().decoder(RATE)
    return np.concatenate([decoder.decode(payload) for payload in payloads])


def foreign_decode(octets: bytes) -> Samples:
    """By ffmpeg."""
    context = av.CodecContext.create("g722", "r")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate, context.layout = RATE, "mono"
    frames = [*context.decode(av.Packet(octets)), *context.decode(None)]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.int16)


def foreign_encode(samples: Samples) -> bytes:
    """By ffmpeg."""
    context = av.CodecContext.create("g722", "w")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate, context.layout, context.format = RATE, "mono", "s16"
    context.time_base = Fraction(1, RATE)
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), "s16", "mono")
    frame.sample_rate = RATE
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])


def without_tone(samples: Samples, hertz: float, learn: slice) -> NDArray[np.float64]:
    """What remains when the steady tone, as it is in `learn`, is taken away."""
    turn = 2 * np.pi * hertz * np.arange(len(samples)) / RATE
    wave = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    parts, *_ = np.linalg.lstsq(wave[learn], samples[learn].astype(float), rcond=None)
    rest: NDArray[np.float64] = samples - wave @ parts
    return rest


def assert_as_loud(samples: Samples, hertz: int) -> None:
    heard = level_db(samples[RATE // 4 :] / 32768.0, hertz, rate=RATE)
    assert abs(heard - 20 * np.log10(0.25)) < 1.0, f"{hertz} Hz at {heard:.2f} dB"


# -- the codec --------------------------------------------------------------------------------


@encoders
@pytest.mark.parametrize("hertz", BAND)
def test_a_tone_passes_both_ways_and_through_ffmpeg(make: Callable[[], Encoder], hertz: int) -> None:
    packets = tone(hertz)
    octets = b"".join(encoded(make(), packets))
    assert len(octets) == 50 * 160
    assert_as_loud(decoded([octets[at : at + 160] for at in range(0, len(octets), 160)]), hertz)
    assert_as_loud(foreign_decode(octets), hertz)
    theirs = foreign_encode(np.concatenate(packets))
    assert_as_loud(decoded([theirs[at : at + 160] for at in range(0, len(theirs), 160)]), hertz)


def test_decodes_any_octets_to_what_ffmpeg_makes_of_them() -> None:
    octets = np.random.default_rng(1).integers(0, 256, 16000, np.uint8).tobytes()
    mine = decoded([octets[at : at + 160] for at in range(0, len(octets), 160)])
    assert (mine == np.maximum(foreign_decode(octets), EMPTY + 1)).all()


def test_never_decodes_to_empty() -> None:
    octets = np.random.default_rng(2).integers(0, 256, 160000, np.uint8).tobytes()
    assert foreign_decode(octets).min() == EMPTY  # or there would be nothing to show
    assert decoded([octets[at : at + 160] for at in range(0, len(octets), 160)]).min() == EMPTY + 1


@with_spandsp
def test_both_libraries_encode_to_the_same_octets() -> None:
    noise = np.random.default_rng(3).integers(-32768, 32768, (20, FRAME)).astype(np.int16)
    packets = [*noise, *tone(1000), *noise[:, ::-1]]
    assert encoded(CopyingEncoder(), packets) == encoded(PrimedEncoder(), packets)


@encoders
def test_encodes_what_is_spread_in_memory_and_any_ptime(make: Callable[[], Encoder]) -> None:
    samples = np.concatenate(tone(700))
    stereo = np.stack([samples, -samples], axis=1)
    whole = b"".join(encoded(make(), tone(700)))
    assert b"".join(encoded(make(), list(stereo[:, 0].reshape(-1, 1600)))) == whole
    encoder = make()
    assert encoder.encode(stereo[:, 0]) == whole
    assert (
        decoded([whole[at : at + 80] for at in range(0, len(whole), 80)]).tobytes()
        == decoded([whole[at : at + 800] for at in range(0, len(whole), 800)]).tobytes()
    )


@encoders
@pytest.mark.parametrize(
    "samples",
    [np.zeros(321, np.int16), np.zeros(320, np.float32), np.zeros((320, 2), np.int16)],
    ids=["odd", "float", "stereo"],
)
def test_what_is_not_one_channel_of_samples_is_refused(make: Callable[[], Encoder], samples: Samples) -> None:
    encoder, witness = make(), make()
    with pytest.raises(CodecError, match="even number of int16"):
        encoder.encode(samples)
    assert encoded(encoder, tone(440)) == encoded(witness, tone(440))


@encoders
def test_takes_no_notice_of_requests_for_a_mode(make: Callable[[], Encoder]) -> None:
    encoder = make()
    before = encoded(make(), tone(440))
    encoder.request(3)
    assert encoded(encoder, tone(440)) == before


@pytest.mark.parametrize("length", [0, 961])
def test_a_payload_of_no_such_length_is_refused_and_changes_nothing(length: int) -> None:
    payloads = encoded(PrimedEncoder(), tone(440))
    decoder = G722().decoder(RATE)
    heard = [decoder.decode(payload) for payload in payloads[:25]]
    with pytest.raises(CodecError, match=str(length)):
        decoder.decode(bytes(length))
    heard += [decoder.decode(payload) for payload in payloads[25:]]
    assert (np.concatenate(heard) == decoded(payloads)).all()


def test_a_peek_tells_the_length_in_units_of_the_clock() -> None:
    length = np.array([0, 1, 80, 160, 960, 961, 1400])
    duration, speaks = G722().peek(np.zeros((7, HEAD), np.uint8), length)
    assert duration.tolist() == [0, 1, 80, 160, 960, 0, 0]
    assert duration.dtype == np.int64
    assert speaks.dtype == bool
    assert speaks.all()


@pytest.mark.parametrize("mix", [8000, 16000, 48000])
def test_is_sampled_at_16000_and_at_nothing_else(mix: int) -> None:
    codec = G722()
    assert codec.missing == ""
    assert codec.sampling(8000, mix) == RATE
    with pytest.raises(CodecError, match="8000"):
        codec.decoder(8000)
    with pytest.raises(CodecError, match="48000"):
        codec.encoder(48000, 20, None)


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(g722, "_package", None)
    assert "pip install G722" in G722().missing
    with pytest.raises(CodecError, match="pip install G722"):
        G722().decoder(RATE)
    with pytest.raises(CodecError, match="pip install G722"):
        G722().encoder(RATE, 20, None)


def test_without_libspandsp_the_package_encodes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert spandsp.load(("libnothing-of-that-name.so.0",)) is None
    monkeypatch.setattr(spandsp, "LIBRARY", None)
    assert isinstance(G722().encoder(RATE, 20, None), PrimedEncoder)


# -- losses -----------------------------------------------------------------------------------


def lossy(packets: list[Samples], lost: range) -> Samples:
    decoder = G722().decoder(RATE)
    heard = []
    for number, payload in enumerate(encoded(PrimedEncoder(), packets)):
        heard.append(decoder.conceal(FRAME) if number in lost else decoder.decode(payload))
    return np.concatenate(heard)


def test_lost_packets_of_a_tone_are_filled_without_a_click() -> None:
    """A click would be a step between samples: no step is larger than those of the tone, by a small margin."""
    packets = tone(437)
    heard = lossy(packets, range(20, 22)).astype(int)
    gap = slice(20 * FRAME, 22 * FRAME)
    usual = np.abs(np.diff(heard[FRAME : gap.start])).max()
    assert np.abs(np.diff(heard[FRAME:])).max() < 1.5 * usual
    filled = heard[gap.start : gap.start + 160]  # before it begins to fade
    true = decoded(encoded(PrimedEncoder(), packets))[gap.start : gap.start + 160]
    assert np.corrcoef(filled, true)[0, 1] > 0.98
    heard[gap] = 0
    assert np.abs(np.diff(heard[FRAME:])).max() > 3 * usual


def test_a_long_loss_fades_to_silence_and_the_tone_comes_back() -> None:
    heard = lossy(tone(400, 100), range(20, 40)).astype(int)
    assert np.abs(heard[24 * FRAME : 40 * FRAME]).max() == 0
    after = heard[60 * FRAME :] / 32768.0
    assert abs(level_db(after, 400, rate=RATE) - 20 * np.log10(0.25)) < 1.0
    assert heard.min() > EMPTY


def test_conceals_before_anything_was_heard_with_silence() -> None:
    decoder = G722().decoder(RATE)
    invented = decoder.conceal(480)
    assert invented.dtype == np.int16
    assert invented.tolist() == [0] * 480
    assert decoder.recover(bytes(160), FRAME) is None


# -- one encoder after another ----------------------------------------------------------------


def switched(make: Callable[[], Encoder], hertz: float, *, take_over: bool, at: int = 50) -> Samples:
    """What one decoder hears when another encoder goes on with a steady tone."""
    packets = tone(hertz, 100)
    first, second = make(), make()
    payloads = encoded(first, packets[:at])
    if take_over:
        second.take_over(first)
    return decoded(payloads + encoded(second, packets[at:]))


def click(samples: Samples, hertz: float) -> float:
    """How much of what is no tone there is around the switch, over what there is before: 1 is no click."""
    rest = np.abs(without_tone(samples, hertz, slice(20 * FRAME, 45 * FRAME)))
    return float(rest[49 * FRAME : 60 * FRAME].max() / rest[20 * FRAME : 45 * FRAME].max())


@with_spandsp
@pytest.mark.parametrize("hertz", [440, 1000, 3000, 5500])
def test_an_encoder_takes_over_without_a_trace(hertz: int) -> None:
    heard = switched(CopyingEncoder, hertz, take_over=True)
    assert (heard == decoded(encoded(CopyingEncoder(), tone(hertz, 100)))).all()
    assert click(heard, hertz) < 1.5
    assert click(switched(CopyingEncoder, hertz, take_over=False), hertz) > 10


@pytest.mark.parametrize("hertz", [440, 1000, 3000, 5500])
def test_without_libspandsp_taking_over_is_quieter_than_beginning(hertz: int) -> None:
    assert click(switched(PrimedEncoder, hertz, take_over=True), hertz) < 0.7 * click(
        switched(PrimedEncoder, hertz, take_over=False), hertz
    )


@encoders
def test_after_a_few_packets_taking_over_is_exact(make: Callable[[], Encoder]) -> None:
    assert (switched(make, 440, take_over=True, at=3) == decoded(encoded(make(), tone(440, 100)))).all()


@encoders
def test_the_one_that_was_taken_over_from_is_not_changed(make: Callable[[], Encoder]) -> None:
    first, second, witness = make(), make(), make()
    packets = tone(1000)
    assert encoded(first, packets[:25]) == encoded(witness, packets[:25])
    second.take_over(first)
    encoded(second, tone(300))
    assert encoded(first, packets[25:]) == encoded(witness, packets[25:])


@with_spandsp
def test_a_state_of_libspandsp_leaves_room() -> None:
    """What the library writes is a small part of what it is given."""
    state = spandsp.State()
    room = memoryview(spandsp._FFI.buffer(state.memory))
    room[spandsp.ROOM // 2 :] = bytes([0xA5]) * (spandsp.ROOM // 2)
    spandsp.LIBRARY.g722_encode_init(state.memory, spandsp.BIT_RATE, 0)
    state.encode(np.concatenate(tone(1000)))
    assert bytes(room[spandsp.ROOM // 2 :]) == bytes([0xA5]) * (spandsp.ROOM // 2)
