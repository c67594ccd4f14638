"""`mrfp kms` as systemd and people run it: a process of its own, that is killed and started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from control.kms.audit import verify
from control.kms.client import ControlError, KmsClient, Refusal
from tests.control.fakes import spellings

ROOT = Path(__file__).parents[3]
PATIENCE_S = 30.0


class Kms:
    """A running KMS, and the socket on which it tells systemd how it is."""

    def __init__(self, process: subprocess.Popen[bytes], systemd: socket.socket, home: Path) -> None:
        self.process = process
        self.systemd = systemd
        self.address = f"unix:{home / 'run' / 'kms.sock'}"

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, bytes]:
        self.process.send_signal(number)
        _, log = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, log


@contextmanager
def started(home: Path) -> Iterator[Kms]:
    config = home / "kms.toml"
    config.write_text(f'[listen]\nsocket = "{home}/run/kms.sock"\n[state]\ndirectory = "{home}/state"\n')
    (home / "notify").unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(home / "notify"))
        systemd.settimeout(PATIENCE_S)
        environment = os.environ | {"NOTIFY_SOCKET": str(home / "notify"), "WATCHDOG_USEC": "200000"}
        command = [sys.executable, "-m", "control", "kms", "--config", str(config)]
        with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE) as process:
            try:
                assert systemd.recv(4096) == b"READY=1\nSTATUS=managing keys"
                yield Kms(process, systemd, home)
            finally:
                process.kill()


def audit_of(home: Path) -> list[bytes]:
    return (home / "state" / "audit.log").read_bytes().splitlines()


async def test_a_life(tmp_path: Path) -> None:
    with started(tmp_path) as kms:
        async with KmsClient(kms.address) as focus:
            await focus.register("room", ["alice"])
            made = [await focus.create_epoch("room", epoch=epoch, kind="key") for epoch in (1, 2, 3)]
            lines = await focus.audit(limit=1000)
            assert [record.op for record in lines.records][:3] == ["kms.start", "conference.register", "member.admit"]
            assert kms.systemd.recv(100) == b"WATCHDOG=1"
        status, log = kms.stop()
    assert status == 0
    assert not (tmp_path / "run" / "kms.sock").exists()
    events = [msgspec.json.decode(line)["event"] for line in log.splitlines()]
    assert (events[0], events[-2:]) == ("serving", ["stopping", "stopped"])
    lines_written, _ = verify(audit_of(tmp_path))
    assert lines_written == 8
    assert b'"op":"kms.stop"' in audit_of(tmp_path)[-1]
    told = log + b"".join(path.read_bytes() for path in (tmp_path / "state").iterdir())
    for key in made:
        for spelling in spellings(key.secret.reveal()):
            assert spelling not in told


async def test_killed_it_makes_no_epoch_a_second_time(tmp_path: Path) -> None:
    with started(tmp_path) as kms:
        async with KmsClient(kms.address) as focus:
            first = (await focus.info()).boot_id
            await focus.register("room")
            before = await focus.create_epoch("room", epoch=7)
            await focus.create_epoch("room", epoch=2, cohort=1)
            kms.stop(signal.SIGKILL)
    with started(tmp_path) as kms:
        async with KmsClient(kms.address) as focus:
            assert (await focus.info()).boot_id != first
            with pytest.raises(ControlError) as forgotten:
                await focus.create_epoch("room", epoch=8)
            assert forgotten.value.refusal is Refusal.NOT_AUTHORISED
            await focus.register("room")
            for epoch, cohort in ((7, 0), (1, 0), (2, 1)):
                with pytest.raises(ControlError, match="never made again") as refused:
                    await focus.create_epoch("room", epoch=epoch, cohort=cohort)
                assert refused.value.refusal is Refusal.BAD_EPOCH
            after = await focus.create_epoch("room", epoch=8)
            assert after.secret != before.secret
        assert kms.stop()[0] == 0
    assert [line for line in audit_of(tmp_path) if b"kms.start" in line][1:], "both lives are in one chain"
    verify(audit_of(tmp_path))


def test_two_cannot_share_a_state(tmp_path: Path) -> None:
    with started(tmp_path) as kms:
        command = [sys.executable, "-m", "control", "kms", "--directory", str(tmp_path / "state")]
        command += ["--socket", str(tmp_path / "other.sock")]
        second = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=PATIENCE_S, check=False)
        assert second.returncode == 1
        assert second.stderr.startswith(b"mrfp kms: another process uses")
        third = subprocess.run(
            [*command[:4], "--directory", str(tmp_path / "more"), "--socket", kms.address.removeprefix("unix:")],
            cwd=ROOT,
            capture_output=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert third.returncode == 1
        assert b"another KMS answers" in third.stderr
        assert kms.stop(signal.SIGINT)[0] == 0
