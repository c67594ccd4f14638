"""ffmpeg, whose SRTP is its own, in conferences of the real mixer: as talker and as listener."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from control.client import MixerClient
from mixer import port
from mixer.suites import SuiteName
from tests.interop.conftest import Events
from tests.interop.keys import fresh
from tests.interop.programs import ffmpeg_listener, ffmpeg_sender
from tests.interop.wire import Address, open_wire
from tests.tones import assert_hears, purity

pytestmark = pytest.mark.needs("ffmpeg")

TALK_S = 4.0
"""Long enough for two seconds of tone after everyone has joined."""


@pytest.mark.parametrize(("codec", "suite"), [("PCMA", "AES_CM_128_HMAC_SHA1_80"), ("PCMU", "AES_CM_128_HMAC_SHA1_32")])
async def test_talkers_hear_each_other_and_not_themselves(
    tmp_path: Path, mixer: MixerClient, media: Address, codec: port.CodecName, suite: SuiteName
) -> None:
    """Two talkers and a listener, each under keys of its own."""
    await mixer.call(port.ConferenceCreate(conference="unique"))
    async with AsyncExitStack() as stack:
        listeners = {}
        for leg, hertz in (("low", 440), ("high", 1000), ("audience", 0)):
            up, down = fresh(suite), fresh(suite)
            listener = await stack.enter_async_context(
                ffmpeg_listener(tmp_path, f"{leg}-hears", codec, suite, down.octets)
            )
            wire = await stack.enter_async_context(open_wire(media, listener.port))
            await mixer.call(
                port.LegAdd(
                    conference="unique",
                    leg=leg,
                    codec=codec,
                    direction="sendrecv" if hertz else "recvonly",
                    rx=up.port(),
                    tx=down.port(),
                    remote=wire.remote,
                )
            )
            if hertz:
                await stack.enter_async_context(
                    ffmpeg_sender(
                        tmp_path,
                        f"{leg}-says",
                        wire.inner,
                        hertz=hertz,
                        codec=codec,
                        suite=suite,
                        key=up.octets,
                        ssrc=0xF0000000 + hertz,
                    )
                )
            listeners[leg] = listener
        await asyncio.sleep(TALK_S)
        heard = {leg: await listener.stop() for leg, listener in listeners.items()}
    assert_hears(heard["low"], present={1000}, absent={440, 700})
    assert_hears(heard["high"], present={440}, absent={1000, 700})
    assert_hears(heard["audience"], present={440, 1000}, absent={700})


async def test_listeners_of_one_group_key_get_the_same_octets(
    tmp_path: Path, mixer: MixerClient, media: Address
) -> None:
    """Talkers under unique keys, listeners under the group key: one packet for all of these."""
    suite: SuiteName = "AES_CM_128_HMAC_SHA1_80"
    group = fresh(suite)
    await mixer.call(port.ConferenceCreate(conference="group", keying="group", style="ssrc", key=group.port()))
    async with AsyncExitStack() as stack:
        for hertz in (440, 1000):
            up, down = fresh(suite), fresh(suite)
            wire = await stack.enter_async_context(open_wire(media))
            await mixer.call(
                port.LegAdd(
                    conference="group",
                    leg=f"says-{hertz}",
                    keying="unique",
                    rx=up.port(),
                    tx=down.port(),
                    ssrc=hertz,
                )
            )
            await stack.enter_async_context(
                ffmpeg_sender(
                    tmp_path,
                    f"says-{hertz}",
                    wire.inner,
                    hertz=hertz,
                    codec="PCMU",
                    suite=suite,
                    key=up.octets,
                    ssrc=hertz,
                )
            )
        listeners, wires = [], []
        stranger = fresh(suite)
        for leg, key in (("one", group), ("two", group), ("stranger", stranger)):
            listener = await stack.enter_async_context(ffmpeg_listener(tmp_path, leg, "PCMU", suite, key.octets))
            wire = await stack.enter_async_context(open_wire(media, listener.port))
            await mixer.call(
                port.LegAdd(
                    conference="group",
                    leg=leg,
                    direction="recvonly",
                    rx=fresh(suite).port(),
                    remote=wire.remote,
                )
            )
            listeners.append(listener)
            wires.append(wire)
        await asyncio.sleep(TALK_S)
        one, two, stranger_heard = [await listener.stop() for listener in listeners]
        octets = [{datagram.sequence: datagram.octets for datagram in wire.rtp()} for wire in wires]
    assert_hears(one, present={440, 1000}, absent={700})
    assert_hears(two, present={440, 1000}, absent={700})
    shared = octets[0].keys() & octets[1].keys()
    assert len(shared) > 100
    assert all(octets[0][sequence] == octets[1][sequence] for sequence in shared)
    # The stranger got the packets like everyone, and could do nothing with them.
    assert len(octets[2]) > 100
    assert len(stranger_heard) == 0 or purity(stranger_heard) < 0.1
    assert "HMAC mismatch" in listeners[2].program.words()


async def test_a_talker_with_the_wrong_key_is_not_heard(
    tmp_path: Path, mixer: MixerClient, media: Address, events: Events
) -> None:
    suite: SuiteName = "AES_CM_128_HMAC_SHA1_80"
    await mixer.call(port.ConferenceCreate(conference="forged"))
    async with AsyncExitStack() as stack:
        for hertz, honest in ((440, True), (1000, False)):
            up, down = fresh(suite), fresh(suite)
            wire = await stack.enter_async_context(open_wire(media))
            await mixer.call(
                port.LegAdd(
                    conference="forged",
                    leg=f"says-{hertz}",
                    rx=up.port(),
                    tx=down.port(),
                    ssrc=hertz,
                    remote=wire.remote,
                )
            )
            key = up if honest else fresh(suite)
            await stack.enter_async_context(
                ffmpeg_sender(
                    tmp_path,
                    f"says-{hertz}",
                    wire.inner,
                    hertz=hertz,
                    codec="PCMU",
                    suite=suite,
                    key=key.octets,
                    ssrc=hertz,
                )
            )
        down = fresh(suite)
        listener = await stack.enter_async_context(ffmpeg_listener(tmp_path, "audience", "PCMU", suite, down.octets))
        wire = await stack.enter_async_context(open_wire(media, listener.port))
        await mixer.call(
            port.LegAdd(
                conference="forged",
                leg="audience",
                direction="recvonly",
                rx=fresh(suite).port(),
                tx=down.port(),
                remote=wire.remote,
            )
        )
        await asyncio.sleep(TALK_S)
        heard = await listener.stop()
    assert_hears(heard, present={440}, absent={1000})
    failure = await events.wait_for(port.AuthFailures)
    assert failure.leg == "says-1000"
    assert {event.leg for event in events.of(port.AuthFailures)} == {"says-1000"}
