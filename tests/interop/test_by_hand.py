"""README's conference without SIP: two legs by `mrfp ctl`, and ffmpeg run as it says."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path

import pytest

from bench.phones.program import running
from bench.phones.wav import write_tone
from control.__main__ import main
from tests.interop.conftest import Daemon
from tests.interop.programs import bound
from tests.interop.wire import free_port_pair
from tests.tones import assert_hears, read_pcm

pytestmark = pytest.mark.needs("ffmpeg")

TALK_S = 4.0


@pytest.mark.usefixtures("mixer")
@pytest.mark.parametrize(
    ("codec", "suite"),
    [
        ("PCMU", "AES_CM_128_HMAC_SHA1_80"),
        ("PCMA", "AES_CM_128_HMAC_SHA1_32"),
        ("G722", "AES_CM_128_HMAC_SHA1_80"),
        ("opus", "AES_CM_128_HMAC_SHA1_80"),
    ],
)
async def test_what_leg_add_prints_speaks_and_hears(
    tmp_path: Path, daemon: Daemon, codec: str, suite: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a file at a rate that no codec has."""

    async def ctl(*words: str) -> str:
        assert await asyncio.to_thread(main, ["ctl", "--socket", str(daemon.socket), *words]) == 0
        return capsys.readouterr().err

    async def add(leg: str, port: int) -> str:
        words = ["--codec", codec, "--suite", suite, "--remote", f"127.0.0.1:{port}", "--generate", "--show-keys"]
        return await ctl("leg", "add", "hall", leg, *words)

    await ctl("conference", "create", "hall")
    mine, yours = free_port_pair(), free_port_pair()
    description, heard = tmp_path / "leg.sdp", tmp_path / "heard.pcm"
    description.write_text("v=0" + (await add("me", mine)).partition("v=0")[2])
    (line,) = [text for text in (await add("you", yours)).splitlines() if text.startswith("ffmpeg")]
    speech = write_tone(tmp_path / "speech.wav", 440, rate=44100)
    speak = [str(speech) if word == speech.name else word for word in shlex.split(line)]
    listen = ["ffmpeg", "-nostdin", "-protocol_whitelist", "file,udp,rtp,srtp", "-i", str(description)]
    record = ["-f", "s16le", "-flush_packets", "1", "-ac", "1", "-ar", "8000", str(heard)]
    async with running(tmp_path / "hears", *listen, *record) as me:
        await bound(mine, me)
        async with running(tmp_path / "says", *speak):
            await asyncio.sleep(TALK_S)
            await me.stop()
    assert_hears(read_pcm(heard), present={440}, absent={1000})
