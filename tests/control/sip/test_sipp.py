"""SIPp calls us: a user agent that shares no code with ours, over UDP and TCP."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.control.sip.test_agent import agent, heard

pytestmark = pytest.mark.needs("sipp")


@pytest.mark.parametrize(("transport", "mode"), [("udp", "u1"), ("tcp", "t1")])
async def test_calls_of_sipp(tmp_path: Path, transport: str, mode: str) -> None:
    async with agent() as focus:
        host, port = focus.listening[transport]
        command = ("sipp", "-sn", "uac", f"{host}:{port}", "-t", mode, "-i", host, "-m", "30", "-r", "100", "-d", "0")
        sipp = await asyncio.create_subprocess_exec(
            *command,
            "-nostdin",
            cwd=tmp_path,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert await sipp.wait() == 0
        assert sorted(heard(focus)) == ["BYE"] * 30 + ["INVITE"] * 30 + ["acknowledged"] * 30
        assert len(focus.core.dialogs) == 0
        assert not focus.core.faults
