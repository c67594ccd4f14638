"""Files and an engine together: prompts that are read and heard, recordings that are made, and what is refused."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mixer.config import MixerConfig
from mixer.port import Event, PlayStart, PortError, RecordDone, RecordStart, RecordStop, Refusal
from mixer.studio import Studio, recordfiles
from mixer.studio.promptfiles import PromptFiles
from mixer.studio.recorder import BACKLOG_MS, Recorder
from mixer.studio.recorder import Room as Space
from tests.mixer.phone import tone
from tests.mixer.room import Room
from tests.mixer.studio.test_promptfiles import HERTZ, sine, write_wav
from tests.mixer.studio.test_recorder import PLENTY, Stuck, read
from tests.tones import level_db

TALK = {"ann": 437.0, "bob": 1709.0}


def descriptors() -> int:
    """How many are open."""
    return len(list(Path("/proc/self/fd").iterdir()))


class Set:
    """A room, its studio, and the directories."""

    def __init__(self, root: Path, space: Space = PLENTY, *, threaded: bool = False, **config: Any) -> None:
        self.prompts, self.recordings = root / "prompts", root / "recordings"
        self.prompts.mkdir()
        self.recordings.mkdir()
        self.room = Room()
        self.room.create()
        for name, hertz in TALK.items():
            self.room.join(name, tone(hertz))
        self.room.join("ear")
        made: dict[str, Any] = {
            "prompts": str(self.prompts),
            "recordings": str(self.recordings),
            "record_min_free_mb": 0,
        } | config
        self.studio = Studio(MixerConfig(**made), self.room.engine, Recorder(space, threaded=threaded))
        self.told: list[Event] = []

    def run(self, ms: int, *, work: bool = True) -> None:
        for _ in range(ms // 20):
            self.room.step()
            self.told += self.studio.after_tick()
            if work:
                self.studio.recorder.work()

    async def refusal(self, wish: PlayStart | RecordStart) -> Refusal:
        with pytest.raises(PortError) as refused:
            await (self.studio.play(wish) if isinstance(wish, PlayStart) else self.studio.record(wish))
        return refused.value.refusal

    def hears(self, name: str, hertz: float) -> float:
        return level_db(self.room.phones[name].sound(300), hertz)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Set]:
    made = Set(tmp_path)
    yield made
    await made.studio.close()


async def test_a_file_is_heard(stage: Set) -> None:
    write_wav(stage.prompts / "hello.wav", sine(48000, 2.0), 48000, 2)
    await stage.studio.play(PlayStart(play="p", conference="c", file="hello.wav"))
    stage.run(600)
    for name in stage.room.phones:
        assert abs(stage.hears(name, HERTZ) - 20 * np.log10(8000 / 32768)) < 1


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"conference": "c", "file": "no.wav"}, Refusal.BAD_FILE),
        ({"conference": "c", "file": "../hello.wav"}, Refusal.BAD_FILE),
        ({"conference": "c", "file": "text.wav"}, Refusal.BAD_FILE),
        ({"conference": "no", "file": "hello.wav"}, Refusal.UNKNOWN_CONFERENCE),
        ({"legs": ("no",), "file": "hello.wav"}, Refusal.UNKNOWN_LEG),
    ],
)
async def test_a_file_that_is_not_played_changes_nothing(stage: Set, fields: dict[str, Any], refusal: Refusal) -> None:
    write_wav(stage.prompts / "hello.wav", sine(8000))
    (stage.prompts / "text.wav").write_text("hello")
    assert await stage.refusal(PlayStart(play="p", **fields)) is refusal
    stage.run(400)
    assert not stage.room.show().plays
    assert stage.hears("ear", TALK["ann"]) > -30


async def test_ticks_go_on_while_a_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Set(tmp_path)
    entered, go_on = threading.Event(), threading.Event()

    def slow(self: PromptFiles, name: str) -> Any:
        entered.set()
        assert go_on.wait(30)
        return sine(48000)

    monkeypatch.setattr(PromptFiles, "read", slow)
    playing = asyncio.create_task(stage.studio.play(PlayStart(play="p", conference="c", file="slow.wav")))
    while not entered.is_set():
        await asyncio.sleep(0)
    stage.run(400)
    assert stage.hears("ear", TALK["ann"]) > -30
    assert not playing.done()
    go_on.set()
    await playing
    stage.run(400)
    assert stage.hears("ear", HERTZ) > -30
    await stage.studio.close()


# -- recordings -------------------------------------------------------------------------------


async def test_a_conference_is_recorded(stage: Set) -> None:
    (stage.recordings / "today").mkdir()
    stage.run(300)
    await stage.studio.record(RecordStart(record="r", conference="c", file="today/all.wav"))
    await stage.studio.record(RecordStart(record="s", leg="ann", file="today/ann.mka", format="opus"))
    stage.run(2000)
    for name in ("r", "s"):
        stage.studio.stop_recording(RecordStop(record=name))
    stage.run(40)
    path = stage.recordings / "today"
    assert {one.record: (one.reason, one.seconds) for one in stage.told if isinstance(one, RecordDone)} == {
        "r": ("stopped", 2.0),
        "s": ("stopped", 2.0),
    }
    everything, rate = read(path / "all.wav")
    ann, ann_rate = read(path / "ann.mka")
    for name, hertz in TALK.items():
        assert level_db(everything[rate // 4 :], hertz, rate=rate) > -30
        assert (level_db(ann[ann_rate // 4 :], hertz, rate=ann_rate) > -35) == (name == "ann")
    assert (path / "all.wav").stat().st_mode & 0o777 == 0o600, "nobody else may listen"


async def test_a_file_that_is_there_is_never_touched(stage: Set) -> None:
    for there in ("file.wav", "link.wav"):
        (stage.recordings / "file.wav").write_bytes(b"precious")
        (stage.recordings / "link.wav").unlink(missing_ok=True)
        (stage.recordings / "link.wav").symlink_to(stage.prompts / "new.wav")
        wish = RecordStart(record="r", conference="c", file=there)
        assert await stage.refusal(wish) is Refusal.BAD_FILE
    assert (stage.recordings / "file.wav").read_bytes() == b"precious"
    assert not (stage.prompts / "new.wav").exists()


@pytest.mark.parametrize("file", ["../new.wav", "no/new.wav", "/etc/new.wav", "way/new.wav", ".", "x/../new.wav"])
async def test_no_recording_leaves_its_directory(stage: Set, file: str) -> None:
    (stage.recordings / "way").symlink_to(stage.prompts)
    wish = RecordStart(record="r", conference="c", file=file)
    assert await stage.refusal(wish) is Refusal.BAD_FILE
    assert {path.name for path in stage.recordings.iterdir()} == {"way"}
    assert not list(stage.prompts.iterdir())
    assert not stage.room.show().records


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"conference": "no"}, Refusal.UNKNOWN_CONFERENCE),
        ({"leg": "no"}, Refusal.UNKNOWN_LEG),
        ({}, Refusal.INVALID),
        ({"conference": "c", "record": "twice"}, Refusal.DUPLICATE_RECORD),
    ],
)
async def test_a_recording_that_is_refused_leaves_no_file(stage: Set, fields: dict[str, Any], refusal: Refusal) -> None:
    await stage.studio.record(RecordStart(record="twice", conference="c", file="first.wav"))
    assert await stage.refusal(RecordStart(**{"record": "r", "file": "new.wav"} | fields)) is refusal
    assert [path.name for path in stage.recordings.iterdir()] == ["first.wav"]


async def test_a_conference_that_goes_while_the_file_is_made_leaves_none(
    stage: Set, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = stage.studio._open

    def open_slowly(*arguments: Any) -> Any:
        stage.room.leave("ann")
        return made(*arguments)

    monkeypatch.setattr(stage.studio, "_open", open_slowly)
    wish = RecordStart(record="r", leg="ann", file="new.wav")
    assert await stage.refusal(wish) is Refusal.UNKNOWN_LEG
    assert not list(stage.recordings.iterdir())
    assert "r" not in stage.studio.recorder


async def test_a_conference_that_goes_and_a_file_that_goes_meanwhile(
    stage: Set, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = stage.studio._open

    def open_and_lose(*arguments: Any) -> Any:
        stage.room.leave("ann")
        opened = made(*arguments)
        (stage.recordings / "new.wav").unlink()
        return opened

    monkeypatch.setattr(stage.studio, "_open", open_and_lose)
    assert await stage.refusal(RecordStart(record="r", leg="ann", file="new.wav")) is Refusal.UNKNOWN_LEG


async def test_a_disk_that_cannot_be_asked_is_refused_and_nothing_stays_open(
    stage: Set, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unseen() -> int:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(stage.studio, "_room", Space(most=1 << 40, least_free=0, free=unseen))
    await asyncio.to_thread(int)  # its thread is there
    before = descriptors()
    for _ in range(3):
        assert await stage.refusal(RecordStart(record="r", conference="c", file="new.wav")) is Refusal.BAD_FILE
    assert descriptors() == before
    assert not list(stage.recordings.iterdir())


async def test_without_an_encoder_of_opus_it_is_refused(stage: Set, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordfiles, "ENCODER", "of-nobody")
    wish = RecordStart(record="r", conference="c", file="new.mka", format="opus")
    assert await stage.refusal(wish) is Refusal.BAD_FILE
    assert not list(stage.recordings.iterdir())


async def test_only_so_many_at_a_time(tmp_path: Path) -> None:
    stage = Set(tmp_path, max_records=2)
    for number in range(2):
        await stage.studio.record(RecordStart(record=f"r{number}", conference="c", file=f"{number}.wav"))
    assert await stage.refusal(RecordStart(record="r2", conference="c", file="2.wav")) is Refusal.LIMIT
    stage.studio.stop_recording(RecordStop(record="r0"))
    stage.run(40)
    await stage.studio.record(RecordStart(record="r2", conference="c", file="2.wav"))
    await stage.studio.close()


async def test_only_so_many_at_a_time_also_if_all_begin_at_once(tmp_path: Path) -> None:
    stage = Set(tmp_path, max_records=2)
    wishes = [RecordStart(record=f"r{number}", conference="c", file=f"{number}.wav") for number in range(5)]
    outcomes = await asyncio.gather(*map(stage.studio.record, wishes), return_exceptions=True)
    assert [one.refusal for one in outcomes if isinstance(one, PortError)] == [Refusal.LIMIT] * 3
    assert len(list(stage.recordings.iterdir())) == len(stage.studio.recorder) == 2
    await stage.studio.close()


async def test_a_disk_that_is_full_already(tmp_path: Path) -> None:
    stage = Set(tmp_path, record_min_free_mb=1 << 30)
    assert await stage.refusal(RecordStart(record="r", conference="c", file="new.wav")) is Refusal.BAD_FILE
    assert not list(stage.recordings.iterdir())


@pytest.mark.parametrize("form", ["wav", "opus"])
async def test_a_disk_that_runs_full_ends_a_recording_and_nothing_else(tmp_path: Path, form: Any) -> None:
    left = [1000]
    stage = Set(tmp_path, Space(most=1 << 40, least_free=500, free=lambda: left[0]))
    await stage.studio.record(RecordStart(record="r", conference="c", file="new", format=form))
    stage.run(500)
    left[0] = 400
    stage.run(400)
    (done,) = stage.told
    assert isinstance(done, RecordDone)
    assert (done.reason, done.file, done.conference) == ("full", "new", "c")
    assert not stage.room.show().records, "the engine hands out no more"
    assert stage.hears("ear", TALK["ann"]) > -30
    assert read(stage.recordings / "new")[0].any()
    await stage.studio.record(RecordStart(record="r", conference="c", file="again"))  # the name is free
    await stage.studio.close()


async def test_a_leg_that_goes_ends_its_recording(stage: Set) -> None:
    await stage.studio.record(RecordStart(record="r", leg="ann", file="new.wav"))
    stage.run(400)
    stage.room.leave("ann")
    stage.run(60)
    (done,) = stage.told
    assert isinstance(done, RecordDone)
    assert (done.reason, done.seconds) == ("gone", 0.4)


async def test_no_tick_waits_for_a_disk_that_hangs(tmp_path: Path) -> None:
    stage = Set(tmp_path, threaded=True)
    await stage.studio.record(RecordStart(record="r", conference="c", file="new.wav"))
    (recording,) = stage.studio.recorder._by_name.values()
    disk = recording.file = Stuck(recording.file)
    seconds = 2 * BACKLOG_MS // 1000
    stage.run(1000 * seconds, work=False)  # the disk hangs all the while, in the thread
    assert disk.entered.wait(30)
    assert stage.hears("ear", TALK["ann"]) > -30
    lost = stage.studio.recorder.lost_ms
    assert lost >= BACKLOG_MS - 20 - 200
    disk.go_on.set()
    (done,) = await stage.studio.close()
    assert isinstance(done, RecordDone)
    assert (done.seconds, done.lost_ms) == (seconds, lost)


async def test_the_end_of_the_mixer_completes_all_files(tmp_path: Path) -> None:
    stage = Set(tmp_path, threaded=True)
    await stage.studio.record(RecordStart(record="r", conference="c", file="a.wav"))
    await stage.studio.record(RecordStart(record="s", conference="c", file="b.mka", format="opus"))
    stage.run(1000, work=False)
    told = await stage.studio.close()
    assert {(one.reason, one.seconds) for one in told if isinstance(one, RecordDone)} == {("gone", 1.0)}
    for name in ("a.wav", "b.mka"):
        sound, rate = read(stage.recordings / name)
        assert abs(len(sound) / rate - 1) < 0.03
