"""Prompt files: what may be read, what is in it, and everything else that may lie in a directory."""

from __future__ import annotations

import os
import struct
import threading
import wave
import weakref
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from mixer.prompts.sounds import RATE
from mixer.studio import promptfiles
from mixer.studio.folder import Folder, FolderError
from mixer.studio.promptfiles import PromptFileError, PromptFiles
from tests.tones import level_db

HERTZ = 1009.0
AMPLITUDE = 8000.0


def sine(rate: int, seconds: float = 1.0) -> NDArray[np.int16]:
    at = np.arange(round(rate * seconds))
    return np.rint(AMPLITUDE * np.sin(2 * np.pi * HERTZ * at / rate)).astype(np.int16)


def write_wav(path: Path, samples: NDArray[np.int16], rate: int = 8000, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(np.repeat(samples, channels).astype("<i2").tobytes())
    return path


def write_with(path: Path, codec: str, rate: int) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(sine(rate)[None, :], format="s16", layout="mono")
        frame.rate = rate
        to_codec = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=rate)
        for piece in to_codec.resample(frame):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def files(tmp_path: Path) -> PromptFiles:
    root = tmp_path / "prompts"
    root.mkdir()
    (tmp_path / "secret.wav").write_bytes(b"")
    write_wav(tmp_path / "secret.wav", sine(8000))
    return PromptFiles(Folder(str(root), "[mixer] prompts"))


@pytest.fixture
def root(files: PromptFiles, tmp_path: Path) -> Path:
    return tmp_path / "prompts"


def check(samples: NDArray[np.int16], seconds: float = 1.0) -> None:
    """The sine as it was written, at `RATE`."""
    assert abs(len(samples) - seconds * RATE) < 0.07 * RATE
    middle = samples[RATE // 4 : RATE // 4 + RATE // 2] / 32768
    assert abs(level_db(middle, HERTZ, rate=RATE) - 20 * np.log10(AMPLITUDE / 32768)) < 0.6  # MP3 is not exact


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_wav_of_any_rate(files: PromptFiles, root: Path, rate: int, channels: int) -> None:
    write_wav(root / "a.wav", sine(rate), rate, channels)
    check(files.read("a.wav"))


@pytest.mark.parametrize(
    ("name", "codec"), [("a.ogg", "libopus"), ("a.mka", "libopus"), ("a.flac", "flac"), ("a.mp3", "libmp3lame")]
)
def test_other_kinds(files: PromptFiles, root: Path, name: str, codec: str) -> None:
    write_with(root / name, codec, 48000)
    check(files.read(name))


def test_in_a_directory_below(files: PromptFiles, root: Path) -> None:
    (root / "en" / "numbers").mkdir(parents=True)
    write_wav(root / "en" / "numbers" / "1.wav", sine(8000))
    check(files.read("en/numbers/1.wav"))


async def test_it_is_read_in_another_thread(files: PromptFiles, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_wav(root / "a.wav", sine(8000))
    seen: list[int] = []
    read = files.read

    def note(name: str) -> NDArray[np.int16]:
        seen.append(threading.get_ident())
        return read(name)

    monkeypatch.setattr(files, "read", note)
    check(await files.load("a.wav"))
    assert seen != [threading.get_ident()]
    assert len(seen) == 1
    files.close()


# -- kept -------------------------------------------------------------------------------------


def test_a_file_is_decoded_once_until_it_changes(files: PromptFiles, root: Path) -> None:
    path = write_wav(root / "a.wav", sine(8000))
    first = files.read("a.wav")
    assert files.read("a.wav") is first
    write_wav(path, sine(8000, 2.0))
    check(files.read("a.wav"), 2.0)


def test_what_is_kept_is_bounded(files: PromptFiles, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promptfiles, "KEPT", int(2.5 * 2 * RATE))
    for name in ("a.wav", "b.wav", "c.wav"):
        write_wav(root / name, sine(8000))
    a, b = weakref.ref(files.read("a.wav")), weakref.ref(files.read("b.wav"))
    assert files.read("a.wav") is a()
    files.read("c.wav")
    assert files.read("a.wav") is a(), "it was wanted later than b"
    assert a() is not None
    assert b() is None


def test_what_plays_is_not_read_again_and_all_of_it_is_bounded(
    files: PromptFiles, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promptfiles, "KEPT", 0)
    monkeypatch.setattr(promptfiles, "IN_USE", int(2.5 * 2 * RATE))
    for name in ("a.wav", "b.wav", "c.wav"):
        write_wav(root / name, sine(8000))
    playing = [files.read("a.wav"), files.read("b.wav")]
    assert files.read("a.wav") is playing[0]
    with pytest.raises(PromptFileError, match="in use"):
        files.read("c.wav")
    del playing[0]
    check(files.read("c.wav"))


# -- what is refused --------------------------------------------------------------------------


def text(path: Path) -> None:
    path.write_text("This is not sound, although it is called so.\n" * 100)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def directory(path: Path) -> None:
    path.mkdir()


def pipe(path: Path) -> None:
    os.mkfifo(path)


def header_only(path: Path) -> None:
    write_wav(path, sine(8000))
    path.write_bytes(path.read_bytes()[:30])


def no_samples(path: Path) -> None:
    write_wav(path, sine(8000)[:0])


def noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(100_000))


def playlist(path: Path) -> None:
    path.write_text(f"ffconcat version 1.0\nfile '{path.parent.parent / 'secret.wav'}'\n")


def hls(path: Path) -> None:
    path.write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{path.parent.parent / 'secret.wav'}\n#EXT-X-ENDLIST\n"
    )


def sdp(path: Path) -> None:
    path.write_text("v=0\no=- 0 0 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 4000 RTP/AVP 0\n")


def picture(path: Path) -> None:
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("mpeg4", rate=1)
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))


def leads_before_its_beginning(path: Path) -> None:
    """A part of it says that it has 2^53 octets and more."""
    chunk = b"chan" + (0x2A << 48 | 12).to_bytes(8, "big") + b"\0\x64\0\1" + bytes(8)
    form = b"desc" + (32).to_bytes(8, "big") + struct.pack(">d4s5I", 8000.0, b"lpcm", 2, 2, 1, 1, 16)
    path.write_bytes(b"caff" + bytes([0, 1, 0, 0]) + form + chunk + b"data" + (404).to_bytes(8, "big") + bytes(404))


def link_outside(path: Path) -> None:
    path.symlink_to(path.parent.parent / "secret.wav")


def link_inside(path: Path) -> None:
    write_wav(path.parent / "b.wav", sine(8000))
    path.symlink_to("b.wav")


def endless(path: Path) -> None:
    """A header that promises more than is there; all of it zeros, and no octet of it on the disk."""
    write_wav(path, sine(8000)[:8])
    with path.open("r+b") as file:
        for at, size in ((4, 0xFFFF_FFF0), (40, 0xFFFF_FF00)):
            file.seek(at)
            file.write(struct.pack("<I", size))
        file.truncate(promptfiles.LARGEST)


def huge(path: Path) -> None:
    endless(path)
    os.truncate(path, promptfiles.LARGEST + 1)


BAD: list[tuple[Callable[[Path], None], str]] = [
    (text, "not audio"),
    (empty, "not audio"),
    (noise, "not audio"),
    (header_only, "not audio"),
    (no_samples, "no sound in"),
    (picture, "no sound in"),
    (playlist, "not audio"),
    (hls, "not audio"),
    (sdp, "not audio"),
    (endless, "longer than 600 s"),
    (huge, "larger than 256 MB"),
    (leads_before_its_beginning, "not audio"),
    (directory, "not a plain file"),
    (pipe, "not a plain file"),
    (link_outside, "links are not followed"),
    (link_inside, "links are not followed"),
    (lambda path: None, "no such file"),
]


@pytest.mark.parametrize(("make", "reason"), BAD, ids=[make.__name__ for make, _ in BAD])
def test_what_is_no_sound_is_refused(files: PromptFiles, root: Path, make: Callable[[Path], None], reason: str) -> None:
    make(root / "a.wav")
    with pytest.raises((FolderError, PromptFileError), match=reason) as refused:
        files.read("a.wav")
    assert "'a.wav'" in str(refused.value)
    assert str(root) not in str(refused.value), "a controller need not know where it is"


@pytest.mark.parametrize(
    "name",
    [
        "../secret.wav",
        "x/../../secret.wav",
        "/etc/passwd",
        "",
        ".",
        "..",
        "a//b",
        "./a.wav",
        "a.wav/",
        "a\0.wav",
        "x" * 300,
    ],
)
def test_no_name_leads_outside(files: PromptFiles, root: Path, name: str) -> None:
    (root / "x").mkdir()
    with pytest.raises(FolderError):
        files.read(name)


def test_no_linked_directory_leads_outside(files: PromptFiles, root: Path) -> None:
    (root / "way").symlink_to(root.parent)
    with pytest.raises(FolderError, match="links are not followed"):
        files.read("way/secret.wav")


def test_a_cut_file_is_played_as_far_as_it_goes(files: PromptFiles, root: Path) -> None:
    path = write_wav(root / "a.wav", sine(8000, 2.0))
    path.write_bytes(path.read_bytes()[: 44 + 16_001])
    check(files.read("a.wav"))


def test_without_a_directory_there_are_no_files() -> None:
    with pytest.raises(FolderError, match=r"set `\[mixer\] prompts`"):
        PromptFiles(Folder("", "[mixer] prompts")).read("a.wav")


def test_a_directory_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="cannot be used"):
        PromptFiles(Folder(str(tmp_path / "no"), "[mixer] prompts")).read("a.wav")


def test_no_descriptor_is_left_open(files: PromptFiles, root: Path) -> None:
    write_wav(root / "a.wav", sine(8000))
    text(root / "b.wav")
    pipe(root / "c.wav")
    before = set(Path("/proc/self/fd").iterdir())
    files.read("a.wav")
    for name in ("b.wav", "c.wav", "d.wav", "../e"):
        with pytest.raises((FolderError, PromptFileError)):
            files.read(name)
    assert set(Path("/proc/self/fd").iterdir()) == before


@pytest.mark.parametrize("rate", [1, 100, 3999, 400_000])
def test_an_absurd_rate_is_refused_before_it_is_unpacked(files: PromptFiles, tmp_path: Path, rate: int) -> None:
    write_wav(tmp_path / "prompts" / "odd.wav", sine(8000), rate=rate)
    with pytest.raises(PromptFileError, match="Hz"):
        files.read("odd.wav")
