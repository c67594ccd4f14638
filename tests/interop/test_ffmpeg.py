"""ffmpeg, whose SRTP is its own, in conferences of the real mixer: as talker and as listener."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from control.client import MixerClient
from mixer import port
from mixer.suites import SuiteName
from tests.interop.conftest import Events
from tests.interop.keys import fresh
from tests.interop.stage import stage
from tests.interop.wire import Address
from tests.tones import assert_hears, purity

pytestmark = pytest.mark.needs("ffmpeg")

TALK_S = 4.0
"""Long enough for two seconds of tone after everyone has joined."""


@pytest.mark.parametrize(("codec", "suite"), [("PCMA", "AES_CM_128_HMAC_SHA1_80"), ("PCMU", "AES_CM_128_HMAC_SHA1_32")])
async def test_talkers_hear_each_other_and_not_themselves(
    tmp_path: Path, mixer: MixerClient, media: Address, codec: port.CodecName, suite: SuiteName
) -> None:
    """Two talkers and a listener, each under keys of its own."""
    async with stage(tmp_path, mixer, media) as here:
        for leg, hertz in (("low", 440), ("high", 1000), ("audience", 0)):
            await here.seat(leg, codec=codec, hertz=hertz, suite=suite)
        await asyncio.sleep(TALK_S)
        heard = await here.stop()
    assert_hears(heard["low"], present={1000}, absent={440, 700})
    assert_hears(heard["high"], present={440}, absent={1000, 700})
    assert_hears(heard["audience"], present={440, 1000}, absent={700})


async def test_listeners_of_one_group_key_get_the_same_octets(
    tmp_path: Path, mixer: MixerClient, media: Address
) -> None:
    """Talkers under unique keys, listeners under the group key: one packet for all of these."""
    async with stage(tmp_path, mixer, media, fresh()) as here:
        for hertz in (440, 1000):
            await here.seat(f"says-{hertz}", hertz=hertz, hears=False, keying="unique")
        for leg in ("one", "two"):
            await here.seat(leg)
        stranger = await here.seat("stranger", down=fresh())
        await asyncio.sleep(TALK_S)
        heard = await here.stop()
        octets = [{got.sequence: got.octets for got in here.seats[leg].wire.rtp()} for leg in heard]
    assert_hears(heard["one"], present={440, 1000}, absent={700})
    assert_hears(heard["two"], present={440, 1000}, absent={700})
    shared = octets[0].keys() & octets[1].keys()
    assert len(shared) > 100
    assert all(octets[0][sequence] == octets[1][sequence] for sequence in shared)
    # The stranger got the packets like everyone, and could do nothing with them.
    assert len(octets[2]) > 100
    assert len(heard["stranger"]) == 0 or purity(heard["stranger"]) < 0.1
    assert stranger.listener is not None
    assert "HMAC mismatch" in stranger.listener.program.words()


async def test_a_talker_with_the_wrong_key_is_not_heard(
    tmp_path: Path, mixer: MixerClient, media: Address, events: Events
) -> None:
    async with stage(tmp_path, mixer, media) as here:
        await here.seat("says-440", hertz=440, hears=False)
        await here.seat("says-1000", hertz=1000, hears=False, up=fresh())
        await here.seat("audience")
        await asyncio.sleep(TALK_S)
        heard = await here.stop()
    assert_hears(heard["audience"], present={440}, absent={1000})
    failure = await events.wait_for(port.AuthFailures)
    assert failure.leg == "says-1000"
    assert {event.leg for event in events.of(port.AuthFailures)} == {"says-1000"}
