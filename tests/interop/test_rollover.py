"""What the mixer sends after its sequence number has rolled over, 22 minutes into a conference.

The core runs on a virtual clock until then, and its packets go to GStreamer in true time: told the
rollover count it hears them, told none it does not.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from pathlib import Path

import pytest

from mixer import port
from mixer.batch import Batch
from mixer.config import MixerConfig
from mixer.engine import Engine
from tests.interop.keys import Fresh, fresh
from tests.interop.programs import gst_listener
from tests.tones import assert_hears, sine, ulaw_encode

HEARD = 150
"""Packets, of 20 ms, that are listened to."""


def engine_after_a_rollover(up: Fresh, down: Fresh) -> tuple[Engine, int]:
    """A conference of one listener that has run for 2^16 packets, and the rollover count it is at."""
    engine = Engine(MixerConfig(host="127.0.0.1"))
    engine.apply(port.ConferenceCreate(conference="long"))
    engine.apply(port.LegAdd(conference="long", leg="talker", rx=up.port(), tx=fresh().port(), ssrc=7, timeout_s=0))
    joined = engine.apply(
        port.LegAdd(
            conference="long",
            leg="listener",
            codec="PCMA",
            direction="recvonly",
            rx=fresh().port(),
            tx=down.port(),
            remote="127.0.0.1:9",
            timeout_s=0,
        )
    )
    assert isinstance(joined, port.LegAdded)
    assert (joined.stream.roc, joined.stream.seq >> 15) == (0, 0)
    for _ in range(1 << 16):
        engine.tick()
        engine.events()
    return engine, 1


def say(engine: Engine, batch: Batch, packet: bytes) -> None:
    """One datagram from 127.0.0.1:5004, now."""
    batch.count = 1
    batch.octets[0, : len(packet)] = memoryview(packet)
    batch.length[0] = len(packet)
    batch.source[0] = 0
    address = struct.pack("=H", socket.AF_INET) + struct.pack("!H4s", 5004, bytes([127, 0, 0, 1]))
    batch.source[0, : len(address)] = memoryview(address)
    batch.local[0] = 0
    batch.arrival[0] = engine.frame * 20_000_000
    engine.receive(batch)


@pytest.mark.slow
@pytest.mark.needs("gstreamer")
async def test_a_late_listener_must_be_told_the_rollover_count(tmp_path: Path) -> None:
    up, down = fresh(), fresh()
    engine, roc = await asyncio.to_thread(engine_after_a_rollover, up, down)
    talker, tone, batch = up.context(), sine(1000, HEARD * 0.02), Batch()
    reader = Fresh(down.suite, down.octets, b"", roc, 1).context()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        async with (
            gst_listener(tmp_path, "told", [down.gst()], roc) as told,
            gst_listener(tmp_path, "untold", [down.gst()], 0) as untold,
        ):
            start = time.monotonic()
            for n in range(HEARD):
                header = struct.pack("!BBHII", 0x80, 0, n, 160 * n, 7)
                payload = ulaw_encode(tone[160 * n : 160 * (n + 1)])
                say(engine, batch, talker.protect(header + payload))
                for fanout in engine.tick():
                    for packet, address in zip(fanout.packet.tolist(), fanout.address, strict=True):
                        octets = fanout.octets[packet, : fanout.length[packet]].tobytes()
                        if address[2:4].tobytes() == b"\0\x09" and not 192 <= octets[1] <= 223:
                            reader.unprotect(octets)
                            for listener in (told, untold):
                                out.sendto(octets, ("127.0.0.1", listener.port))
                await asyncio.sleep(max(0.0, start + 0.02 * n - time.monotonic()))
            heard, unheard = await told.stop(), await untold.stop()
    engine.close()
    assert_hears(heard, present={1000}, absent={440})
    assert len(unheard) == 0
    assert told.statistics()["streams"].popitem()[1]["recv-drop-count"] == 0
