"""A focus that is started before its mixer waits for it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from control.__main__ import main
from control.client import MixerClient
from control.dialler import Misaddressed
from control.focus.patience import mixer_answers
from tests.control.focus.house import house


async def test_it_waits_says_so_once_and_goes_on(tmp_path: Path) -> None:
    tries = 0

    def client() -> MixerClient:
        nonlocal tries
        tries += 1
        return MixerClient(f"unix:{tmp_path}/{'control' if tries > 2 else 'none'}.sock")

    async with house(tmp_path):
        with capture_logs() as lines:
            assert await mixer_answers(client, asyncio.Event(), retry_s=0.001)
    assert tries == 3
    (told,) = [line for line in lines if line["event"] == "waiting_for_the_mixer"]
    assert "no mixer answers" in told["reason"]


async def test_it_can_be_told_to_stop_meanwhile(tmp_path: Path) -> None:
    stop = asyncio.Event()
    waiting = asyncio.create_task(mixer_answers(lambda: MixerClient(f"unix:{tmp_path}/none.sock"), stop, retry_s=60.0))
    await asyncio.sleep(0)
    stop.set()
    assert not await waiting


async def test_it_does_not_wait_for_an_address_to_become_better(tmp_path: Path) -> None:
    def client() -> MixerClient:
        missing = tmp_path / "none.pem"
        return MixerClient("tls://127.0.0.1:7443", certificate=missing, key=missing, authority=missing)

    with pytest.raises(Misaddressed, match="cannot load the TLS files"):
        await mixer_answers(client, asyncio.Event(), retry_s=60.0)


def test_a_file_that_cannot_be_used_is_told_without_a_mixer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    users, config = tmp_path / "users", tmp_path / "focus.toml"
    users.write_text("alice her-password")
    users.chmod(0o644)
    config.write_text(f'[mixer]\naddress = "unix:{tmp_path}/none.sock"\n[trust]\nusers_file = "{users}"\n')
    assert main(["focus", "--config", str(config)]) == 1
    error = capsys.readouterr().err
    assert f"mrfp focus: {users}" in error
    assert "her-password" not in error
