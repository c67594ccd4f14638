"""Foreign programs as context managers: given time to bind, and what they record."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.phones.program import Program, running
from tests.conftest import SYSTEM_PYTHON
from tests.interop.spoken import SPOKEN
from tests.interop.wire import free_port_pair
from tests.tones import Samples, read_pcm

_HERE = Path(__file__).resolve().parent
_PATIENCE_S = 10.0
RFC_6464 = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
RECORDED = 8000
"""Hz of recordings, if a test does not want to hear more."""


@dataclass
class Listener:
    """A client that records what it hears on `port`."""

    port: int
    recording: Path
    program: Program

    async def stop(self) -> Samples:
        """End the recording and return it."""
        await self.program.stop()
        return read_pcm(self.recording)

    def statistics(self) -> Any:
        """What a GStreamer listener says of its streams, after `stop`."""
        return json.loads(self.program.words().splitlines()[-1])


# ---------------------------------------------------------------------------------------------
# ffmpeg: its own SRTP, AES-CM-128 with either tag, no MKI, no ROC

_FFMPEG_SUITES = {
    "AES_CM_128_HMAC_SHA1_80": "AES_CM_128_HMAC_SHA1_80",
    # By the name of RFC 4568 it would shorten the tag of SRTCP too, which that RFC does not.
    "AES_CM_128_HMAC_SHA1_32": "SRTP_AES128_CM_HMAC_SHA1_32",
}


@contextlib.asynccontextmanager
async def ffmpeg_listener(
    folder: Path, name: str, codec: str, suite: str, key: bytes, rate: int = RECORDED
) -> AsyncIterator[Listener]:
    """ffmpeg recording one SRTP stream; it is told the key by SDP, the only way it takes."""
    port = free_port_pair()
    spoken = SPOKEN[codec]
    description = folder / f"{name}.sdp"
    description.write_text(
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\n"
        f"m=audio {port} RTP/SAVP {spoken.payload_type}\n{spoken.sdp()}"
        f"a=crypto:1 {_FFMPEG_SUITES[suite]} inline:{base64.b64encode(key).decode()}\n"
    )
    recording = folder / f"{name}.pcm"
    async with running(
        folder / f"{name}.log",
        *("ffmpeg", "-nostdin", "-hide_banner", "-y", "-protocol_whitelist", "file,udp,rtp,srtp"),
        *("-i", str(description), "-f", "s16le", "-flush_packets", "1", "-ac", "1", "-ar", str(rate), str(recording)),
    ) as program:
        await bound(port, program)
        yield Listener(port, recording, program)


@contextlib.asynccontextmanager
async def ffmpeg_sender(
    folder: Path,
    name: str,
    port: int,
    *,
    hertz: int,
    codec: str,
    suite: str,
    key: bytes,
    ssrc: int,
    sequence: int = 100,
) -> AsyncIterator[Program]:
    """ffmpeg saying a tone at -12 dBFS to a local port, RTP and RTCP, in true 20 ms packets."""
    spoken = SPOKEN[codec]
    rate, inline = str(spoken.rate), base64.b64encode(key).decode()
    async with running(
        folder / f"{name}.log",
        *("ffmpeg", "-nostdin", "-hide_banner", "-f", "lavfi"),
        *("-i", f"sine=frequency={hertz}:sample_rate={rate}", "-t", "60"),
        *("-af", f"volume=2,asetnsamples={spoken.rate // 50},arealtime", "-c:a", *spoken.ffmpeg, "-ar", rate),
        *("-ac", "1", "-f", "rtp", "-payload_type", str(spoken.payload_type)),
        *("-ssrc", str(_signed(ssrc)), "-seq", str(sequence), "-cname", name),
        *("-srtp_out_suite", _FFMPEG_SUITES[suite], "-srtp_out_params", inline),
        f"srtp://127.0.0.1:{port}?rtcpport={port}",
    ) as program:
        yield program


# ---------------------------------------------------------------------------------------------
# GStreamer: libsrtp of the distribution, with MKI, ROC, GCM and AES-256


@dataclass(frozen=True)
class GstKey:
    """A key as the scripts beside this file take it."""

    suite: str
    secret: bytes
    mki: bytes = b""

    def as_json(self) -> dict[str, str]:
        return {"suite": self.suite, "secret": self.secret.hex(), "mki": self.mki.hex()}


@contextlib.asynccontextmanager
async def gst_listener(
    folder: Path, name: str, keys: Sequence[GstKey], roc: int = 0, codec: str = "PCMA", rate: int = RECORDED
) -> AsyncIterator[Listener]:
    """srtpdec holding `keys`, told apart by their MKI; records any SSRC."""
    port = free_port_pair()
    recording = folder / f"{name}.pcm"
    plan = {
        "port": port,
        "keys": [key.as_json() for key in keys],
        "roc": roc,
        "caps": SPOKEN[codec].caps(),
        "hears": SPOKEN[codec].gst_hears,
        "rate": rate,
        "recording": str(recording),
    }
    script = str(_HERE / "gst_listen.py")
    async with running(folder / f"{name}.log", SYSTEM_PYTHON, script, json.dumps(plan)) as program:
        await bound(port, program)
        yield Listener(port, recording, program)


@contextlib.asynccontextmanager
async def gst_sender(
    folder: Path,
    name: str,
    port: int,
    key: GstKey,
    *,
    hertz: int,
    ssrc: int,
    sequence: int = 100,
    roc: int = 0,
) -> AsyncIterator[Program]:
    """srtpenc saying a PCMA tone at -12 dBFS to a local port, its stream at rollover count `roc`."""
    plan = {
        "port": port,
        "key": key.as_json(),
        "hertz": hertz,
        "ssrc": ssrc,
        "sequence": sequence,
        "roc": roc,
    }
    script = str(_HERE / "gst_send.py")
    async with running(folder / f"{name}.log", SYSTEM_PYTHON, script, json.dumps(plan)) as program:
        yield program


@contextlib.asynccontextmanager
async def gst_speaker(
    folder: Path,
    name: str,
    port: int,
    key: GstKey,
    *,
    hertz: int,
    codec: str,
    ssrc: int,
    pause_s: float = 0.0,
    level_in: int = 0,
) -> AsyncIterator[Program]:
    """srtpenc saying a tone at -12 dBFS in any codec of GStreamer's, in its own packets, to a local port.

    Args:
        pause_s: silence first.
        level_in: id of the extension with RFC 6464 levels, 0 for none.
    """
    spoken = SPOKEN[codec]
    says = f"{spoken.gst_says} pt={spoken.payload_type} ssrc={ssrc} min-ptime=20000000 max-ptime=20000000"
    if level_in:
        # Direction, URI and attributes, as GStreamer writes an a=extmap line.
        extmap = f'<\\"\\",\\"{RFC_6464}\\",\\"vad=on\\">'
        says += f' ! capsfilter caps="application/x-rtp, extmap-{level_in}=(string){extmap}"'
    plan = {
        "port": port,
        "key": key.as_json(),
        "hertz": hertz,
        "rate": spoken.rate,
        "pause_s": pause_s,
        "says": says,
    }
    script = str(_HERE / "gst_speak.py")
    async with running(folder / f"{name}.log", SYSTEM_PYTHON, script, json.dumps(plan)) as program:
        yield program


# ---------------------------------------------------------------------------------------------


async def bound(port: int, program: Program) -> None:
    """Wait until someone listens on a local UDP port; says what the program said if nobody will."""
    wanted = f":{port:04X} "
    try:
        async with asyncio.timeout(_PATIENCE_S):
            while wanted not in udp_sockets():
                assert program.process.returncode is None, program.words()
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"nobody listens on port {port}: {program.words()}") from None


def udp_sockets() -> str:
    """The kernel's table of IPv4 UDP sockets."""
    return Path("/proc/net/udp").read_text()


def _signed(ssrc: int) -> int:
    """ffmpeg reads an SSRC as a signed 32-bit number."""
    return ssrc - (1 << 32) if ssrc >> 31 else ssrc
