"""Clients that are not ours through rekey after rekey: GStreamer by MKI, ffmpeg as a plain client with one key."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest

from control.client import MixerClient
from mixer import port
from tests.interop.conftest import Events
from tests.interop.keys import Fresh, fresh
from tests.interop.programs import Listener, ffmpeg_listener, ffmpeg_sender, gst_listener
from tests.interop.test_gstreamer import assert_no_drops, assert_unbroken
from tests.interop.wire import Address, Wire, open_wire
from tests.tones import Samples, assert_hears

SWITCHES = 10
BETWEEN_S = 0.5
TONE = 440


async def talker(stack: AsyncExitStack, tmp_path: Path, mixer: MixerClient, media: Address, conference: str) -> None:
    """ffmpeg says a tone, under keys of its own."""
    up, down = fresh(), fresh()
    wire = await stack.enter_async_context(open_wire(media))
    await mixer.call(
        port.LegAdd(
            conference=conference,
            leg="talker",
            codec="PCMA",
            keying="unique",
            rx=up.port(),
            tx=down.port(),
            delay_min_ms=200,  # a busy machine lets ffmpeg stutter; what is tested here is what comes after the mix
        )
    )
    await stack.enter_async_context(
        ffmpeg_sender(
            tmp_path, "talker", wire.inner, hertz=TONE, codec="PCMA", suite=up.suite, key=up.octets, ssrc=0xF00D
        )
    )


def goes_on(samples: Samples, hertz: int = TONE) -> None:
    """The tone never stops, from its first block to its last: 10 ms blocks of full level."""
    block = 80
    level = np.sqrt((samples[: len(samples) // block * block].reshape(-1, block) ** 2).mean(axis=1))
    sounding = np.flatnonzero(level > level.max() / 2)
    gap = np.diff(sounding).max()
    assert gap == 1, f"{(gap - 1) * 10} ms without the {hertz} Hz tone"


@pytest.mark.needs("gstreamer", "ffmpeg")
async def test_gstreamer_hears_an_unbroken_tone_through_ten_switches(
    tmp_path: Path, mixer: MixerClient, media: Address, events: Events
) -> None:
    """Every second one by way of the bridge: group key, own key, group key, on one SSRC and sequence."""
    epochs = [fresh(mki=number.to_bytes(4)) for number in range(1, SWITCHES + 2)]
    own = fresh(mki=b"\x80\0\0\1")
    await mixer.call(port.ConferenceCreate(conference="ten", keying="group", style="mki", key=epochs[0].port()))
    async with AsyncExitStack() as stack:
        listener = await stack.enter_async_context(
            gst_listener(tmp_path, "hears", [own.gst(), *(epoch.gst() for epoch in epochs)])
        )
        wire = await stack.enter_async_context(open_wire(media, listener.port))
        rx = fresh(mki=b"\x80\0\0\2")
        await mixer.call(
            port.LegAdd(conference="ten", leg="hears", codec="PCMA", rx=rx.port(), tx=own.port(), remote=wire.remote)
        )
        await talker(stack, tmp_path, mixer, media, "ten")
        await events.wait_for(port.Talking)
        for number, epoch in enumerate(epochs[1:]):
            await asyncio.sleep(BETWEEN_S / 2)
            await switch(mixer, "ten", epoch, bridge=bool(number % 2))
            await asyncio.sleep(BETWEEN_S / 2)
        heard = await listener.stop()
    assert_hears(heard, present={TONE}, absent={1000})
    goes_on(heard)
    assert_unbroken(wire.rtp())
    assert_no_drops(listener.statistics())
    tags = [packet.octets[-14:-10] for packet in wire.rtp()]
    assert {tag for tag in tags if not tag[0] & 0x80} == {epoch.mki for epoch in epochs}
    assert own.mki in tags
    switched = [event.epoch for event in events.of(port.KeySwitched)]
    assert switched == [epoch.epoch for epoch in epochs[1:]]


async def switch(mixer: MixerClient, conference: str, epoch: Fresh, *, bridge: bool) -> None:
    if bridge:
        await mixer.call(port.KeyBridge(conference=conference, on=True))
        await asyncio.sleep(0.1)
    await mixer.call(port.KeyPrepare(conference=conference, key=epoch.port()))
    await mixer.call(port.KeyActivate(conference=conference, epoch=epoch.epoch))
    if bridge:
        await mixer.call(port.KeyBridge(conference=conference, on=False))


@pytest.mark.needs("ffmpeg")
async def test_ffmpeg_hears_the_epoch_of_its_key_and_no_other(
    tmp_path: Path, mixer: MixerClient, media: Address, events: Events
) -> None:
    """Style `ssrc`, three switches. A plain client holds one key, so each epoch has an ffmpeg of its own, as a phone
    would be after a re-INVITE; all are sent everything. ffmpeg keeps one SRTP state for all SSRCs: it follows
    because no SSRC of ours begins at or above 2^15."""
    epochs = [fresh() for _ in range(4)]
    await mixer.call(port.ConferenceCreate(conference="three", keying="group", style="ssrc", key=epochs[0].port()))
    async with AsyncExitStack() as stack:
        ears = [await plain_client(stack, tmp_path, mixer, media, f"epoch-{n}", key) for n, key in enumerate(epochs)]
        await talker(stack, tmp_path, mixer, media, "three")
        await events.wait_for(port.Talking)
        for epoch in epochs[1:]:
            await asyncio.sleep(2.0)
            await switch(mixer, "three", epoch, bridge=False)
        await asyncio.sleep(2.0)
        packets = ears[0][1].rtp()
        # An ffmpeg that can open nothing hears no signal either, and has to be insisted on: all at once.
        heard = await asyncio.gather(*(listener.stop() for listener, _ in ears))
    spans = [len(list(group)) for _, group in itertools.groupby(packets, key=lambda packet: packet.ssrc)]
    assert len(spans) == 4, "each epoch on a fresh SSRC, and never back"
    for number, samples in enumerate(heard):
        assert_hears(samples, present={TONE}, absent={1000}, seconds=1.0)
        goes_on(samples)
        seconds = len(samples) / 8000
        # Nothing of another epoch: not a tenth of a second more than its own packets last.
        assert spans[number] * 0.02 - 1.0 < seconds < spans[number] * 0.02 + 0.1, number
        assert "HMAC mismatch" in ears[number][0].program.words(), "it was sent all four"


async def plain_client(
    stack: AsyncExitStack, tmp_path: Path, mixer: MixerClient, media: Address, name: str, key: Fresh
) -> tuple[Listener, Wire]:
    """An ffmpeg of that one key in conference "three", which says nothing, and its wire."""
    listener = await stack.enter_async_context(ffmpeg_listener(tmp_path, name, "PCMA", key.suite, key.octets))
    wire = await stack.enter_async_context(open_wire(media, listener.port))
    rx, remote = fresh().port(), wire.remote
    await mixer.call(
        port.LegAdd(conference="three", leg=name, codec="PCMA", direction="recvonly", rx=rx, remote=remote)
    )
    return listener, wire
