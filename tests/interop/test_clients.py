"""The clients judge each other, and the reference, before they judge the mixer.

GStreamer carries libsrtp, ffmpeg an SRTP of its own, the reference another: three that agree on the wire.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.interop.programs import GstKey, ffmpeg_listener, ffmpeg_sender, gst_listener, gst_sender
from tests.interop.wire import Wire, open_wire
from tests.reference.srtp import SUITES, Context
from tests.tones import assert_hears

SSRC = 0xDEADBEEF


def secret_of(suite: str, first: int = 1) -> bytes:
    return bytes(range(first, first + SUITES[suite].key + SUITES[suite].salt))


def assert_reference_reads(wire: Wire, context: Context) -> None:
    """Every packet that the client sent is what the reference would have sent."""
    again = Context.__new__(Context)
    again.__dict__.update(context.__dict__, streams={}, seen=set())
    assert len(wire.from_client) > 50
    for datagram in wire.from_client:
        if datagram.is_rtcp:
            context.unprotect_rtcp(datagram.octets)
        else:
            clear = context.unprotect(datagram.octets)
            assert len(clear) == 12 + 160
            assert again.protect(clear) == datagram.octets


@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize(("suite", "codec"), [("AES_CM_128_HMAC_SHA1_80", "PCMA"), ("AES_CM_128_HMAC_SHA1_32", "PCMU")])
async def test_ffmpeg(tmp_path: Path, suite: str, codec: str) -> None:
    key = secret_of(suite)
    async with (
        ffmpeg_listener(tmp_path, "listener", codec, suite, key) as listener,
        open_wire(("127.0.0.1", listener.port)) as wire,
    ):
        talk = ffmpeg_sender(tmp_path, "sender", wire.inner, hertz=700, codec=codec, suite=suite, key=key, ssrc=SSRC)
        async with talk:
            await asyncio.sleep(2.0)
        heard = await listener.stop()
    assert_hears(heard, present={700}, absent={440, 1000}, seconds=1.0)
    assert_reference_reads(wire, Context(suite, key))


@pytest.mark.needs("gstreamer")
@pytest.mark.parametrize(
    ("suite", "mki", "roc"),
    [
        ("AES_CM_128_HMAC_SHA1_80", b"\1\2\3\4", 2),
        ("AES_CM_128_HMAC_SHA1_32", b"\7", 0),
        ("AES_256_CM_HMAC_SHA1_80", b"\0\1", 1),
        ("AEAD_AES_128_GCM", b"", 0),
        ("AEAD_AES_256_GCM", b"\1\2\3\4", 2),
    ],
)
async def test_gstreamer(tmp_path: Path, suite: str, mki: bytes, roc: int) -> None:
    key = GstKey(suite, secret_of(suite), mki)
    other = [GstKey(suite, secret_of(suite, 2), bytes(len(mki)))] if mki else []
    async with (
        gst_listener(tmp_path, "listener", [key, *other], roc) as listener,
        open_wire(("127.0.0.1", listener.port)) as wire,
        gst_sender(tmp_path, "sender", wire.inner, key, hertz=700, ssrc=SSRC, roc=roc),
    ):
        await asyncio.sleep(2.0)
        heard = await listener.stop()
    assert_hears(heard, present={700}, absent={440, 1000}, seconds=1.0)
    assert listener.statistics()["streams"][str(SSRC)]["recv-drop-count"] == 0
    assert_reference_reads(wire, Context(suite, key.secret, mki=mki, roc=roc))


@pytest.mark.needs("gstreamer")
async def test_gstreamer_hears_nothing_at_the_wrong_rollover_count(tmp_path: Path) -> None:
    key = GstKey("AES_CM_128_HMAC_SHA1_80", secret_of("AES_CM_128_HMAC_SHA1_80"))
    async with (
        gst_listener(tmp_path, "listener", [key], 1) as listener,
        gst_sender(tmp_path, "sender", listener.port, key, hertz=700, ssrc=SSRC, roc=2),
    ):
        await asyncio.sleep(1.5)
        heard = await listener.stop()
    assert len(heard) == 0
    assert listener.statistics()["streams"][str(SSRC)]["recv-drop-count"] > 20
