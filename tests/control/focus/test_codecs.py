"""Callers of several codecs in one room, what the mixer is told of them, and what it has not got."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bench.callers.caller import Caller, CallRefused
from control.focus import media
from control.focus import settings as focus_settings
from control.messages import NodeStatus
from control.sdp.agreed import Agreed
from control.sdp.answer import agree
from control.sdp.model import parse
from control.tomlfile import SettingsError
from mixer import port
from mixer.codecs import available
from tests.control.focus.house import House, assert_hears, house, listen, phones
from tests.control.focus.test_keys import GROUP
from tests.control.sdp import bodies

TALKERS = {"PCMU": 440, "G722": 700, "opus": 1000, "PCMA": 1300}
LOUD_OPUS = "[media.opus]\nbitrate = 64000\n"
"""At less, five tones have noise between them that is as loud as what must not be heard."""


def agreed_with(here: House, name: str) -> Agreed:
    (agreed,) = [call.agreed for _, call in here.focus.switchboard.calls.values() if name in call.identity.uri]
    assert agreed is not None
    return agreed


@pytest.mark.parametrize("keying", ["", GROUP])
async def test_callers_of_all_codecs_hear_each_other(tmp_path: Path, keying: str) -> None:
    async with house(tmp_path, keying + LOUD_OPUS) as here, AsyncExitStack() as stack:
        callers = []
        for codec, hz in TALKERS.items():
            caller = await Caller.open(codec, hz=hz, codec=codec)
            stack.push_async_callback(caller.close)
            callers.append(caller)
            await caller.dial(here.uri("room"))
            assert agreed_with(here, codec).codec == codec
        for caller, heard in zip(callers, await listen(*callers), strict=True):
            own = TALKERS[caller.options.codec]
            assert_hears(heard, set(TALKERS.values()) - {own}, {own})
        assert not here.faults


async def test_who_is_called_is_offered_all_codecs(tmp_path: Path) -> None:
    async with (
        house(tmp_path) as here,
        phones(("ann", 440), codec="opus") as (ann,),
        phones(("bob", 700), codec="G722") as (bob,),
    ):
        for caller in (ann, bob):
            await here.focus.switchboard.dial_out("room", caller.uri)
        heard = await listen(ann, bob)
        assert_hears(heard[0], {700}, {440})
        assert_hears(heard[1], {440}, {700})
        assert agreed_with(here, "ann").opus is not None


async def test_opus_goes_on_through_hold_and_new_keys(tmp_path: Path) -> None:
    async with house(tmp_path) as here, phones(("ann", 440), ("bob", 700), codec="opus") as (ann, bob):
        await ann.dial(here.uri("room"))
        await bob.dial(here.uri("room"))
        before = agreed_with(here, "bob")
        await bob.hold()
        await bob.resume()
        await bob.rekey_own()
        after = agreed_with(here, "bob")
        assert (after.codec, after.opus, after.payload_type) == (before.codec, before.opus, before.payload_type)
        (heard,) = await listen(ann)
        assert_hears(heard, {700}, {440})


async def test_a_codec_that_is_not_wanted_is_refused(tmp_path: Path) -> None:
    async with house(tmp_path, '[media]\ncodecs = ["PCMA"]') as here, phones(("ann", 0), codec="opus") as (ann,):
        with pytest.raises(CallRefused) as refusal:
            await ann.dial(here.uri("room"))
        assert refusal.value.status == 488


async def test_what_the_mixer_has_not_got_is_left_out_and_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mixer.service.available", lambda: [name for name in available() if name != "opus"])
    with capture_logs() as lines:
        async with house(tmp_path) as here, phones(("ann", 0), codec="opus") as (ann,), phones(("bob", 0)) as (bob,):
            with pytest.raises(CallRefused):
                await ann.dial(here.uri("room"))
            await bob.dial(here.uri("room"))
    assert [line["codec"] for line in lines if line["event"] == "codec_left_out"] == ["opus"]


async def test_a_mixer_that_has_none_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixer.service.available", lambda: ["L16"])
    with pytest.raises(SettingsError, match="L16"):
        async with house(tmp_path):
            pass


def leg_of(body: bytes, told: str = "") -> port.LegAdd:
    settings = focus_settings.parse(told)
    node = NodeStatus(version="", boot_id="", frame=0, tick_ms=20, legs=0, conferences=0, port=0, codecs=available())
    terms = media.terms(settings, settings.default_room, node)
    return media.leg("ann", "room", agree(parse(body), terms), None, apart=False, silence_s=30.0)


def test_what_the_mixer_is_told_of_opus() -> None:
    leg = leg_of(bodies.BARESIP_OPUS)
    assert (leg.codec, leg.payload_type, leg.dtmf, leg.dtmf_out) == ("opus", 96, 101, 101)
    assert leg.opus == port.Opus(bitrate=24000)
    assert leg_of(bodies.BARESIP_OPUS, "[media.opus]\nbitrate = 12000\nfec = false").opus == port.Opus(
        bitrate=12000, fec=False
    )


def test_a_narrow_room_asks_for_no_more_of_opus() -> None:
    assert leg_of(bodies.BARESIP_OPUS, "[default_room]\nrate = 16000").opus == port.Opus(bitrate=24000, max_rate=16000)


def test_what_the_mixer_is_told_of_comfort_noise() -> None:
    assert leg_of(bodies.CHROMIUM, '[media]\ncodecs = ["G722"]').comfort_noise == 13
    assert leg_of(bodies.CHROMIUM).comfort_noise is None
