"""AMR and AMR-WB: what we write, FFmpeg's own decoders hear; what FFmpeg's packetiser writes, we read."""

from __future__ import annotations

import io
import socket
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from av.audio.codeccontext import AudioCodecContext
from numpy.typing import NDArray

from mixer import port
from mixer.codecs import HEAD, CodecError, Decoder, libamr
from mixer.codecs.amr import AMR, AMR_ALIGNED, AMR_WB, AMR_WB_ALIGNED, Amr
from mixer.codecs.amr_payload import NO_DATA, SPEECH_LOST, Frame, parse, requested_mode, speech_modes, write
from mixer.samples import EMPTY, Samples
from tests import tones

pytestmark = pytest.mark.needs("libopencore-amrnb", "libopencore-amrwb", "libvo-amrwbenc")

CODECS = (AMR, AMR_ALIGNED, AMR_WB, AMR_WB_ALIGNED)
MODES = [(codec, mode) for codec in CODECS for mode in range(speech_modes(codec.sizes))]
SPEECH = sorted((Path(__file__).parents[3] / "bench" / "speech").glob("*.wav"))

each_codec = pytest.mark.parametrize("codec", CODECS, ids=lambda codec: f"{codec.name}-{codec.octet_aligned}")
each_mode = pytest.mark.parametrize(("codec", "mode"), MODES)


def settings(codec: Amr, modes: tuple[int, ...] = (), mode: int | None = None, *, dtx: bool = False) -> port.Amr:
    return port.Amr(octet_aligned=codec.octet_aligned, modes=modes, mode=mode, dtx=dtx)


def rate(codec: Amr) -> int:
    return codec.clocks[0]


def tone(codec: Amr, hertz: float, seconds: float, amplitude: float = 0.25) -> Samples:
    samples: Samples = (32767 * tones.sine(hertz, seconds, rate=rate(codec), amplitude=amplitude)).astype(np.int16)
    return samples


def said(codec: Amr, path: Path, seconds: float = 3.0) -> Samples:
    """Recorded speech, at the rate of the codec."""
    with wave.open(str(path)) as file:
        recorded = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        moments = np.arange(int(seconds * rate(codec))) * (file.getframerate() / rate(codec))
    samples: Samples = np.interp(moments, np.arange(len(recorded)), recorded).astype(np.int16)
    return samples


def packets(samples: Samples, codec: Amr, ptime: int = 20) -> list[Samples]:
    size = ptime * rate(codec) // 1000
    return [samples[at : at + size] for at in range(0, len(samples) - size + 1, size)]


def encoded(codec: Amr, samples: Samples, settings: port.Amr | None = None, ptime: int = 20) -> list[bytes]:
    encoder = codec.encoder(rate(codec), ptime, settings)
    return [encoder.encode(part) for part in packets(samples, codec, ptime)]


def decoded(codec: Amr, payloads: list[bytes]) -> Samples:
    decoder = codec.decoder(rate(codec))
    return np.concatenate([decoder.decode(payload) for payload in payloads])


def stored(frame: Frame) -> bytes:
    """As in files: RFC 4867 section 5.3."""
    return bytes([frame.kind << 3 | frame.good << 2]) + frame.speech


def heard_by_ffmpeg(codec: Amr, payloads: list[bytes]) -> NDArray[np.float64]:
    """Full scale is 1.0."""
    context = av.CodecContext.create("amrwb" if rate(codec) == 16000 else "amrnb", "r")
    assert isinstance(context, AudioCodecContext)
    context.sample_rate, context.layout = rate(codec), "mono"
    frames = [stored(frame) for payload in payloads for frame in parse(payload, codec.sizes, codec.octet_aligned)]
    return np.concatenate([out.to_ndarray()[0] for frame in frames for out in context.decode(av.Packet(frame))])


def likeness(one: NDArray[np.generic], other: NDArray[np.generic], slack: int = 0) -> float:
    """The highest correlation within so many samples of delay."""
    size = min(len(one), len(other)) - slack
    first = one[:size].astype(float)
    return max(float(np.corrcoef(first, other[late : late + size].astype(float))[0, 1]) for late in range(slack + 1))


def peek(codec: Amr, payloads: list[bytes]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    heads = b"".join((payload + bytes(HEAD))[:HEAD] for payload in payloads)
    head = np.frombuffer(heads, np.uint8).reshape(-1, HEAD)
    return codec.peek(head, np.array([len(payload) for payload in payloads]))


@each_mode
def test_ffmpeg_hears_our_tone_in_each_mode(codec: Amr, mode: int) -> None:
    payloads = encoded(codec, tone(codec, 440.0, 1.0), settings(codec, mode=mode))
    for payload in payloads:
        assert [frame.kind for frame in parse(payload, codec.sizes, codec.octet_aligned)] == [mode]
    # FFmpeg's gain control takes up to 5 dB from a tone that never ends.
    for heard, slack_db in ((decoded(codec, payloads) / 32768.0, 1.0), (heard_by_ffmpeg(codec, payloads), 5.0)):
        middle = tones.middle(heard, 0.5, rate=rate(codec))
        assert tones.level_db(middle, 440.0, rate=rate(codec)) == pytest.approx(-12.0, abs=slack_db)
        assert tones.purity(middle, rate=rate(codec)) > 0.97


@each_codec
@pytest.mark.parametrize("path", SPEECH, ids=lambda path: path.stem)
def test_speech_sounds_to_us_as_to_ffmpeg_and_as_it_was_said(codec: Amr, path: Path) -> None:
    samples = said(codec, path)
    payloads = encoded(codec, samples)
    ours = decoded(codec, payloads)
    assert likeness(ours, heard_by_ffmpeg(codec, payloads)) > 0.99
    assert likeness(samples, ours, slack=rate(codec) // 50) > 0.8


@each_codec
@pytest.mark.parametrize("ptime", [20, 40, 60])
def test_packets_of_several_frames_hold_the_same_frames(codec: Amr, ptime: int) -> None:
    samples = said(codec, SPEECH[0], seconds=0.6)
    payloads = encoded(codec, samples, ptime=ptime)
    duration, speech = peek(codec, payloads)
    assert (duration == ptime * rate(codec) // 1000).all()
    assert speech.all()
    assert all(requested_mode(payload, codec.sizes) is None for payload in payloads)
    assert (decoded(codec, payloads) == decoded(codec, encoded(codec, samples))).all()


def rtp_of_ffmpeg(codec: Amr, frames: list[Frame]) -> Iterator[bytes]:
    """The payloads in which FFmpeg sends a file with these frames, three at a time; it writes octet-aligned ones, and
    keeps back the last."""
    magic = b"#!AMR-WB\n" if rate(codec) == 16000 else b"#!AMR\n"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        url = f"rtp://127.0.0.1:{receiver.getsockname()[1]}"
        with (
            av.open(io.BytesIO(magic + b"".join(map(stored, frames))), "r", format="amr") as file,
            av.open(url, "w", format="rtp", options={"max_delay": "60000"}) as sender,
        ):
            stream = sender.add_stream_from_template(file.streams.audio[0])
            for packet in file.demux(file.streams.audio[0]):
                if packet.size:
                    packet.stream = stream
                    sender.mux(packet)
        for _ in range(3, len(frames), 3):
            yield receiver.recv(2048)[12:]


@pytest.mark.parametrize("codec", [AMR_ALIGNED, AMR_WB_ALIGNED], ids=lambda codec: codec.name)
def test_what_ffmpeg_packs_is_unpacked_and_packed_the_same(codec: Amr) -> None:
    encoder = codec.encoder(rate(codec), 20, settings(codec, dtx=True))
    pause = np.random.default_rng(1).integers(-20, 20, 2 * rate(codec)).astype(np.int16)
    frames = []
    for at, part in enumerate(packets(np.concatenate((tone(codec, 300.0, 0.4), pause)), codec)):
        encoder.request(at % speech_modes(codec.sizes))
        frames += parse(encoder.encode(part), codec.sizes, codec.octet_aligned)
    assert {speech_modes(codec.sizes), NO_DATA} < {frame.kind for frame in frames}
    sent = list(rtp_of_ffmpeg(codec, frames))
    assert [frame for payload in sent for frame in parse(payload, codec.sizes, True)] == frames[: 3 * len(sent)]
    assert sent == [write(frames[at : at + 3], codec.sizes, True) for at in range(0, 3 * len(sent), 3)]
    assert len(sent) > 30


@each_codec
def test_the_loudest_sound_never_decodes_to_empty(codec: Amr) -> None:
    loud = np.where(tone(codec, 200.0, 1.0) >= 0, 32767, -32767).astype(np.int16)
    samples = decoded(codec, encoded(codec, loud))
    assert samples.min() == EMPTY + 1, "else this proves nothing"


@each_codec
def test_what_is_lost_sounds_on_and_fades(codec: Amr) -> None:
    decoder = codec.decoder(rate(codec))
    for payload in encoded(codec, tone(codec, 440.0, 0.5)):
        before = decoder.decode(payload)
    first = decoder.conceal(len(before))
    assert np.abs(first).max() > np.abs(before).max() / 2
    for _ in range(20):
        last = decoder.conceal(len(before))
    assert np.abs(last).max() < np.abs(first).max() / 10


@each_codec
def test_concealment_of_any_length_goes_on_where_it_stopped(codec: Amr) -> None:
    one, other = codec.decoder(rate(codec)), codec.decoder(rate(codec))
    payloads = encoded(codec, tone(codec, 440.0, 0.5))
    for payload in payloads:
        one.decode(payload)
        other.decode(payload)
    pieces = [one.conceal(count) for count in (0, 80, 7, 400, 153)]
    assert [len(piece) for piece in pieces] == [0, 80, 7, 400, 153]
    assert (np.concatenate(pieces) == other.conceal(640)).all()


@each_codec
def test_packets_repeat_nothing_of_lost_ones(codec: Amr) -> None:
    decoder: Decoder = codec.decoder(rate(codec))
    assert decoder.recover(encoded(codec, tone(codec, 440.0, 0.02))[0], 160) is None


@each_codec
def test_a_frame_that_says_it_is_damaged_is_concealed(codec: Amr) -> None:
    payloads = encoded(codec, tone(codec, 440.0, 0.5))
    good = parse(payloads[-1], codec.sizes, codec.octet_aligned)[0]
    bad = [Frame(good.kind, False, bytes(len(good.speech)))]
    if rate(codec) == 16000:
        bad.append(Frame(SPEECH_LOST, True, b""))
    for frame in bad:
        one, other = codec.decoder(rate(codec)), codec.decoder(rate(codec))
        for payload in payloads:
            one.decode(payload)
            other.decode(payload)
        samples = one.decode(write([frame], codec.sizes, codec.octet_aligned))
        assert (samples == other.conceal(len(samples))).all()


@each_codec
def test_pauses_are_sid_and_no_data_if_asked_for(codec: Amr) -> None:
    noise = np.random.default_rng(3).integers(-60, 60, 3 * rate(codec)).astype(np.int16)
    samples = np.concatenate((said(codec, SPEECH[0]), noise))
    payloads = encoded(codec, samples, settings(codec, dtx=True))
    duration, speech = peek(codec, payloads)
    assert (duration == rate(codec) // 50).all()
    assert speech[:150].any()
    assert not speech[-100:].any()
    kinds = {parse(payload, codec.sizes, codec.octet_aligned)[0].kind for payload in payloads[-100:]}
    assert kinds == {speech_modes(codec.sizes), NO_DATA}
    comfort = decoded(codec, payloads)[-rate(codec) :].astype(float)
    assert 0.3 < np.std(comfort) / np.std(noise.astype(float)) < 2.0
    assert peek(codec, encoded(codec, samples, settings(codec)))[1].all()


@each_codec
def test_only_allowed_modes_are_sent(codec: Amr) -> None:
    top = speech_modes(codec.sizes) - 1
    wishes = [(0, 1), (1, 1), (3, 1), (4, 4), (top - 1, 4), (top, top), (15, top)]
    encoder = codec.encoder(rate(codec), 20, settings(codec, modes=(4, 1, top), mode=5))
    silence = np.zeros(rate(codec) // 50, np.int16)

    def sent() -> int:
        return parse(encoder.encode(silence), codec.sizes, codec.octet_aligned)[0].kind

    assert sent() == encoder.mode == 4
    for wish, answer in wishes:
        encoder.request(wish)
        assert sent() == encoder.mode == answer
    assert codec.encoder(rate(codec), 20, settings(codec, modes=(1, 4))).mode == 4
    assert codec.encoder(rate(codec), 20, None).mode == top


@each_codec
def test_what_cannot_be_is_refused_with_a_reason(codec: Amr) -> None:
    hertz = rate(codec)
    for ptime in (10, 30, 0, 140):
        with pytest.raises(CodecError, match="frames of 20 ms"):
            codec.encoder(hertz, ptime, None)
    for wrong in (settings(codec, modes=(0, speech_modes(codec.sizes))), settings(codec, mode=9)):
        with pytest.raises(CodecError, match="has no mode"):
            codec.encoder(hertz, 20, wrong)
    with pytest.raises(CodecError, match="octet_aligned"):
        codec.encoder(hertz, 20, port.Amr(octet_aligned=not codec.octet_aligned))
    for make in (codec.decoder, lambda hertz: codec.encoder(hertz, 20, None)):
        with pytest.raises(CodecError, match="sampled at"):
            make(48000)
    encoder = codec.encoder(hertz, 20, None)
    for shape in ((hertz // 100,), (hertz // 25,), (hertz // 50, 2)):
        with pytest.raises(CodecError, match="samples here"):
            encoder.encode(np.zeros(shape, np.int16))
    assert codec.sampling(hertz, 48000) == hertz


@each_codec
def test_corrupt_packets_change_nothing(codec: Amr) -> None:
    payloads = encoded(codec, tone(codec, 440.0, 0.5))
    one, other = codec.decoder(rate(codec)), codec.decoder(rate(codec))
    for payload in payloads:
        for wrong in (b"", payload[:-1], payload + b"\0", bytes(len(payload)), b"\xff" * len(payload)):
            assert peek(codec, [wrong])[0] == 0
            with pytest.raises(CodecError):
                one.decode(wrong)
        assert (one.decode(payload) == other.decode(payload)).all()


@each_codec
def test_any_bits_decode_to_sound(codec: Amr) -> None:
    """Frames of every type in any order, of random bits: a library that reads or writes astray would crash here."""
    random = np.random.default_rng(5)
    kinds = [kind for kind, size in enumerate(codec.sizes) if size >= 0]
    decoder = codec.decoder(rate(codec))
    for _ in range(300):
        some = [Frame(int(kind), bool(random.integers(8)), random.bytes(64)) for kind in random.choice(kinds, 3)]
        cut = [frame._replace(speech=frame.speech[: codec.sizes[frame.kind] + 7 >> 3]) for frame in some]
        samples = decoder.decode(write(cut, codec.sizes, codec.octet_aligned))
        assert samples.shape == (3 * rate(codec) // 50,)
        assert samples.dtype == np.int16
        assert samples.min() > EMPTY


@each_codec
def test_threads_work_side_by_side(codec: Amr) -> None:
    """The libraries share nothing between states."""

    def there_and_back(path: Path) -> Samples:
        return decoded(codec, encoded(codec, said(codec, path)))

    with ThreadPoolExecutor(len(SPEECH)) as pool:
        together = list(pool.map(there_and_back, SPEECH))
    for path, samples in zip(SPEECH, together, strict=True):
        assert (samples == there_and_back(path)).all()


@each_codec
def test_encoding_leaves_the_samples_as_they_are(codec: Amr) -> None:
    samples = said(codec, SPEECH[0], seconds=0.02)
    kept = samples.copy()
    samples.flags.writeable = False
    codec.encoder(rate(codec), 20, None).encode(samples)
    assert (samples == kept).all()


def residual(codec: Amr, samples: Samples, hertz: float) -> float:
    """The loudest 20 ms of what is left after the tone is taken away, in dB against the tone."""
    moments = 2 * np.pi * hertz * np.arange(rate(codec) // 50) / rate(codec)
    basis = np.stack((np.sin(moments), np.cos(moments)), axis=1)
    parts = np.stack(packets(samples, codec)).astype(float).T
    left = parts - basis @ np.linalg.lstsq(basis, parts, rcond=None)[0]
    return float(10 * np.log10((left**2).mean(axis=0).max() / (parts**2).mean()))


def around_a_switch(codec: Amr, hertz: float, switch: int | None, *, taken_over: bool = False) -> float:
    """What is left of a tone beside the tone, where one encoder gave way to another."""
    encoder, decoder = codec.encoder(rate(codec), 20, None), codec.decoder(rate(codec))
    heard = []
    for at, part in enumerate(packets(tone(codec, hertz, 1.6), codec)):
        if at == switch:
            before, encoder = encoder, codec.encoder(rate(codec), 20, None)
            if taken_over:
                encoder.take_over(before)
        heard.append(decoder.decode(encoder.encode(part)))
    first = (switch or 60) - 1
    return residual(codec, np.concatenate(heard[first : first + 10]), hertz)


@pytest.mark.parametrize("codec", [AMR, AMR_WB], ids=lambda codec: codec.name)
def test_a_tone_goes_on_as_another_encoder_takes_over(codec: Amr) -> None:
    """Not without a trace, for the state can't be copied; a tone without end is the worst case."""
    switches = [(hertz, at) for hertz in (350.0, 450.0, 700.0, 1000.0) for at in (50, 57, 60)]
    unswitched = [around_a_switch(codec, hertz, None) for hertz, _ in switches]
    fresh = [around_a_switch(codec, *switch) for switch in switches]
    taken_over = [around_a_switch(codec, *switch, taken_over=True) for switch in switches]
    assert max(unswitched) < -20.0, "the codec alone"
    assert max(taken_over) < -8.0
    assert np.mean(taken_over) < -15.0
    assert np.mean(taken_over) < np.mean(fresh) - 12.0


@each_codec
def test_taking_over_changes_nothing_in_the_other(codec: Amr) -> None:
    samples = packets(said(codec, SPEECH[1], seconds=1.0), codec)
    one, twin = (codec.encoder(rate(codec), 20, settings(codec, mode=2)) for _ in range(2))
    for at, part in enumerate(samples):
        if at == 25:
            heir = codec.encoder(rate(codec), 20, None)
            heir.take_over(one)
            assert heir.mode == one.mode
        assert one.encode(part) == twin.encode(part)


def test_an_heir_keeps_to_its_own_modes() -> None:
    heir = AMR.encoder(8000, 20, settings(AMR, modes=(1, 3)))
    heir.take_over(AMR.encoder(8000, 20, settings(AMR, mode=2)))
    assert heir.mode == 1


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Libraries whose names are put in here are not on the machine."""
    gone: set[str] = set()

    def candidates(soname: str) -> list[str]:
        return [] if soname in gone else [soname]

    monkeypatch.setattr(libamr, "candidates", candidates)
    libamr._functions.cache_clear()
    yield gone
    libamr._functions.cache_clear()


def test_a_missing_library_is_named_and_what_is_there_works(nowhere: set[str]) -> None:
    nowhere |= {libamr.WB_ENCODER.soname, libamr.NB_DECODER.soname}
    assert "libvo-amrwbenc0" in AMR_WB.missing
    assert "libopencore-amrwb0" not in AMR_WB.missing
    assert "libopencore-amrnb0" in AMR.missing
    with pytest.raises(CodecError, match="libvo-amrwbenc0"):
        AMR_WB.encoder(16000, 20, None)
    assert len(AMR_WB.decoder(16000).decode(write([Frame(NO_DATA, True, b"")], AMR_WB.sizes, False))) == 320


def test_a_library_without_the_functions_is_missing(nowhere: set[str]) -> None:
    other = libamr.NB_ENCODER._replace(work="Encoder_Interface_Elsewhere")
    assert libamr.missing(other)
    assert not libamr.missing(libamr.NB_ENCODER)


def test_with_all_libraries_nothing_is_missing() -> None:
    assert [codec.missing for codec in CODECS] == ["", "", "", ""]


def test_libraries_beside_pyav_come_after_the_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    carried = tmp_path / "av.libs" / "libopencore-amrwb-1b0ca122.so.0.0.5"
    carried.parent.mkdir()
    for name in (carried.name, "libopencore-amrnb-d72c52e2.so.0.0.5"):
        (carried.parent / name).touch()
    monkeypatch.setattr(libamr, "find_spec", lambda name: SimpleNamespace(origin=str(tmp_path / name / "__init__.py")))
    assert list(libamr.candidates("libopencore-amrwb.so.0")) == ["libopencore-amrwb.so.0", str(carried)]
    monkeypatch.setattr(libamr, "find_spec", lambda name: None)
    assert list(libamr.candidates("libopencore-amrwb.so.0")) == ["libopencore-amrwb.so.0"]
