"""A client that writes RFC 6464 levels: while it says that it is silent it is not decrypted, and then it is heard."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from control.client import MixerClient
from mixer import port
from tests.interop.keys import fresh
from tests.interop.programs import gst_speaker
from tests.interop.stage import stage
from tests.interop.wire import Address
from tests.tones import assert_hears

LEVELS = 5
"""Id of the header extension."""
PAUSE_S, TALK_S = 3.0, 3.0


@pytest.mark.needs("gstreamer", "gstreamer-codecs")
@pytest.mark.parametrize("codec", ["PCMU", "opus"])
async def test_gstreamer_is_passed_over_while_it_is_silent_and_heard_when_it_speaks(
    tmp_path: Path, mixer: MixerClient, media: Address, codec: port.CodecName
) -> None:
    async with stage(tmp_path, mixer, media) as here:
        await here.seat("ear")
        up = fresh()
        shy = await here.seat(
            "shy", codec=codec, hears=False, rx=up.port(), ssrc=77, direction="sendrecv", level_in=LEVELS
        )
        speaker = gst_speaker(
            tmp_path,
            "shy-says",
            shy.wire.inner,
            up.gst(),
            hertz=700,
            codec=codec,
            ssrc=77,
            pause_s=PAUSE_S,
            level_in=LEVELS,
        )
        await here.stack.enter_async_context(speaker)
        before = await mixer.node_info()
        await asyncio.sleep(PAUSE_S - 0.5)
        silent = await mixer.node_info()
        passed = silent.passed - before.passed
        assert 0.7 * (silent.received - before.received) < passed
        await asyncio.sleep(TALK_S)
        spoken = await mixer.node_info()
        heard = await here.stop()
    assert_hears(heard["ear"], present={700}, absent={1000})
    assert spoken.received - silent.received > 3 * (spoken.passed - silent.passed)
    assert spoken.drops == before.drops
