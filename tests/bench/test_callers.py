"""Callers, proved on each other: one calls, the other picks up, and both say what they heard."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bench.callers.caller import Caller, CallRefused
from bench.callers.hearing import levels_db
from bench.callers.lines import Lines, Transport
from tests.bench.calling import ALICE_HZ, BOB_HZ, SAID_DB, heard, pair, until
from tests.control.sip.test_agent import over_tls
from tests.control.test_tls import Authority


def hears(caller: Caller, hertz: int, not_hertz: int, *, since_ns: int = 0) -> None:
    levels = levels_db(caller.heard(since_ns), (hertz, not_hertz), caller.options.rate)
    assert levels[hertz] == pytest.approx(SAID_DB, abs=1.0), levels
    assert levels[not_hertz] < SAID_DB - 40, levels


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"codec": "PCMA", "suites": ("AEAD_AES_256_GCM",)},
        {"codec": "L16", "rate": 16000, "suites": ("AES_256_CM_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32")},
        {"mki": True},
        {"mki": True, "suites": ("AEAD_AES_128_GCM",)},
        {"security": "dtls"},
        {"security": "clear"},
        {"offers": False},
    ],
    ids=lambda options: "-".join(str(value) for value in options.values()) or "plain",
)
async def test_two_callers_hear_each_other(options: dict[str, Any]) -> None:
    async with pair(**options) as (alice, bob):
        report = await alice.dial(bob.uri)
        assert report.set_up_ms > 0
        await asyncio.gather(heard(alice, 15), heard(bob, 15))
        hears(alice, BOB_HZ, ALICE_HZ)
        hears(bob, ALICE_HZ, BOB_HZ)
        await alice.hang_up()
        await until(lambda: bob.call.ended != "")
        ended = alice.report()
        assert (ended.ended, ended.refused, ended.lost, ended.streams) == ("hung up", 0, 0, 1)
        assert ended.keys_taken == 1
        assert BOB_HZ in ended.heard


async def test_a_call_may_be_refused() -> None:
    async with pair() as (alice, bob):
        bob.answers = False
        with pytest.raises(CallRefused) as refusal:
            await alice.dial(bob.uri)
        assert refusal.value.status == 486
        assert alice.report().packets == 0
        bob.answers = True
        await alice.dial(bob.uri)
        await heard(alice, 5)


async def test_who_offers_only_clear_media_is_refused_by_who_wants_srtp() -> None:
    bob = await Caller.open("bob")
    alice = await Caller.open("alice", security="clear")
    with pytest.raises(CallRefused) as refusal:
        await alice.dial(bob.uri)
    assert refusal.value.status == 488
    await alice.close()
    await bob.close()


async def test_nothing_is_said_nor_heard_on_hold() -> None:
    async with pair() as (alice, bob):
        await alice.dial(bob.uri)
        await heard(alice, 10)
        await bob.hold()
        await until(lambda: alice.call.media.muted)
        said = bob.call.media.mouth.spoken
        held = len(alice.call.media.ear.arrived)
        await asyncio.sleep(0)
        await bob.resume()
        assert bob.call.media.mouth.spoken <= said + 1
        assert len(alice.call.media.ear.arrived) <= held + 1
        await asyncio.gather(heard(alice, 10), heard(bob, 10))
        assert (alice.report().refused, bob.report().refused) == (0, 0)
        assert (alice.report().lost, bob.report().lost) == (0, 0)


async def test_a_key_of_its_own_can_be_changed_in_the_call() -> None:
    async with pair() as (alice, bob):
        await alice.dial(bob.uri)
        await heard(bob, 10)
        before = alice.call.negotiation.own
        await alice.rekey_own()
        await heard(bob, 10)
        assert alice.call.negotiation.own is not before
        assert bob.report().keys_taken == 2
        assert alice.report().keys_taken == 1, "Bob answers with the key that he has"
        assert (alice.report().refused, bob.report().refused) == (0, 0)
        assert bob.report().lost == 0


async def test_two_mkis_tell_two_keys_apart() -> None:
    async with pair(mki=True) as (alice, bob):
        await alice.dial(bob.uri)
        await alice.rekey_own()
        await heard(bob, 10)
        assert bob.report().keys_taken == 2
        assert bob.report().refused == 0


@pytest.mark.parametrize("transport", ["tcp", "tls"])
async def test_callers_call_over_streams_too(transport: Transport, tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ours")
    settings = [over_tls(authority, name) if transport == "tls" else None for name in ("alice", "localhost")]
    hers, his = [await Lines.open(transport, settings=each) for each in settings]
    alice = await Caller.open("alice", lines=hers, hz=ALICE_HZ)
    bob = await Caller.open("bob", lines=his, hz=BOB_HZ)
    await alice.dial(bob.uri.replace("127.0.0.1", "localhost"))
    await heard(alice, 15)
    hears(alice, BOB_HZ, ALICE_HZ)
    await alice.rekey_own()
    await alice.hang_up()
    await until(lambda: bob.call.ended != "")
    for each in (alice, bob, hers, his):
        await each.close()


async def test_a_call_that_is_given_up_leaves_the_caller_free() -> None:
    async with pair() as (alice, bob):
        dialling = asyncio.create_task(alice.dial("sip:nobody@127.0.0.1:9"))
        await until(lambda: alice.busy and bool(alice.calls))
        dialling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialling
        assert not alice.busy
        await alice.dial(bob.uri)
        await heard(alice, 3)
        await bob.hang_up()
        await until(lambda: alice.call.ended == "by the other side: no reason given")
        await alice.dial(bob.uri)
        assert [call.ended != "" for call in alice.calls] == [True, True, False]
        first, second = (call.negotiation.own for call in alice.calls[1:])
        assert first is not None
        assert second is not None
        assert first.secret != second.secret, "each call has keys of its own"
