"""A focus that is started before its mixer waits for it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from structlog.testing import capture_logs

from control.client import MixerClient
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
