"""Calls: phones dial in, hear each other, go on hold, change their keys, and go."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.callers.caller import CallRefused
from bench.callers.habits import Habits
from tests.control.focus.house import assert_hears, house, listen, phones, until
from tests.control.focus.raw import offer, peer


async def test_three_hear_each_other_and_not_themselves(tmp_path: Path) -> None:
    async with house(tmp_path) as here, phones(("ann", 440), ("bob", 700), ("cyd", 1000)) as callers:
        for caller in callers:
            await caller.dial(here.uri("room"))
        for caller, heard in zip(callers, await listen(*callers), strict=True):
            others = {each.options.hz for each in callers} - {caller.options.hz}
            assert_hears(heard, others, {caller.options.hz})
        assert not here.focus.reception.faults


async def test_rooms_are_apart(tmp_path: Path) -> None:
    async with house(tmp_path) as here, phones(("ann", 440), ("bob", 700), ("cyd", 1000)) as callers:
        ann, bob, cyd = callers
        await ann.dial(here.uri("one"))
        await bob.dial(here.uri("one"))
        await cyd.dial(here.uri("two"))
        (heard,) = await listen(ann)
        assert_hears(heard, {700}, {440, 1000})
        assert {room.name for room in here.focus.rooms} == {"one", "two"}


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_room_is_gone_with_its_last_call(tmp_path: Path, transport: str) -> None:
    async with house(tmp_path) as here, phones(("ann", 440), transport=transport) as (ann,):
        host, number = here.focus.agent.listening[transport]
        await ann.dial(f"sip:room@{host}:{number};transport={transport}")
        assert here.service.engine.legs_count == 1
        await ann.hang_up()
        await until(lambda: not here.service.engine.conferences_count)
        assert len(here.focus.rooms) == 0
        assert not here.focus.switchboard.calls


@pytest.mark.parametrize("security", ["sdes", "dtls"])
async def test_both_ways_of_keying_meet_in_one_room(tmp_path: Path, security: str) -> None:
    async with (
        house(tmp_path) as here,
        phones(("ann", 440)) as (ann,),
        phones(("bob", 700), security=security) as (bob,),
    ):
        await ann.dial(here.uri("room"))
        await bob.dial(here.uri("room"))
        heard = await listen(ann, bob)
        assert_hears(heard[0], {700}, {440})
        assert_hears(heard[1], {440}, {700})


@pytest.mark.parametrize(
    "suite",
    ["AES_CM_128_HMAC_SHA1_32", "AES_256_CM_HMAC_SHA1_80", "AEAD_AES_128_GCM", "AEAD_AES_256_GCM"],
)
async def test_every_suite(tmp_path: Path, suite: str) -> None:
    async with house(tmp_path) as here, phones(("ann", 440)) as (ann,), phones(("bob", 700), suites=(suite,)) as (bob,):
        await ann.dial(here.uri("room"))
        await bob.dial(here.uri("room"))
        heard = await listen(ann, bob)
        assert_hears(heard[0], {700}, {440})
        assert_hears(heard[1], {440}, {700})


async def test_hold_and_resume(tmp_path: Path) -> None:
    async with house(tmp_path) as here, phones(("ann", 440), ("bob", 700)) as (ann, bob):
        await ann.dial(here.uri("room"))
        await bob.dial(here.uri("room"))
        await listen(ann, bob)
        await bob.hold()
        (heard,) = await listen(ann)
        assert_hears(heard, set(), {440, 700})
        await bob.resume()
        both = await listen(ann, bob)
        assert_hears(both[0], {700}, {440})
        assert_hears(both[1], {440}, {700})


async def test_a_phone_changes_its_own_key(tmp_path: Path) -> None:
    async with house(tmp_path) as here, phones(("ann", 440), ("bob", 700)) as (ann, bob):
        await ann.dial(here.uri("room"))
        await bob.dial(here.uri("room"))
        await listen(ann)
        await bob.rekey_own()
        (heard,) = await listen(ann)
        assert_hears(heard, {700}, {440})
        assert not here.service.engine.tally.drops().get("auth_failed")


async def test_an_invite_without_an_offer(tmp_path: Path) -> None:
    async with house(tmp_path) as here, phones(("ann", 440)) as (ann,), phones(("bob", 700), offers=False) as (bob,):
        await ann.dial(here.uri("room"))
        await bob.dial(here.uri("room"))
        heard = await listen(ann, bob)
        assert_hears(heard[0], {700}, {440})
        assert_hears(heard[1], {440}, {700})


async def test_who_sends_in_clear_or_under_another_key_is_not_mixed(tmp_path: Path) -> None:
    async with (
        house(tmp_path, "[media]\nsilence_s = 1.0") as here,
        phones(("ann", 440)) as (ann,),
        phones(("bob", 700), habits=Habits(clear_media=True)) as (bob,),
        phones(("cyd", 1000), habits=Habits(wrong_key=True)) as (cyd,),
    ):
        for caller in (ann, bob, cyd):
            await caller.dial(here.uri("room"))
        (heard,) = await listen(ann)
        assert_hears(heard, set(), {440, 700, 1000})
        await until(lambda: bob.call.ended and cyd.call.ended)
        assert "no media" in bob.call.ended
        assert not ann.call.ended


async def test_who_never_acknowledges_is_hung_up_on(tmp_path: Path) -> None:
    async with (
        house(tmp_path, "[sip]\nt1 = 0.02\nt2 = 0.1") as here,
        phones(("ann", 440), habits=Habits(never_acks=True)) as (ann,),
    ):
        await ann.dial(here.uri("room"))
        assert here.service.engine.legs_count == 1
        await until(lambda: not here.service.engine.legs_count)
        assert len(here.focus.rooms) == 0


async def test_who_vanishes_is_given_up(tmp_path: Path) -> None:
    async with (
        house(tmp_path, "[media]\nsilence_s = 1.0\n[sip]\nt1 = 0.02") as here,
        phones(("ann", 440), habits=Habits(never_byes=True)) as (ann,),
    ):
        await ann.dial(here.uri("room"))
        await listen(ann, seconds=0.5)
        await ann.hang_up()
        await until(lambda: not here.service.engine.legs_count)
        assert not here.focus.switchboard.calls


async def test_the_second_claimant_of_an_ssrc_is_refused(tmp_path: Path) -> None:
    async with (
        house(tmp_path) as here,
        phones(("ann", 440), ssrc=0x1234) as (ann,),
        phones(("bob", 700), ssrc=0x1234) as (bob,),
    ):
        await ann.dial(here.uri("room"))
        with pytest.raises(CallRefused) as refusal:
            await bob.dial(here.uri("room"))
        assert refusal.value.status == 488
        assert here.service.engine.legs_count == 1
        (heard,) = await listen(ann)
        assert_hears(heard, set(), {440, 700})


async def test_dial_out(tmp_path: Path) -> None:
    async with house(tmp_path) as here, phones(("ann", 440), ("bob", 700)) as (ann, bob):
        await ann.dial(here.uri("room"))
        _, call = await here.focus.switchboard.dial_out("room", bob.uri)
        assert call.identity.uri == bob.uri
        heard = await listen(ann, bob)
        assert_hears(heard[0], {700}, {440})
        assert_hears(heard[1], {440}, {700})
        await here.focus.switchboard.ending.hang_up(call, "enough")
        await until(lambda: bob.call.ended)
        assert "enough" in bob.call.ended


async def test_who_does_not_answer_leaves_nothing_behind(tmp_path: Path) -> None:
    async with house(tmp_path) as here, phones(("bob", 700)) as (bob,):
        bob.answers = False
        with pytest.raises(CallRefused) as refusal:
            await here.focus.switchboard.dial_out("room", bob.uri)
        assert refusal.value.status == 486
        await until(lambda: not here.service.engine.conferences_count)
        assert len(here.focus.rooms) == 0


async def test_the_end_of_the_focus_is_the_end_of_every_call(tmp_path: Path) -> None:
    async with phones(("ann", 440)) as (ann,):
        async with house(tmp_path) as here:
            await ann.dial(here.uri("room"))
        assert "focus ends" in ann.call.ended


async def test_a_reinvite_without_an_offer_is_answered_in_its_ack(tmp_path: Path) -> None:
    async with house(tmp_path) as here, peer(here) as eve:
        assert (await eve.ask("INVITE", offer())).status == 200
        ((_, call),) = here.focus.switchboard.calls.values()
        assert (await eve.ask("INVITE", offer().replace("t=0 0", "t=0 0\r\na=sendonly"))).status == 200
        assert call.agreed is not None
        assert call.agreed.direction == "sendonly"
        for answer in (offer().replace("40000", "41000"), offer("m=audio 42000 RTP/AVP 0")):
            eve.send(eve.request("INVITE"))
            assert "a=sendrecv" in (await eve.final("INVITE")).body
            eve.send(eve.request("ACK", answer))
            eve.cseq += 1
            await until(lambda: call.agreed is not None and call.agreed.direction == "sendrecv")
            assert call.agreed.remote == "127.0.0.1:41000", "the second does not fit"
        assert (await eve.ask("BYE")).status == 200
        await here.nothing_left()
