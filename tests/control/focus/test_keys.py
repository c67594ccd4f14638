"""Group keys over SIP: who is given which, when, and who reads what it must not."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from pathlib import Path

import pytest

from bench.callers.caller import Caller
from bench.callers.habits import Habits
from mixer.secret import Secret
from tests.control.focus.house import House, assert_hears, house, listen, phones, until

GROUP = """
[default_room]
keying = "group"
[default_room.rekey]
promote_s = 0.3
t_leave_min = 0.2
laggard_time = 1.0
laggard_retry = 0.3
"""
CURRENT = GROUP + 'admission = "current"\n'


def keyings(here: House, room: str = "room") -> dict[str, str]:
    """By the name of the caller, under which key each hears."""
    found = here.focus.rooms.get(room)
    assert found is not None
    return {name.partition(".")[0]: found.driver.conductor.policy.keying_of(name) for name in found.calls}


def in_group(here: House, *names: str) -> bool:
    return all(keyings(here).get(name) == "group" for name in names)


async def gather(here: House, callers: Iterable[Caller]) -> None:
    """Everybody dials, and is given the group key."""
    for caller in callers:
        await caller.dial(here.uri("room"))
    await until(lambda: in_group(here, *(caller.name for caller in callers)))


async def test_one_encryption_for_all_who_hear_the_same(tmp_path: Path) -> None:
    async with house(tmp_path, GROUP) as here, phones(("ann", 440), ("bob", 700), ("cyd", 0), ("dan", 0)) as callers:
        await gather(here, callers)
        heard = await listen(*callers)
        assert_hears(heard[0], {700}, {440})
        assert_hears(heard[2], {440, 700}, set())
        since = callers[2].call.media.ear.heard_ns[-1]
        await listen(*callers[2:], seconds=0.5)
        lines = [{packet for when, packet in caller.arrived_packets if when > since} for caller in callers[2:]]
        common = lines[0] & lines[1]
        assert len(common) >= 20  # the very same octets
        assert not any(caller.report().refused for caller in callers)


async def test_nothing_is_lost_while_keys_change_and_the_leaver_reads_nothing_after(tmp_path: Path) -> None:
    async with house(tmp_path, GROUP) as here, phones(("ann", 440), ("bob", 700), ("cyd", 1000)) as (ann, bob, cyd):
        await gather(here, (ann, bob, cyd))
        await listen(ann)
        taken = ann.report().keys_taken
        await cyd.hang_up()
        assert cyd.reads(ann.arrived_packets) > 0  # the tap works: this was hers to hear
        await until(lambda: ann.report().keys_taken > taken and in_group(here, "ann", "bob"))
        (switched,) = await listen(ann, seconds=0.3)
        assert len(switched)
        before = len(ann.arrived_packets)
        (heard,) = await listen(ann)
        assert_hears(heard, {700}, {440, 1000})
        assert cyd.reads(ann.arrived_packets[before:]) == 0
        assert ann.report().lost == ann.report().refused == 0


async def test_who_comes_late_hears_at_once_and_nothing_of_before(tmp_path: Path) -> None:
    async with house(tmp_path, GROUP) as here, phones(("ann", 440), ("bob", 700), ("dan", 1000)) as (ann, bob, dan):
        await gather(here, (ann, bob))
        await listen(ann)
        before = list(ann.arrived_packets)
        report = await dan.dial(here.uri("room"))
        assert_hears((await listen(dan))[0], {440, 700}, {1000})
        assert dan.report().first_audio_ms - report.set_up_ms < 500
        await until(lambda: in_group(here, "dan"))
        assert dan.reads(before) == 0
        assert dan.report().refused == 0


async def test_admission_under_the_key_in_use_costs_nobody_a_message(tmp_path: Path) -> None:
    async with house(tmp_path, CURRENT) as here, phones(("ann", 440), ("bob", 700), ("dan", 1000)) as (ann, bob, dan):
        await gather(here, (ann, bob))
        await listen(ann)
        taken = ann.report().keys_taken
        await dan.dial(here.uri("room"))
        assert keyings(here)["dan"] == "group"
        assert_hears((await listen(dan))[0], {440, 700}, {1000})
        assert ann.report().keys_taken == taken
        assert dan.report().keys_taken == 1


async def test_a_phone_that_holds_one_key_for_life_stays_on_its_own(tmp_path: Path) -> None:
    told = GROUP + '[keys]\nfor_life = ["mrfp-caller"]\n'
    async with house(tmp_path, told) as here, phones(("ann", 440), ("bob", 700)) as (ann, bob):
        await ann.dial(here.uri("room"))
        await bob.dial(here.uri("room"))
        heard = await listen(ann, bob)
        assert_hears(heard[0], {700}, {440})
        assert keyings(here) == {"ann": "own", "bob": "own"}
        assert ann.report().keys_taken == bob.report().keys_taken == 1


@pytest.mark.parametrize("habit", ["refuses_reinvite", "silent"])
async def test_a_phone_that_takes_no_key_stops_nobody_and_is_dropped(tmp_path: Path, habit: str) -> None:
    async with (
        house(tmp_path, GROUP + "[sip]\nt1 = 0.02\n") as here,
        phones(("ann", 440), ("bob", 700)) as (ann, bob),
        phones(("eve", 1000), habits=Habits.named(habit)) as (eve,),
    ):
        await gather(here, (ann, bob))
        await eve.dial(here.uri("room"))
        await until(lambda: eve.call.ended)
        assert keyings(here) == {"ann": "group", "bob": "group"}
        assert_hears((await listen(ann))[0], {700}, {440, 1000})
        assert eve.reads(ann.arrived_packets) == 0


async def test_mikey_in_info_for_endpoints_with_mki(tmp_path: Path) -> None:
    psks = {name: secrets.token_bytes(16) for name in ("ann", "bob", "cyd")}
    path = tmp_path / "psks"
    path.write_text("".join(f"sip:{name}@127.0.0.1 {Secret(psk).to_base64()}\n" for name, psk in psks.items()))
    path.chmod(0o600)
    words = f'{GROUP}\n[default_room]\nstyle = "mki"\n[trust]\npsks_file = "{path}"\n'
    async with (
        house(tmp_path, words) as here,
        phones(("ann", 440), psk=Secret(psks["ann"])) as (ann,),
        phones(("bob", 700), psk=Secret(psks["bob"])) as (bob,),
        phones(("cyd", 1000), psk=Secret(psks["cyd"])) as (cyd,),
        phones(("old", 1300)) as (old,),
    ):
        await gather(here, (ann, bob, cyd))
        await old.dial(here.uri("room"))
        heard = await listen(ann, old)
        assert_hears(heard[0], {700, 1000, 1300}, {440})
        assert_hears(heard[1], {440, 700, 1000}, {1300})
        assert keyings(here)["old"] == "own"
        room = here.focus.rooms.get("room")
        assert room is not None
        told = room.driver.conductor.counts.acks
        await cyd.hang_up()
        await until(lambda: room.driver.conductor.counts.acks >= told + 2 and in_group(here, "ann", "bob"))
        before = len(ann.arrived_packets)
        assert_hears((await listen(ann))[0], {700, 1300}, {440, 1000})
        assert cyd.reads(ann.arrived_packets[before:]) == 0
        assert ann.report().streams == 1
        assert ann.report().lost == ann.report().refused == 0


async def test_without_a_kms_every_room_is_unique(tmp_path: Path) -> None:
    async with house(tmp_path, '[keys]\nkms = ""\n') as here, phones(("ann", 440), ("bob", 700)) as (ann, bob):
        await ann.dial(here.uri("room"))
        await bob.dial(here.uri("room"))
        assert_hears((await listen(ann))[0], {700}, {440})
        assert keyings(here) == {"ann": "own", "bob": "own"}
