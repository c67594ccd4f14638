"""GStreamer in conferences of the real mixer: every suite, MKI, rekeying, rollover counter at join."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from control.client import MixerClient
from mixer import port
from mixer.suites import SuiteName
from tests.interop.conftest import Events
from tests.interop.keys import Fresh, fresh
from tests.interop.programs import Listener, gst_listener, gst_sender
from tests.interop.stage import stage
from tests.interop.wire import Address, Datagram, Wire, open_wire
from tests.tones import assert_hears

pytestmark = pytest.mark.needs("gstreamer")

TALK_S = 4.5
REPORT_S = 8.0
"""Long enough for a sender report, which srtpdec must read as well."""

TONES: dict[SuiteName, int] = {
    "AES_CM_128_HMAC_SHA1_80": 440,
    "AES_CM_128_HMAC_SHA1_32": 620,
    "AES_256_CM_HMAC_SHA1_80": 870,
    "AEAD_AES_128_GCM": 1230,
    "AEAD_AES_256_GCM": 1750,
}


def assert_unbroken(packets: list[Datagram]) -> None:
    """One SSRC, every sequence number once and in order, 20 ms of timestamp between."""
    assert len({packet.ssrc for packet in packets}) == 1
    steps = {
        (later.sequence - sooner.sequence & 0xFFFF, later.timestamp - sooner.timestamp & 0xFFFFFFFF)
        for sooner, later in itertools.pairwise(packets)
    }
    assert steps == {(1, 160)}


@pytest.mark.parametrize("mki", [b"", b"\0\1"], ids=["no-mki", "mki"])
async def test_every_suite_in_one_conference(tmp_path: Path, mixer: MixerClient, media: Address, mki: bytes) -> None:
    """Two talkers at a time would prove it; five, each under a suite of its own, prove it together."""
    pairs = list(TONES.items())
    await mixer.call(port.ConferenceCreate(conference="suites"))
    async with AsyncExitStack() as stack:
        listeners, wires = {}, {}
        for suite, hertz in pairs:
            up, down = fresh(suite, mki=mki), fresh(suite, mki=mki)
            listener = await stack.enter_async_context(gst_listener(tmp_path, f"{hertz}-hears", [down.gst()]))
            wire = await stack.enter_async_context(open_wire(media, listener.port))
            await mixer.call(
                port.LegAdd(
                    conference="suites",
                    leg=suite,
                    codec="PCMA",
                    gain_db=-6.0,
                    rx=up.port(),
                    tx=down.port(),
                    remote=wire.remote,
                )
            )
            await stack.enter_async_context(
                gst_sender(tmp_path, f"{hertz}-says", wire.inner, up.gst(), hertz=hertz, ssrc=hertz)
            )
            listeners[hertz], wires[hertz] = listener, wire
        await asyncio.sleep(REPORT_S)
        heard = {hertz: await listener.stop() for hertz, listener in listeners.items()}
    for hertz, samples in heard.items():
        assert_hears(samples, present=set(heard) - {hertz}, absent={hertz}, sent_db=-18.0)
        unread = 0
        if mki and pairs[1][1] == hertz:
            # libsrtp 2.5 looks for the MKI of SRTCP where the 32-bit tag of SRTP would put it.
            unread = len(wires[hertz].rtcp())
        assert_no_drops(listeners[hertz].statistics(), but=unread)
        assert_unbroken(wires[hertz].rtp())


async def take_mki_seat(
    stack: AsyncExitStack,
    folder: Path,
    mixer: MixerClient,
    media: Address,
    leg: str,
    hertz: int,
    epochs: tuple[Fresh, ...],
) -> tuple[Listener, Wire]:
    """A leg of conference `mki` that says `hertz`, if not 0, and holds the group keys of these epochs."""
    up, own = fresh(mki=b"\1\0"), fresh(mki=b"\0\x09")
    keys = [*(epoch.gst() for epoch in epochs), own.gst()]
    listener = await stack.enter_async_context(gst_listener(folder, f"{leg}-hears", keys))
    wire = await stack.enter_async_context(open_wire(media, listener.port))
    await mixer.call(
        port.LegAdd(
            conference="mki",
            leg=leg,
            codec="PCMA",
            direction="sendrecv" if hertz else "recvonly",
            rx=up.port(),
            tx=own.port(),
            remote=wire.remote,
        )
    )
    if hertz:
        talk = gst_sender(folder, f"{leg}-says", wire.inner, up.gst(), hertz=hertz, ssrc=hertz)
        await stack.enter_async_context(talk)
    return listener, wire


async def test_mki_conference_talks_listens_and_rekeys_in_one_unbroken_stream(
    tmp_path: Path, mixer: MixerClient, media: Address, events: Events
) -> None:
    """Style `mki`: the talker hears its own minus mix, the listener the common one; the group key changes.

    Every receiver gets one SSRC without a gap, and the MKI tells it the key of each packet.
    """
    first, second = fresh(mki=b"\0\1"), fresh(mki=b"\0\2")
    await mixer.call(port.ConferenceCreate(conference="mki", keying="group", style="mki", key=first.port()))
    async with AsyncExitStack() as stack:
        seats = {
            leg: await take_mki_seat(stack, tmp_path, mixer, media, leg, hertz, (first, second))
            for leg, hertz in (("low", 440), ("high", 1000), ("audience", 0))
        }
        await asyncio.sleep(1.5)
        await mixer.call(port.KeyPrepare(conference="mki", key=second.port()))
        await asyncio.sleep(0.2)
        await mixer.call(port.KeyActivate(conference="mki", epoch=second.epoch))
        await asyncio.sleep(REPORT_S)
        heard = {leg: await listener.stop() for leg, (listener, _) in seats.items()}
    assert_hears(heard["low"], present={1000}, absent={440})
    assert_hears(heard["high"], present={440}, absent={1000})
    assert_hears(heard["audience"], present={440, 1000}, absent={700})
    for listener, wire in seats.values():
        assert_unbroken(wire.rtp())
        # RFC 3711 section 3.2.1: new keys go on with the SRTCP index of the SSRC; it is never reset.
        assert wire.rtcp(), "no report to read"
        indices = [int.from_bytes(packet.octets[-16:-12]) for packet in wire.rtcp()]
        assert indices == sorted(set(indices)), "an SRTCP index came twice on one SSRC"
        assert_no_drops(listener.statistics())
    switched = await events.wait_for(port.KeySwitched)
    assert switched.epoch == second.epoch
    tags = [packet.octets[-12:-10] for packet in seats["audience"][1].rtp()]
    assert set(tags) == {b"\0\1", b"\0\2"}
    assert tags == sorted(tags), "a packet under the old key came after the switch"
    assert b"\0\x09" in {packet.octets[-12:-10] for packet in seats["low"][1].rtp()}


async def test_a_stream_that_has_rolled_over_joins_at_its_rollover_count(
    tmp_path: Path, mixer: MixerClient, media: Address, events: Events
) -> None:
    """Told the count, the mixer understands; a leg whose count was told wrongly is not heard."""
    async with stage(tmp_path, mixer, media) as here:
        for hertz, told in ((440, 3), (1000, 0)):
            up = fresh(roc=told)
            leg = f"says-{hertz}"
            seat = await here.seat(leg, codec="PCMA", hears=False, direction="sendrecv", rx=up.port(), ssrc=hertz)
            # The sequence number rolls over once more while it talks.
            at = {"ssrc": hertz, "roc": 3, "sequence": 65450}
            await here.stack.enter_async_context(
                gst_sender(tmp_path, leg, seat.wire.inner, up.gst(), hertz=hertz, **at)
            )
        await here.seat("audience", "gstreamer", "PCMA")
        await asyncio.sleep(TALK_S)
        heard = await here.stop()
    assert_hears(heard["audience"], present={440}, absent={1000})
    assert {event.leg for event in events.of(port.AuthFailures)} == {"says-1000"}


def assert_no_drops(statistics: dict[str, dict[str, dict[str, int]]], *, but: int = 0) -> None:
    """srtpdec refused nothing of what the mixer sent, except for so many packets known to be its fault."""
    assert statistics["streams"]
    for counts in statistics["streams"].values():
        assert counts["recv-drop-count"] <= but, statistics
