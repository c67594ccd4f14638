"""`mrfp serve` as systemd and people run it: a process of its own, with the real mixer in it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from control import kekfile
from control.client import MixerClient
from mixer import port
from tests.control.fakes import fresh_key, spellings

ROOT = Path(__file__).parents[2]
PATIENCE_S = 30.0


@dataclass
class Daemon:
    """A running daemon, and the socket on which it tells systemd how it is."""

    process: subprocess.Popen[bytes]
    systemd: socket.socket
    path: Path

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, bytes]:
        self.process.send_signal(number)
        _, log = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, log


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    path = tmp_path / "run" / "control.sock"
    config = tmp_path / "mrfp.toml"
    config.write_text(f'[mixer]\nhost = "127.0.0.1"\nport = 0\n[control]\nsocket = "{path}"\n')
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(PATIENCE_S)
        environment = os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
        command = [sys.executable, "-m", "control", "serve", "--config", str(config)]
        with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE) as process:
            try:
                assert systemd.recv(4096).startswith(b"READY=1\nSTATUS=mixing on UDP port ")
                yield Daemon(process, systemd, path)
            finally:
                process.kill()


async def test_a_life(daemon: Daemon) -> None:
    key = fresh_key()
    async with MixerClient(f"unix:{daemon.path}") as mixer:
        info = await mixer.node_info()
        assert info.port
        await mixer.call(port.ConferenceCreate(conference="room", keying="group", key=key))
        added = await mixer.call(port.LegAdd(conference="room", leg="alice", rx=fresh_key()))
        assert (added.port, added.stream.epoch) == (info.port, 1)
        shown = await mixer.call(port.ConferenceShow(conference="room"))
        assert [leg.leg for leg in shown.legs] == ["alice"]
        assert daemon.systemd.recv(100) == b"WATCHDOG=1"
    status, log = daemon.stop()
    assert status == 0
    assert not daemon.path.exists()
    events = [msgspec.json.decode(line)["event"] for line in log.splitlines()]
    assert (events[0], events[-2:]) == ("serving", ["stopping", "stopped"])
    told = b""
    while not told.startswith(b"STOPPING=1"):
        told = daemon.systemd.recv(100)
    for spelling in spellings(key.secret.reveal()):
        assert spelling not in log


def test_interrupted(daemon: Daemon) -> None:
    assert daemon.stop(signal.SIGINT)[0] == 0


def test_two_cannot_share_a_socket(daemon: Daemon) -> None:
    command = [sys.executable, "-m", "control", "serve", "--port", "0", "--socket", str(daemon.path)]
    second = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=PATIENCE_S, check=False)
    assert second.returncode == 1
    assert b"another mixer answers" in second.stderr
    assert daemon.stop()[0] == 0


def test_key_encryption_keys_that_others_may_read(tmp_path: Path) -> None:
    keks, config = tmp_path / "keks", tmp_path / "mrfp.toml"
    kekfile.add(keks, "focus")
    keks.chmod(0o640)
    config.write_text(f'[control]\nsocket = "{tmp_path}/c.sock"\nkek_file = "{keks}"\n')
    command = [sys.executable, "-m", "control", "serve", "--port", "0", "--config", str(config)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=PATIENCE_S, check=False)
    assert found.returncode == 1
    assert found.stderr.decode() == (
        f"mrfp serve: others may read or write {keks}; keep it to its owner: chmod 600 {keks}\n"
    )


def test_the_daemon_leaves_no_core_and_lets_nobody_trace_it(tmp_path: Path) -> None:
    """It is asked as it ends: PR_GET_DUMPABLE, and the limit of a core file. Root could trace it; nobody else."""
    before_it_ends = (
        "import atexit, ctypes, resource, sys\n"
        "from control.__main__ import main\n"
        "def say():\n"
        "    print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE))\n"
        "say()\n"
        "atexit.register(say)\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", before_it_ends, "serve", "--host", "127.0.0.1", "--port", "0"]
    command += ["--socket", str(tmp_path / "c.sock")]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(PATIENCE_S)
        environment = os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        try:
            assert systemd.recv(4096).startswith(b"READY=1")
            process.terminate()
            said, _ = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
            process.wait()
    first, last = said.decode().splitlines()
    assert first.startswith("1 "), "what is asked for was not so before"
    assert last == "0 (0, 0)"


def test_a_media_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        number = taken.getsockname()[1] & ~1
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            if number != taken.getsockname()[1]:
                other.bind(("127.0.0.1", number))
            command = [sys.executable, "-m", "control", "serve", "--host", "127.0.0.1"]
            command += ["--port", str(number), "--socket", str(tmp_path / "c.sock")]
            found = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=PATIENCE_S, check=False)
    assert found.returncode == 1
    assert found.stderr.startswith(b"mrfp serve: ")
    assert b"Traceback" not in found.stderr
