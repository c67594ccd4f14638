"""Restarts: the mixer comes back empty, the focus forgets everything, the KMS is away. Calls live on, or end well."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.callers.caller import CallRefused
from control.client import MixerClient
from control.kms.client import KmsClient
from mixer import port
from tests.control.focus.house import assert_hears, house, listen, phones, until
from tests.control.focus.raw import offer, peer
from tests.control.focus.test_keys import GROUP, in_group, keyings


async def test_the_mixer_restarts_and_phones_are_given_fresh_keys(tmp_path: Path) -> None:
    async with (
        house(tmp_path) as here,
        phones(("ann", 440), ("bob", 700)) as (ann, bob),
        phones(("cyd", 1000), suites=("AEAD_AES_128_GCM",)) as (cyd,),
        phones(("dan", 0), security="dtls") as (dan,),
    ):
        for caller in (ann, bob, cyd, dan):
            await caller.dial(here.uri("room"))
        await listen(ann, seconds=0.3)
        await here.stop("mixer")
        await here.start("mixer")
        await until(lambda: dan.call.ended)  # keys of a handshake cannot be signalled
        assert "the mixer has restarted" in dan.call.ended
        await until(lambda: here.service.engine.legs_count == 3)
        heard = await listen(ann, cyd)
        assert_hears(heard[0], {700, 1000}, {440})
        assert_hears(heard[1], {440, 700}, {1000})
        assert [caller.report().keys_taken for caller in (ann, bob, cyd)] == [2, 2, 2]
        assert not here.faults


async def test_a_phone_that_holds_one_key_for_life_is_hung_up_on(tmp_path: Path) -> None:
    async with house(tmp_path, '[keys]\nfor_life = ["mrfp-caller"]') as here, phones(("ann", 0)) as (ann,):
        await ann.dial(here.uri("room"))
        await here.stop("mixer")
        await here.start("mixer")
        await until(lambda: ann.call.ended)
        await here.nothing_left()


async def test_an_idle_focus_finds_the_mixer_again(tmp_path: Path) -> None:
    async with house(tmp_path) as here, phones(("ann", 0)) as (ann,), phones(("bob", 440), security="dtls") as (bob,):
        await here.stop("mixer")
        with pytest.raises(CallRefused) as refusal:
            await ann.dial(here.uri("room"))
        assert refusal.value.status == 503
        assert "Retry-After" in dict(refusal.value.headers)
        await here.start("mixer")
        await ann.dial(here.uri("room"))
        await bob.dial(here.uri("room"))  # the new life of the mixer has another certificate
        assert_hears((await listen(ann))[0], {440}, set())


async def test_the_mixer_goes_and_everybody_hangs_up(tmp_path: Path) -> None:
    async with house(tmp_path) as here, phones(("ann", 0), ("bob", 0)) as (ann, bob):
        await ann.dial(here.uri("room"))
        await bob.dial(here.uri("room"))
        await here.stop("mixer")
        await ann.hang_up()
        await bob.hang_up()
        assert not here.focus.switchboard.calls
        await here.start("mixer")
        await here.nothing_left()
        await ann.dial(here.uri("room"))
        assert ann.in_call


async def test_what_a_former_life_of_the_focus_has_left_is_gone(tmp_path: Path) -> None:
    async with house(tmp_path, GROUP) as here, phones(("ann", 440), ("bob", 700)) as (ann, bob):
        async with (
            MixerClient(f"unix:{here.home / 'control.sock'}") as mixer,
            KmsClient(f"unix:{here.home / 'kms.sock'}") as kms,
        ):
            await mixer.call(port.ConferenceCreate(conference="room", keying="group", style="ssrc"))
            await mixer.call(port.LegAdd(conference="room", leg="nobody.1", clear=True))
            await kms.register("room", ["nobody.1"])
            key = await kms.create_epoch("room", epoch=7, kind="key")
            prepared = port.Key(suite=key.suite, secret=key.secret, epoch=7)
            await mixer.call(port.KeyPrepare(conference="room", cohort=0, direction="tx", key=prepared))
            await ann.dial(here.uri("room"))
            shown = await mixer.call(port.ConferenceShow(conference="room"))
            assert [leg.leg.partition(".")[0] for leg in shown.legs] == ["ann"]
            assert not shown.prepared
        await bob.dial(here.uri("room"))
        await until(lambda: in_group(here, "ann", "bob"))
        assert_hears((await listen(ann, seconds=0.9))[0], {700}, {440})
        await ann.hang_up()
        await bob.hang_up()
        await here.nothing_left()


async def test_without_the_kms_calls_come_up_on_own_keys(tmp_path: Path) -> None:
    async with house(tmp_path, GROUP) as here, phones(("ann", 440), ("bob", 700)) as (ann, bob):
        await here.stop("kms")
        await ann.dial(here.uri("room"))
        await bob.dial(here.uri("room"))
        assert_hears((await listen(ann, seconds=0.9))[0], {700}, {440})
        assert keyings(here) == {"ann": "own", "bob": "own"}
        await here.start("kms")
        await until(lambda: in_group(here, "ann", "bob"))
        assert_hears((await listen(ann, seconds=0.9))[0], {700}, {440})
        assert not here.faults


async def test_a_mixer_that_is_full(tmp_path: Path) -> None:
    async with house(tmp_path, mixer="max_legs = 1") as here, peer(here) as ann, peer(here) as eve:
        assert (await ann.ask("INVITE", offer())).status == 200
        answer = await eve.ask("INVITE", offer())
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert "full" in answer.first
        assert (await ann.ask("BYE")).status == 200
        await here.nothing_left()


async def test_a_mixer_that_is_going_down(tmp_path: Path) -> None:
    async with house(tmp_path) as here, peer(here) as ann:
        await here.service.drain()
        answer = await ann.ask("INVITE", offer())
        assert answer.status == 503
        assert "going down" in answer.first
        await here.nothing_left()
