"""The composition root with a fake mixer in it, and what the daemon asks of the system."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from control import daemon, process
from control.__main__ import main
from control.client import Disconnected, MixerClient
from control.settings import ControlSettings, HttpSettings, Settings
from mixer import port
from mixer.config import MixerConfig
from tests.control.fakes import FakeMixer, talking


class FakeService(FakeMixer):
    """A fake mixer with a life."""

    def __init__(self, config: MixerConfig) -> None:
        super().__init__()
        self.config = config
        self.life: list[str] = []

    async def start(self) -> None:
        self.life.append("started")

    async def drain(self) -> None:
        self.life.append("drained")

    async def stop(self) -> None:
        self.life.append("stopped")


async def test_everything_opens_and_closes_in_order(tmp_path: Path) -> None:
    made: list[FakeService] = []

    def make(config: MixerConfig) -> FakeService:
        made.append(FakeService(config))
        return made[0]

    path = tmp_path / "run" / "control.sock"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        http_port = free.getsockname()[1]
    settings = Settings(control=ControlSettings(socket=str(path)), http=HttpSettings(port=http_port))
    async with daemon.opened(settings, make) as house:
        assert (house.control, house.tls_port, house.http_port) == (path, 0, http_port)
        async with MixerClient(f"unix:{path}") as mixer:
            assert (await mixer.node_info()).port == 40000
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{http_port}/metrics") as response,
        ):
            assert response.status == 200
        made[0].emit(talking(), port.Overrun(ticks=1))
        assert made[0].life == ["started"]
    assert made[0].life == ["started", "drained", "stopped"]
    assert not made[0].subscribers
    assert not path.exists()
    with pytest.raises(Disconnected):
        await MixerClient(f"unix:{path}").connect()


async def test_what_is_open_is_closed_if_the_rest_cannot_be(tmp_path: Path) -> None:
    made = FakeService(MixerConfig())
    (tmp_path / "plain").write_text("")
    settings = Settings(control=ControlSettings(socket=str(tmp_path / "plain")))
    with pytest.raises(Exception, match="not a socket"):
        async with daemon.opened(settings, lambda _: made):
            raise AssertionError("it must not open")
    assert made.life == ["started", "stopped"]


def test_a_bad_file_is_told_and_nothing_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mrfp.toml"
    path.write_text("[mixer]\nprot = 1\n")
    assert main(["serve", "--config", str(path)]) == 1
    assert "[mixer] has no option `prot`" in capsys.readouterr().err


def test_the_process_leaves_no_core() -> None:
    """In a process of its own: what is asked for cannot be taken back."""
    code = (
        "import ctypes, resource\n"
        "from control import process\n"
        "assert process.forbid_core_dumps()\n"
        "assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)\n"
        "assert ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) == 0\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
    assert resource.RLIM_INFINITY


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool) -> None:
    address = f"\0mrfp-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        monkeypatch.setenv("NOTIFY_SOCKET", address.replace("\0", "@"))
        assert process.notify("READY=1", "STATUS=well")
        assert systemd.recv(100) == b"READY=1\nSTATUS=well"


def test_without_systemd_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not process.notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    assert not process.notify("READY=1")


def test_the_watchdog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    assert process.watchdog_s() is None
    monkeypatch.setenv("WATCHDOG_USEC", "10000000")
    assert process.watchdog_s() == 10.0
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert process.watchdog_s() is None
    monkeypatch.setenv("WATCHDOG_USEC", "soon")
    assert process.watchdog_s() is None
