"""The recorder: what is in its files, what becomes of a slow or full disk, and what a crash leaves."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from mixer.port import RecordDone, RecordFormat, RecordStart
from mixer.studio.recorder import BACKLOG_MS, WAKE, Recorder, Room
from mixer.studio.recordfiles import WAV_HEADER, OpusFile, RecordFile, WavFile
from mixer.studio.recording import Converter, Recording
from mixer.taps import Tap
from tests.tones import level_db

ROOT = Path(__file__).parents[3]
HERTZ = 1013.0
AMPLITUDE = 8000.0
TICK = 20
BACKLOG = BACKLOG_MS // TICK
"""Ticks."""
PATIENCE_S = 30.0

formats = pytest.mark.parametrize("form", ["wav", "opus"])
MAKE: dict[RecordFormat, Callable[[int, int], RecordFile]] = {"wav": WavFile, "opus": OpusFile}


def sine(rate: int, number: int, amplitude: float = AMPLITUDE) -> NDArray[np.int16]:
    """One tick of a steady sine."""
    width = rate * TICK // 1000
    at = np.arange(number * width, (number + 1) * width)
    return np.rint(amplitude * np.sin(2 * np.pi * HERTZ * at / rate)).astype(np.int16)


def read(path: Path) -> tuple[NDArray[np.float64], int]:
    """What a player that is not ours hears, and at which rate: the file's own, or 48 kHz for Opus."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
        rate = container.streams.audio[0].rate
    joined = np.concatenate(frames)
    return (joined / 32768 if joined.dtype == np.int16 else joined.astype(np.float64)), rate


def recording(path: Path, form: RecordFormat, rate: int, name: str = "r") -> Recording:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    wish = RecordStart(record=name, conference="c", file=path.name, format=form)
    return Recording(wish, "c", MAKE[form](descriptor, rate), rate)


PLENTY = Room(most=1 << 40, least_free=0, free=lambda: 1 << 40)


class Hand:
    """A recorder without a thread, and who feeds it."""

    def __init__(self, room: Room = PLENTY) -> None:
        self.recorder = Recorder(room, threaded=False)
        self.ticks = 0

    def run(self, ticks: int, rate: int = 8000, *, work: bool = True) -> None:
        for _ in range(ticks):
            self.recorder.feed([Tap("r", rate, sine(rate, self.ticks))], TICK)
            self.ticks += 1
            if work:
                self.recorder.work()

    def finish(self) -> RecordDone:
        self.recorder.end("r")
        self.recorder.work()
        (done,) = self.recorder.finished()
        return done


def check_sine(sound: NDArray[np.float64], rate: int, seconds: float) -> None:
    assert abs(len(sound) / rate - seconds) < 0.03
    middle = sound[rate // 4 : -rate // 4]
    assert abs(level_db(middle, HERTZ, rate=rate) - 20 * np.log10(AMPLITUDE / 32768)) < 1


# -- what is in it ----------------------------------------------------------------------------


@formats
@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
def test_what_was_mixed_is_in_the_file(tmp_path: Path, form: RecordFormat, rate: int) -> None:
    hand, path = Hand(), tmp_path / "a"
    hand.recorder.begin(recording(path, form, rate))
    hand.run(150, rate)
    done = hand.finish()
    assert done == RecordDone(
        conference="c", record="r", file="a", reason="stopped", seconds=3.0, octets=path.stat().st_size, lost_ms=0
    )
    sound, played = read(path)
    check_sine(sound, played, 3.0)
    if form == "wav":
        expected = np.concatenate([sine(rate, number) for number in range(150)])
        assert (np.rint(sound * 32768) == expected).all()
    assert "r" not in hand.recorder


@formats
@pytest.mark.parametrize("way", [(8000, 48000), (48000, 8000), (16000, 24000), (24000, 16000), (8000, 8000)])
def test_the_conference_may_change_its_rate(tmp_path: Path, form: RecordFormat, way: tuple[int, int]) -> None:
    hand, path = Hand(), tmp_path / "a"
    hand.recorder.begin(recording(path, form, way[0]))
    hand.run(100, way[0])
    hand.run(100, way[1])
    assert hand.finish().seconds == 4.0
    sound, rate = read(path)
    check_sine(sound, rate, 4.0)
    check_sine(sound[2 * rate :], rate, 2.0)


@pytest.mark.parametrize("way", [(8000, 48000), (48000, 8000), (16000, 24000), (24000, 16000)])
def test_a_conversion_is_a_tick_for_a_tick(way: tuple[int, int]) -> None:
    converter = Converter(*way)
    assert [len(converter.convert(sine(way[0], n))) for n in range(5)] == [way[1] * TICK // 1000] * 5


# -- slow disks -------------------------------------------------------------------------------


class Stuck:
    """A disk that hangs until it is let go."""

    def __init__(self, file: RecordFile) -> None:
        self._file = file
        self.entered, self.go_on = threading.Event(), threading.Event()

    @property
    def octets(self) -> int:
        return self._file.octets

    @property
    def most(self) -> int:
        return self._file.most

    def write(self, samples: NDArray[np.int16]) -> None:
        self.entered.set()
        assert self.go_on.wait(PATIENCE_S)
        self._file.write(samples)

    def close(self) -> None:
        self._file.close()


def test_a_disk_that_hangs_holds_up_nobody_and_what_is_lost_is_silence(tmp_path: Path) -> None:
    recorder, path = Recorder(PLENTY), tmp_path / "a"
    made = recording(path, "wav", 8000)
    disk = made.file = Stuck(made.file)
    recorder.begin(made)
    for number in range(WAKE):
        recorder.feed([Tap("r", 8000, sine(8000, number))], TICK)
    assert disk.entered.wait(PATIENCE_S)
    taken = WAKE - len(made.waiting)
    for number in range(WAKE, 600):
        recorder.feed([Tap("r", 8000, sine(8000, number))], TICK)  # the writer hangs all the while
    kept = BACKLOG + taken
    assert recorder.lost_ms == made.lost_ms == (600 - kept) * TICK
    disk.go_on.set()
    recorder.end("r")
    recorder.close()
    (done,) = recorder.finished()
    assert (done.seconds, done.lost_ms, done.reason) == (12.0, (600 - kept) * TICK, "stopped")
    sound, _ = read(path)
    said = np.concatenate([sine(8000, number) for number in range(kept)])
    assert (np.rint(sound[: len(said)] * 32768) == said).all()
    assert not sound[len(said) :].any()
    assert len(sound) == 12 * 8000, "a recording keeps time"


def test_with_short_ticks_as_much_may_wait(tmp_path: Path) -> None:
    hand = Hand()
    hand.recorder.begin(recording(tmp_path / "a", "wav", 8000))
    short = sine(8000, 0)[:80]
    for _ in range(BACKLOG_MS // 10):
        hand.recorder.feed([Tap("r", 8000, short)], 10)
    assert hand.recorder.lost_ms == 0
    hand.recorder.feed([Tap("r", 8000, short)], 10)
    assert hand.recorder.lost_ms == 10
    hand.finish()


def test_silence_stands_where_it_was_lost(tmp_path: Path) -> None:
    hand, path = Hand(), tmp_path / "a"
    hand.recorder.begin(recording(path, "wav", 8000))
    hand.run(BACKLOG + 50, work=False)
    hand.recorder.work()
    hand.recorder.skip(2500)
    hand.run(50)
    assert hand.finish().lost_ms == 1000 + 2500
    sound, _ = read(path)
    silent = sound[BACKLOG * 160 : BACKLOG * 160 + 3500 * 8]
    assert not silent.any()
    assert (np.rint(sound[-50 * 160 :] * 32768) == np.concatenate([sine(8000, n) for n in range(300, 350)])).all()


def test_what_is_skipped_after_the_end_of_a_recording_was_not_lost_in_it(tmp_path: Path) -> None:
    hand = Hand()
    hand.recorder.begin(recording(tmp_path / "a", "wav", 8000))
    hand.run(10)
    hand.recorder.end("r")
    hand.recorder.skip(2500)
    done = hand.finish()
    assert (done.seconds, done.lost_ms, hand.recorder.lost_ms) == (0.2, 0, 0)


# -- full disks, large files ------------------------------------------------------------------


@formats
def test_a_file_ends_at_its_limit(tmp_path: Path, form: RecordFormat) -> None:
    hand, path = Hand(Room(most=20_000, least_free=0, free=lambda: 1 << 40)), tmp_path / "a"
    hand.recorder.begin(recording(path, form, 8000))
    hand.run(2000)
    (done,) = hand.recorder.finished()
    assert done.reason == "limit"
    assert 20_000 <= done.octets == path.stat().st_size < 30_000
    sound, rate = read(path)
    check_sine(sound, rate, done.seconds)


def test_a_wav_file_ends_before_its_header_cannot_tell(tmp_path: Path) -> None:
    """Sparse: 4 GB that take no room."""
    hand, path = Hand(), tmp_path / "a"
    made = recording(path, "wav", 8000)
    hand.recorder.begin(made)
    hand.run(1)
    assert isinstance(made.file, WavFile)
    made.file.octets = made.file.most - 1000
    hand.run(10)
    (done,) = hand.recorder.finished()
    assert done.reason == "limit"
    assert done.octets < 1 << 32


@formats
def test_room_is_left_on_the_disk(tmp_path: Path, form: RecordFormat) -> None:
    left = [1000]
    hand, path = Hand(Room(most=1 << 40, least_free=500, free=lambda: left[0])), tmp_path / "a"
    hand.recorder.begin(recording(path, form, 8000))
    hand.run(100)
    assert not hand.recorder.finished()
    left[0] = 499
    hand.run(20)
    (done,) = hand.recorder.finished()
    assert done.reason == "full"
    sound, rate = read(path)
    check_sine(sound, rate, done.seconds)


class Full:
    """A disk on which there is no space left, from some write on."""

    most = 1 << 40

    def __init__(self, file: RecordFile, writes: int, number: int = errno.ENOSPC) -> None:
        self._file, self._left, self._number = file, writes, number
        self.closed = False

    @property
    def octets(self) -> int:
        return self._file.octets

    def write(self, samples: NDArray[np.int16]) -> None:
        self._left -= 1
        if self._left < 0:
            raise OSError(self._number, os.strerror(self._number))
        self._file.write(samples)

    def close(self) -> None:
        self.closed = True
        self._file.close()


@formats
@pytest.mark.parametrize(
    ("number", "reason"),
    [(errno.ENOSPC, "full"), (errno.EDQUOT, "full"), (errno.EIO, "failed"), (errno.EFBIG, "failed")],
)
def test_a_failing_disk_ends_that_recording_only(tmp_path: Path, form: RecordFormat, number: int, reason: str) -> None:
    hand, path = Hand(), tmp_path / "a"
    made, other = recording(path, form, 8000), recording(tmp_path / "b", form, 8000, "other")
    disk = made.file = Full(made.file, 100, number)
    hand.recorder.begin(made)
    hand.recorder.begin(other)
    for tick in range(200):
        hand.recorder.feed([Tap(name, 8000, sine(8000, tick)) for name in ("r", "other")], TICK)
        hand.recorder.work()
    (done,) = hand.recorder.finished()
    assert (done.record, done.reason, disk.closed) == ("r", reason, True)
    sound, rate = read(path)
    check_sine(sound, rate, 2.0)
    hand.recorder.end("other")
    hand.recorder.work()
    (done,) = hand.recorder.finished()
    assert (done.record, done.seconds, done.reason) == ("other", 4.0, "stopped")


class SmallDisk(io.FileIO):
    """A file on a disk of 20,000 octets."""

    def write(self, octets: Any) -> int:
        if self.tell() + len(memoryview(octets)) > 20_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(octets)


@formats
def test_a_full_disk_leaves_what_fits(tmp_path: Path, form: RecordFormat, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the codec and the container: they must survive it, too."""
    hand, path = Hand(), tmp_path / "a"
    monkeypatch.setattr(os, "fdopen", lambda descriptor, mode, buffering: SmallDisk(descriptor, mode))
    hand.recorder.begin(recording(path, form, 8000))
    monkeypatch.undo()
    hand.run(1000)
    (done,) = hand.recorder.finished()
    assert done.reason == "full"
    assert 10_000 < path.stat().st_size == done.octets <= 20_000
    sound, rate = read(path)
    check_sine(sound, rate, len(sound) / rate)
    assert len(sound) / rate > done.seconds - 2


@formats
def test_a_file_that_cannot_be_begun_is_closed(form: RecordFormat) -> None:
    """`/dev/full` takes nothing; a descriptor left open would fail this test as a warning."""
    descriptor = os.open("/dev/full", os.O_RDWR)
    with pytest.raises(OSError, match="No space left") as refused:
        MAKE[form](descriptor, 8000)
    assert refused.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


class Broken(Full):
    """Code of ours that is wrong."""

    def __init__(self, file: RecordFile) -> None:
        super().__init__(file, 0)

    def write(self, samples: NDArray[np.int16]) -> None:
        raise ZeroDivisionError


def test_a_bug_in_one_recording_does_not_end_the_others(tmp_path: Path) -> None:
    hand = Hand()
    made = recording(tmp_path / "a", "wav", 8000)
    hand.recorder.begin(made)
    disk = made.file = Broken(made.file)
    hand.recorder.begin(recording(tmp_path / "b", "wav", 8000, "other"))
    for tick in range(3):
        hand.recorder.feed([Tap(name, 16000, sine(16000, tick)) for name in ("r", "other")], TICK)
        hand.recorder.work()
    (done,) = hand.recorder.finished()
    assert (done.record, done.reason, disk.closed) == ("r", "failed", True)
    hand.recorder.end("other")
    hand.recorder.work()
    (done,) = hand.recorder.finished()
    assert (done.record, done.reason, done.seconds) == ("other", "stopped", 0.06)


def test_a_name_is_taken_until_its_file_is_complete(tmp_path: Path) -> None:
    hand = Hand()
    hand.recorder.begin(recording(tmp_path / "a", "wav", 8000))
    hand.run(5)
    hand.recorder.end("r")
    hand.run(5)
    assert "r" in hand.recorder
    (done,) = hand.recorder.finished()
    assert done.seconds == 0.1, "nothing is added after the end"
    assert "r" not in hand.recorder


# -- crashes ----------------------------------------------------------------------------------

VICTIM = """
import os, sys
from pathlib import Path
from mixer.studio.recorder import Recorder
from mixer.taps import Tap
from tests.mixer.studio.test_recorder import PLENTY, recording, sine
recorder = Recorder(PLENTY, threaded=False)
recorder.begin(recording(Path(sys.argv[1]), sys.argv[2], 16000))
for number in range(500):
    recorder.feed([Tap("r", 16000, sine(16000, number))], 20)
    recorder.work()
print("written", flush=True)
sys.stdin.read()
"""


@formats
def test_a_killed_process_leaves_a_file_that_can_be_played(tmp_path: Path, form: RecordFormat) -> None:
    path = tmp_path / "a"
    command = [sys.executable, "-c", VICTIM, str(path), form]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)
        assert process.wait(PATIENCE_S) == -signal.SIGKILL
    sound, rate = read(path)
    assert len(sound) / rate > 10.0 - (0.001 if form == "wav" else 1.5), "at most a cluster is missing"
    check_sine(sound, rate, len(sound) / rate)


def test_a_wav_file_can_be_played_at_any_moment(tmp_path: Path) -> None:
    hand, path = Hand(), tmp_path / "a"
    hand.recorder.begin(recording(path, "wav", 8000))
    for ticks in range(1, 50):
        hand.run(1)
        assert len(read(path)[0]) == 160 * ticks
        assert path.stat().st_size == WAV_HEADER + 320 * ticks
    hand.finish()
