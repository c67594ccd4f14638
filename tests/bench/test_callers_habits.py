"""Each misbehaviour does what it says, seen from the other side; a good caller beside it shows the difference."""

from __future__ import annotations

import asyncio

import pytest

from bench.callers.caller import Caller, CallRefused
from bench.callers.habits import GOOD, Habits
from bench.callers.lines import HOST, Lines
from control.sip.agent import SipSettings
from control.sip.errors import DialogGone, SipTimeout
from tests.bench.calling import heard, pair, until

IMPATIENT = SipSettings(host=HOST, udp_port=0, tcp_port=-1, t1=0.005)
"""It gives up after 64 * T1: a third of a second."""


def test_habits_have_names() -> None:
    assert Habits.named("silent") == Habits(silent=True)
    assert Habits.named("late_s").late_s > 0
    assert Habits() == GOOD
    with pytest.raises(ValueError, match=r"choose of ignores_keys, .*wrong_key"):
        Habits.named("polite")


async def test_who_ignores_keys_says_yes_and_stays_deaf() -> None:
    async with pair(habits=Habits(ignores_keys=True)) as (alice, bob):
        await alice.dial(bob.uri)
        await heard(bob, 5)
        await alice.rekey_own()
        await until(lambda: bob.report().refused >= 5)
        assert bob.report().keys_taken == 1
        await heard(alice, 5)


async def test_who_refuses_an_offer_goes_on_as_before() -> None:
    async with pair(habits=Habits(refuses_reinvite=True)) as (alice, bob):
        await alice.dial(bob.uri)
        with pytest.raises(CallRefused) as refusal:
            await alice.rekey_own()
        assert refusal.value.status == 488
        await asyncio.gather(heard(alice, 5), heard(bob, 5))
        assert bob.report().keys_taken == 1


async def test_who_is_silent_answers_no_offer_but_hangs_up() -> None:
    async with pair(habits=Habits(silent=True)) as (alice, bob):
        await alice.dial(bob.uri)
        assert alice.dialog is not None
        with pytest.raises(SipTimeout):
            await alice.dialog.request("INFO", timeout_s=0.05)
        await alice.hang_up()
        await until(lambda: bob.call.ended != "")


async def test_who_is_late_takes_the_key_in_the_end() -> None:
    async with pair(habits=Habits(late_s=0.1)) as (alice, bob):
        await alice.dial(bob.uri)
        await alice.rekey_own()
        assert bob.report().keys_taken == 2
        await heard(bob, 5)


@pytest.mark.parametrize("habit", ["clear_media", "wrong_key"])
async def test_who_sends_under_no_key_or_another_is_not_heard(habit: str) -> None:
    async with pair(habits=Habits.named(habit)) as (alice, bob):
        await alice.dial(bob.uri)
        await heard(bob, 5)
        await until(lambda: alice.report().refused >= 5)
        assert alice.report().packets == 0


async def test_who_says_nothing_hears_all_the_same() -> None:
    async with pair(habits=Habits(says_nothing=True)) as (alice, bob):
        await alice.dial(bob.uri)
        await heard(bob, 5)
        assert alice.arrived_packets == []


async def test_who_vanishes_neither_says_bye_nor_answers() -> None:
    async with pair() as (alice, _), pair(habits=Habits(never_byes=True)) as (_, ghost):
        await alice.dial(ghost.uri)
        await ghost.hang_up()
        assert not alice.call.ended
        assert alice.dialog is not None
        with pytest.raises(SipTimeout):
            await alice.dialog.request("INFO", timeout_s=0.05)
        alice.dialog.end()  # nobody would answer her BYE either


@pytest.mark.parametrize("acks", [True, False])
async def test_a_call_without_ack_is_given_up_by_who_answered(acks: bool) -> None:
    lines = await Lines.open(settings=IMPATIENT)
    bob = await Caller.open("bob", lines=lines)
    alice = await Caller.open("alice", habits=Habits(never_acks=not acks))
    await alice.dial(bob.uri)
    if acks:
        await heard(alice, 25)  # half a second: longer than Bob would wait
        assert not bob.call.ended
    else:
        await until(lambda: bob.call.ended != "")
    await alice.close()
    await bob.close()
    await lines.close()


async def test_a_busy_caller_takes_no_second_call_and_names_are_given_once() -> None:
    async with pair() as (alice, bob):
        await alice.dial(bob.uri)
        carol = await Caller.open("carol")
        with pytest.raises(CallRefused) as refusal:
            await carol.dial(bob.uri)
        assert refusal.value.status == 486
        with pytest.raises(DialogGone, match="dial first"):
            await carol.hold()
        with pytest.raises(ValueError, match="hang up first"):
            await alice.dial(bob.uri)
        with pytest.raises(ValueError, match="already"):
            await Caller.open("carol", lines=carol.lines)
        with pytest.raises(CallRefused) as refusal:
            await carol.dial(bob.uri.replace("bob", "nobody"))
        assert refusal.value.status == 404
        await carol.close()
