"""Prompts and recordings as people use them: the commands of docs/services.md on a real daemon, judged by ear."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from control.client import ControlError, MixerClient
from control.messages import EventsSubscribe
from mixer import port
from tests.control.conftest import House, until
from tests.control.test_ctl import run
from tests.mixer.studio.test_promptfiles import HERTZ, sine, write_wav
from tests.tones import level_db

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "services.md").read_text(encoding="utf-8")
PATIENCE_S = 30.0


@dataclass
class Daemon:
    """A running daemon with a prompt, and where it records."""

    process: subprocess.Popen[bytes]
    socket: Path
    recordings: Path


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    prompts, recordings, path = tmp_path / "prompts", tmp_path / "recordings", tmp_path / "c.sock"
    prompts.mkdir()
    recordings.mkdir()
    write_wav(prompts / "welcome.wav", sine(16000, 0.8), 16000)
    (prompts / "text.wav").write_text("no sound")
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    config = tmp_path / "mrfp.toml"
    there = example.replace("/var/lib/mrfp", str(tmp_path)).replace("free_mb = 256", "free_mb = 0")
    config.write_text(f'{there}host = "127.0.0.1"\nport = 0\n[control]\nsocket = "{path}"\n')
    command = [sys.executable, "-m", "control", "serve", "--config", str(config)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            assert any(b'"serving"' in line for line in process.stderr)
            yield Daemon(process, path, recordings)
        finally:
            process.kill()


def read(path: Path) -> tuple[NDArray[np.float64], int]:
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
        return np.concatenate(frames).astype(np.float64), container.streams.audio[0].rate


async def told(mixer: MixerClient, kind: type[port.Event]) -> port.Event:
    """The next event of a kind."""
    async with asyncio.timeout(PATIENCE_S):
        async for event in mixer.events():
            if isinstance(event, kind):
                return event
    raise AssertionError("the mixer went away")


def test_the_commands_of_the_page(daemon: Daemon) -> None:
    (example,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    environment = os.environ | {"MRFP_SOCKET": str(daemon.socket)}
    for line in example.splitlines():
        program, *words = shlex.split(line)
        assert program == "mrfp"
        command = [sys.executable, "-m", "control", *words]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=PATIENCE_S, check=False)
        assert done.returncode == 0, f"{line}: {done.stderr.decode()}"


@pytest.mark.parametrize("name", ["hall.wav", "hall.mka"])
async def test_what_is_played_is_recorded(daemon: Daemon, name: str) -> None:
    async with MixerClient(f"unix:{daemon.socket}") as mixer:
        await mixer.call(port.ConferenceCreate(conference="hall", rate=16000))
        form = "opus" if name.endswith("mka") else "wav"
        wish = port.RecordStart(record="r", conference="hall", file=name, format=form)  # type: ignore[arg-type]
        await mixer.call(wish)
        await mixer.call(EventsSubscribe(events=("play_done", "record_done")))
        await mixer.call(port.PlayStart(play="p", conference="hall", file="welcome.wav"))
        info = await mixer.node_info()
        assert (info.plays, info.records) == (1, 1)
        ended = await told(mixer, port.PlayDone)
        assert ended == port.PlayDone(conference="hall", play="p", reason="ended")
        await mixer.call(port.RecordStop(record="r"))
        done = await told(mixer, port.RecordDone)
        assert isinstance(done, port.RecordDone)
        assert (done.reason, done.lost_ms, done.octets) == ("stopped", 0, (daemon.recordings / name).stat().st_size)
        sound, rate = read(daemon.recordings / name)
        scale = 32768 if name.endswith("wav") else 1
        loud = np.flatnonzero(np.abs(sound) > 0.1 * scale)
        played = sound[loud[0] : loud[-1]] / scale
        assert abs(len(played) / rate - 0.8) < 0.03
        assert abs(level_db(played, HERTZ, rate=rate) - 20 * np.log10(8000 / 32768)) < 1
        for file in ("text.wav", "no.wav", "../recordings/" + name):
            with pytest.raises(ControlError) as refused:
                await mixer.call(port.PlayStart(play="q", conference="hall", file=file))
            assert refused.value.refusal == port.Refusal.BAD_FILE
        assert (await mixer.node_info()).faults == 0


async def test_after_kill_9_recordings_can_be_played(daemon: Daemon) -> None:
    async with MixerClient(f"unix:{daemon.socket}") as mixer:
        await mixer.call(port.ConferenceCreate(conference="hall"))
        await mixer.call(port.RecordStart(record="w", conference="hall", file="cut.wav"))
        await mixer.call(port.RecordStart(record="o", conference="hall", file="cut.mka", format="opus"))
        tones = (port.Tone(hz=HERTZ, ms=60_000),)
        await mixer.call(port.PlayStart(play="p", conference="hall", tones=tones))
        begun = (await mixer.node_info()).frame
        await until_frame(mixer, begun + 180)
    daemon.process.send_signal(signal.SIGKILL)
    daemon.process.wait(PATIENCE_S)
    for name, scale, least in (("cut.wav", 32768, 3.2), ("cut.mka", 1, 1.5)):
        sound, rate = read(daemon.recordings / name)
        assert len(sound) / rate > least
        assert abs(level_db(sound[rate // 2 :] / scale, HERTZ, rate=rate) - -17) < 1


async def until_frame(mixer: MixerClient, frame: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (await mixer.node_info()).frame < frame:
            await asyncio.sleep(0.05)


# -- the control plane alone ------------------------------------------------------------------


async def test_words_of_ctl(house: House) -> None:
    assert await run(house, "conference", "create", "room", "--join-tone") == 0
    assert house.mixer.conferences["room"].join_tone
    words = ["--tones", '{"hz": 440, "ms": 500}', '{"ms": 250}', "--times", "0", "--exclusive"]
    assert await run(house, "play", "start", "p", "--legs", "a", "b", *words) == 0
    tones = (port.Tone(hz=440.0, ms=500), port.Tone(ms=250))
    expected = port.PlayStart(play="p", legs=("a", "b"), tones=tones, times=0, exclusive=True)
    assert house.mixer.commands[-1] == expected
    assert await run(house, "record", "start", "r", "a/b.mka", "--leg", "a", "--format", "opus") == 0
    assert await run(house, "play", "stop", "p") == 0
    assert await run(house, "record", "stop", "r") == 0
    assert house.mixer.commands[-3:] == [
        port.RecordStart(record="r", leg="a", file="a/b.mka", format="opus"),
        port.PlayStop(play="p"),
        port.RecordStop(record="r"),
    ]
    assert await run(house, "play", "start", "p", "--conference", "room", "--tones", "440") == 2
    with pytest.raises(SystemExit):
        await run(house, "play", "start", "p", "--conference", "room", "--tones", "a tone")


async def test_a_slow_disk_holds_up_only_who_asked_for_it(house: House) -> None:
    slow, other = await house.client(), await house.client()
    await other.call(port.ConferenceCreate(conference="room"))
    apply = house.mixer.apply
    hold = asyncio.Event()

    async def wait_for_files(command: port.Command) -> port.Reply:
        if isinstance(command, port.PlayStart):
            await hold.wait()
        return await apply(command)

    house.mixer.apply = wait_for_files  # type: ignore[method-assign]
    playing = asyncio.create_task(slow.call(port.PlayStart(play="p", conference="room", file="a.wav")))
    await other.call(port.LegAdd(conference="room", leg="alice", clear=True))
    assert not playing.done()
    hold.set()
    await playing
    await until(lambda: len(house.mixer.commands) == 3)
