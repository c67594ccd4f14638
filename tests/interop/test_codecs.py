"""Every codec of ffmpeg and GStreamer in conferences of the real mixer, both ways, under SRTP.

What they encode is heard by the mixer's listeners, and what the mixer encodes they hear: each tone as loud as it was
said, and nobody itself. Above 4 kHz only wideband codecs carry a tone, so those prove that nothing was narrowed.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from control.client import MixerClient
from mixer import port
from tests.interop.keys import fresh
from tests.interop.spoken import SPOKEN
from tests.interop.stage import Program, stage
from tests.interop.wire import Address
from tests.tones import assert_hears

TALK_S = 4.5

FINE = port.Opus(bitrate=64000)
"""So that what the codec adds is fainter than what is looked for."""

WIDE = 16000
ANY: dict[str, tuple[port.CodecName, int]] = {
    "mu": ("PCMU", 440),
    "linear": ("L16", 5200),
    "g722": ("G722", 1700),
    "opus": ("opus", 4700),
}
"""Codecs that carry sums of tones, and a tone for each."""

ffmpeg = pytest.mark.needs("ffmpeg")
gstreamer = pytest.mark.needs("gstreamer", "gstreamer-codecs")
programs = pytest.mark.parametrize(
    "program", [pytest.param("ffmpeg", marks=ffmpeg), pytest.param("gstreamer", marks=gstreamer)]
)


def told(codec: str) -> dict[str, Any]:
    """What the mixer must be told of a codec, beside its name."""
    if codec.startswith("AMR"):
        return {"amr": port.Amr(octet_aligned=True)}
    return {"opus": FINE} if codec == "opus" else {"rate": WIDE} if codec == "L16" else {}


@programs
async def test_all_hear_each_other_whatever_they_speak(
    tmp_path: Path, mixer: MixerClient, media: Address, program: Program
) -> None:
    async with stage(tmp_path, mixer, media, rate=48000, max_talkers=4) as here:
        for leg, (codec, hertz) in ANY.items():
            await here.seat(leg, program, codec, hertz=hertz, recorded=WIDE, **told(codec))
        await asyncio.sleep(TALK_S)
        heard = await here.stop()
    for leg, (codec, own) in ANY.items():
        others = {hertz for _, hertz in ANY.values() if hertz != own and hertz < SPOKEN[codec].rate / 2}
        assert_hears(heard[leg], present=others, absent={own, 3100}, rate=WIDE)


@programs
@pytest.mark.parametrize("codec", ["opus", "G722"])
async def test_listeners_of_one_group_key_are_sent_the_same_octets(
    tmp_path: Path, mixer: MixerClient, media: Address, program: Program, codec: port.CodecName
) -> None:
    """The talker under keys of its own; the common stream is encoded and encrypted once."""
    async with stage(tmp_path, mixer, media, fresh(), rate=16000) as here:
        await here.seat("talker", program, codec, hertz=5200, hears=False, keying="unique", **told(codec))
        for leg in ("one", "two"):
            await here.seat(leg, program, codec, recorded=WIDE, **told(codec))
        await asyncio.sleep(TALK_S)
        heard = await here.stop()
        one, two = ({got.sequence: got.octets for got in here.seats[leg].wire.rtp()} for leg in heard)
    for samples in heard.values():
        assert_hears(samples, present={5200}, absent={440}, rate=WIDE)
    shared = one.keys() & two.keys()
    assert len(shared) > 100
    assert all(one[sequence] == two[sequence] for sequence in shared)


@gstreamer
@pytest.mark.needs("libopencore-amrnb", "libopencore-amrwb", "libvo-amrwbenc")
@pytest.mark.parametrize("codec", ["AMR", "AMR-WB"])
async def test_amr_of_gstreamer_both_ways(
    tmp_path: Path, mixer: MixerClient, media: Address, codec: port.CodecName
) -> None:
    """A codec of speech carries one tone at a time: who speaks it hears only the other, and that one only it."""
    async with stage(tmp_path, mixer, media, rate=16000) as here:
        await here.seat("amr", "gstreamer", codec, hertz=440, **told(codec))
        await here.seat("linear", "gstreamer", "L16", hertz=1000, **told("L16"))
        await asyncio.sleep(TALK_S)
        heard = await here.stop()
    assert_hears(heard["amr"], present={1000}, absent={440})
    assert_hears(heard["linear"], present={440}, absent={1000})


@ffmpeg
@pytest.mark.needs("libopencore-amrnb", "libopencore-amrwb", "libvo-amrwbenc")
@pytest.mark.parametrize("codec", ["AMR", "AMR-WB"])
async def test_ffmpeg_hears_amr(tmp_path: Path, mixer: MixerClient, media: Address, codec: port.CodecName) -> None:
    """It has no encoder of its own; what it would send is tested by PyAV's, packet by packet."""
    async with stage(tmp_path, mixer, media, rate=16000) as here:
        await here.seat("talker", hertz=440, hears=False)
        await here.seat("ear", "ffmpeg", codec, **told(codec))
        await asyncio.sleep(TALK_S)
        heard = await here.stop()
    # Its gain control takes up to 5 dB from a tone that never ends.
    assert_hears(heard["ear"], present={440}, absent={1000}, sent_db=-14.5)
