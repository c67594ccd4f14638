"""A PIN that is keyed in: who has not done so hears nobody, is heard by nobody, and holds no key of the group."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bench.callers.caller import Caller, CallRefused
from bench.callers.hearing import levels_db
from control.client import MixerClient
from control.focus.call import Call
from control.focus.prompts import prompt_of
from mixer import port
from tests.control.focus.house import RATE, House, assert_hears, house, listen, phones, until
from tests.control.focus.raw import Peer, offer, peer, tag_of
from tests.control.focus.test_keys import CURRENT, GROUP, in_group, keyings

PIN = '[room.board]\npin = "4711"\n'
RELAY = "application/dtmf-relay"


def call_of(here: House, name: str) -> Call:
    return next(call for _, call in here.focus.switchboard.calls.values() if name in call.identity.uri)


async def info(asker: Peer, key: str, content: str = RELAY) -> int:
    body = f"Signal={key}\r\nDuration=160\r\n" if content == RELAY else key
    return (await asker.ask("INFO", body, {"Content-Type": content})).status


async def keyed(asker: Peer, keys: str) -> None:
    for key in keys:
        assert await info(asker, key) == 200


async def prompted(caller: Caller) -> None:
    """It hears the prompt, and nobody."""
    await until(lambda: len(caller.heard()) > RATE // 2)
    (heard,) = await listen(caller, seconds=3.2)  # all of the prompt, once
    levels = levels_db(heard, (440, 620, 1000))
    assert levels[620] > -45.0
    assert max(levels[440], levels[1000]) < -70.0, levels


async def test_who_keys_in_the_pin_is_in(tmp_path: Path) -> None:
    async with house(tmp_path, PIN) as here, phones(("ann", 440), ("bob", 700)) as (ann, bob):
        await ann.dial(here.uri("board;pin=4711"))
        await bob.dial(here.uri("board"))
        assert call_of(here, "bob").waiting
        await until(lambda: call_of(here, "bob").ssrc)
        await prompted(bob)
        (alone,) = await listen(ann)
        assert_hears(alone, set(), {440, 700})
        bob.call.press("4711#")
        await until(lambda: not call_of(here, "bob").waiting)
        heard = await listen(ann, bob)
        assert_hears(heard[0], {700}, {440})
        assert_hears(heard[1], {440}, {700})
        assert not here.faults


@pytest.mark.parametrize("policy", [GROUP, CURRENT])
async def test_a_caller_who_waits_never_has_the_key_of_the_group(tmp_path: Path, policy: str) -> None:
    async with (
        house(tmp_path, f'[default_room]\npin = "4711"\n{policy}') as here,
        phones(("ann", 440), ("cyd", 1000)) as (ann, cyd),
        phones(("bob", 700)) as (bob,),
    ):
        await ann.dial(here.uri("room;pin=4711"))
        await cyd.dial(here.uri("room;pin=4711"))
        await bob.dial(here.uri("room"))
        await until(lambda: in_group(here, "ann", "cyd"))
        await prompted(bob)
        bob.call.press("4711#")
        await until(lambda: not call_of(here, "bob").waiting)
        (heard,) = await listen(bob)
        assert_hears(heard, {440, 1000}, {700})
        assert keyings(here)["bob"] == "own"
        assert cyd.reads(ann.arrived_packets) > 0  # so the key of the group would open them
        assert bob.reads(ann.arrived_packets) == 0


async def test_who_waits_hears_nobody_when_its_prompt_is_taken_away(tmp_path: Path) -> None:
    async with house(tmp_path, PIN) as here, phones(("ann", 440), ("bob", 700)) as (ann, bob):
        await ann.dial(here.uri("board;pin=4711"))
        await bob.dial(here.uri("board"))
        call = call_of(here, "bob")
        await prompted(bob)
        async with MixerClient(f"unix:{tmp_path}/control.sock") as operator:
            await operator.call(port.PlayStop(play=prompt_of(call)))
            (heard,) = await listen(bob)
            assert_hears(heard, set(), {440, 700})
            status = await operator.call(port.ConferenceShow(conference="board"))
        assert {leg.leg.partition(".")[0]: leg.muted for leg in status.legs} == {"ann": False, "bob": True}
        bob.call.press("4711#")
        await until(lambda: not call.waiting)
        (heard,) = await listen(bob)
        assert_hears(heard, {440}, {700})


async def test_a_prompt_that_cannot_be_played_is_none(tmp_path: Path) -> None:
    async with house(tmp_path, PIN + 'pin_prompt = "none.wav"') as here, phones(("bob", 700)) as (bob,):
        with capture_logs() as lines:
            await bob.dial(here.uri("board"))
            call = call_of(here, "bob")
            await until(lambda: [line for line in lines if line["event"] == "not_prompted"])
        bob.call.press("4711#")
        await until(lambda: not call.waiting)
        assert not here.faults


async def test_a_phone_that_tells_keys_by_info(tmp_path: Path) -> None:
    async with house(tmp_path, PIN) as here, peer(here, room="board") as eve:
        assert (await eve.ask("INVITE", offer())).status == 200
        await keyed(eve, "99*471")
        assert await info(eve, "1", "application/dtmf") == 200
        assert call_of(here, "eve").waiting
        await keyed(eve, "#")
        await until(lambda: not call_of(here, "eve").waiting)
        assert (await eve.ask("BYE")).status == 200
        await here.nothing_left()


async def test_who_calls_without_an_offer_is_asked_for_the_pin_once_it_has_answered(tmp_path: Path) -> None:
    async with house(tmp_path, PIN) as here, phones(("bob", 700), offers=False) as (bob,):
        await bob.dial(here.uri("board"))
        await prompted(bob)
        bob.call.press("4711#")
        await until(lambda: not call_of(here, "bob").waiting)
        assert not here.faults


async def test_keys_that_come_before_there_is_a_leg_are_none(tmp_path: Path) -> None:
    async with house(tmp_path, PIN) as here, peer(here, room="board") as eve:
        eve.send(eve.request("INVITE"))
        eve.to_tag = tag_of(await eve.final("INVITE"))
        eve.cseq += 1
        await keyed(eve, "4711#")
        assert call_of(here, "eve").waiting
        assert not here.faults
        assert (await eve.ask("BYE")).status == 200
        await here.nothing_left()


async def test_a_body_that_is_no_key_changes_nothing(tmp_path: Path) -> None:
    async with house(tmp_path, PIN) as here, peer(here, room="board") as eve:
        assert (await eve.ask("INVITE", offer())).status == 200
        for key in "47":
            assert await info(eve, key) == 200
        for body in ("Signal=99\r\nDuration=160", "Signal=9", "", "9\0"):
            await eve.ask("INFO", body, {"Content-Type": RELAY})
        await keyed(eve, "11#")
        await until(lambda: not call_of(here, "eve").waiting)
        assert (await eve.ask("BYE")).status == 200
        await here.nothing_left()


async def test_keys_that_come_in_both_ways_count_once(tmp_path: Path) -> None:
    async with house(tmp_path, PIN) as here, phones(("bob", 0)) as (bob,):
        await bob.dial(here.uri("board"))
        call = call_of(here, "bob")
        (room,) = here.focus.rooms
        for key in "4711#":
            room.pressed(call, key, "rtp")
            room.pressed(call, key, "info")
        await until(lambda: not call.waiting)
        assert bob.in_call


async def test_three_wrong_pins_end_the_call_and_ten_the_guessing(tmp_path: Path) -> None:
    told = PIN + "[limits]\nwrong_pins = 4\n"
    async with house(tmp_path, told) as here, phones(("bob", 0)) as (bob,), peer(here, room="board") as eve:
        await bob.dial(here.uri("board"))
        bob.call.press("0#4710#47110#")
        await until(lambda: bob.call.ended)
        assert "the PIN was wrong" in bob.call.ended
        with pytest.raises(CallRefused) as refusal:
            await bob.dial(here.uri("board;pin=1"))
        assert refusal.value.status == 403
        with pytest.raises(CallRefused) as refusal:
            await bob.dial(here.uri("board;pin=4711"))
        assert "too many wrong PINs" in str(refusal.value)
        assert (await eve.ask("INVITE", offer())).status == 403
        await here.nothing_left()


async def test_who_keys_in_nothing_is_hung_up_on(tmp_path: Path) -> None:
    async with house(tmp_path, PIN + "[limits]\npin_s = 0.2\n") as here, phones(("bob", 0)) as (bob,):
        await bob.dial(here.uri("board"))
        await until(lambda: bob.call.ended)
        assert "no PIN was keyed in" in bob.call.ended
        await here.nothing_left()


async def test_who_hangs_up_while_it_waits_leaves_nothing(tmp_path: Path) -> None:
    async with house(tmp_path, PIN) as here, phones(("bob", 0)) as (bob,):
        await bob.dial(here.uri("board"))
        await bob.hang_up()
        await here.nothing_left()
        assert not len(here.focus.switchboard.lobby)


async def test_who_waits_is_on_no_roster_and_sees_none(tmp_path: Path) -> None:
    async with house(tmp_path, PIN) as here, peer(here, room="board", polite=True) as eve:
        assert (await eve.ask("INVITE", offer())).status == 200
        (room,) = here.focus.rooms
        assert not room.roll.roster.presences
        assert (await eve.ask("SUBSCRIBE", headers={"Event": "conference"})).status == 403
        await keyed(eve, "4711#")
        await until(lambda: room.roll.roster.presences)
        assert (await eve.ask("SUBSCRIBE", headers={"Event": "conference"})).status == 200
        assert (await eve.ask("BYE")).status == 200


async def test_who_waits_takes_nobodys_place(tmp_path: Path) -> None:
    told = PIN + "members = 1\n"
    async with (
        house(tmp_path, told) as here,
        peer(here, room="board", polite=True) as eve,
        phones(("ann", 0)) as (ann,),
    ):
        assert (await eve.ask("INVITE", offer())).status == 200
        await ann.dial(here.uri("board;pin=4711"))
        await keyed(eve, "4711#")
        assert "the room is full" in (await eve.request_of("BYE")).headers["reason"]
        await until(lambda: len(here.focus.switchboard.calls) == 1)
        assert ann.in_call


async def test_the_lobby_has_so_many_places(tmp_path: Path) -> None:
    told = PIN + '[room.words]\npin = "sesame"\n[limits]\nwaiting = 1\n'
    async with (
        house(tmp_path, told) as here,
        peer(here, room="board", polite=True) as eve,
        peer(here, room="board") as bob,
        peer(here, room="words") as cyd,
    ):
        assert (await eve.ask("INVITE", offer())).status == 200
        assert (await bob.ask("INVITE", offer())).status == 403
        assert (await cyd.ask("INVITE", offer())).status == 403  # no keypad has these keys
        assert (await eve.ask("BYE")).status == 200


async def test_holding_the_line_opens_no_way_in(tmp_path: Path) -> None:
    async with house(tmp_path, PIN) as here, phones(("ann", 440), ("bob", 700)) as (ann, bob):
        await ann.dial(here.uri("board;pin=4711"))
        await bob.dial(here.uri("board"))
        await bob.hold()
        await bob.resume()
        await bob.rekey_own()
        await prompted(bob)
        (alone,) = await listen(ann)
        assert_hears(alone, set(), {440, 700})


async def test_no_key_that_was_pressed_is_logged(tmp_path: Path, stream: io.StringIO) -> None:
    """Neither by the focus nor by the mixer, which logs its events; a PIN would be told digit by digit."""
    pin = "471108159263"  # too long for a time of day or a tag to hold it by chance, as four digits now and then are
    room = f'[room.board]\npin = "{pin}"\n'
    async with (
        house(tmp_path, room) as here,
        phones(("bob", 0)) as (bob,),
        peer(here, room="board", polite=True) as eve,
    ):
        logging.getLogger().setLevel(logging.DEBUG)
        await bob.dial(here.uri("board"))
        bob.call.press(f"{pin}#")
        await until(lambda: not call_of(here, "bob").waiting)
        assert (await eve.ask("INVITE", offer())).status == 200
        await keyed(eve, f"{pin}#")
        await until(lambda: not call_of(here, "eve").waiting)
        assert (await eve.ask("BYE")).status == 200
    text = stream.getvalue()
    assert "pin_keyed_in" in text
    assert pin not in text
    assert "dtmf" not in text
