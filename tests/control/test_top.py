"""`mrfp top`, headless."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from textual.widgets import DataTable, Static

from control import ctl, top
from control.__main__ import main
from control.client import MixerClient
from control.watch import OTHERS, Watcher
from mixer import port
from tests.control.conftest import House


def furnish(house: House) -> None:
    for name in ("room", "attic"):
        house.mixer.conferences[name] = port.ConferenceCreate(conference=name)
    for leg in ("alice", "bob"):
        house.mixer.legs[leg] = port.LegAdd(conference="room", leg=leg, clear=True)


async def test_the_live_view(house: House) -> None:
    furnish(house)
    app = top.Top(MixerClient(f"unix:{house.path}"), 3600)
    async with app.run_test(size=(140, 40)) as pilot:
        await pilot.pause()
        conferences = app.query_one("#conferences", DataTable)
        legs = app.query_one("#legs", DataTable)
        assert conferences.get_row_at(0)[:3] == ["room", "2", "alice"]
        assert [legs.get_row_at(i)[0] for i in range(legs.row_count)] == ["alice", "bob"]
        await pilot.press("down")
        await pilot.pause()
        await app.look()
        assert legs.row_count == 0
        del house.mixer.conferences["attic"]
        house.mixer.legs["carol"] = port.LegAdd(conference="room", leg="carol", clear=True)
        await app.look()
        await app.look()
        assert conferences.row_count == 1
        assert legs.row_count == 3
        await pilot.press("q")


async def test_a_mixer_that_goes_away_is_waited_for(house: House) -> None:
    furnish(house)
    app = top.Top(MixerClient(f"unix:{house.path}"), 3600)
    async with app.run_test() as pilot:
        await pilot.pause()
        await house.server.stop()
        await app.look()
        assert "trying again" in str(app.query_one("#node", Static).content)
        await house.server.listen_unix(house.path)
        await app.look()
        assert "mixing on UDP 40000" in str(app.query_one("#node", Static).content)


async def test_once(house: House, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    furnish(house)
    assert await asyncio.to_thread(main, ["top", "--once", "--socket", str(house.path)]) == 0
    out = capsys.readouterr().out
    assert "2 conferences, 2 legs" in out
    assert "alice" in out
    nowhere = ["top", "--once", "--socket", f"{tmp_path}/none"]
    assert await asyncio.to_thread(main, nowhere) == ctl.UNREACHABLE
    assert "no mixer answers" in capsys.readouterr().err


async def test_rates_are_those_since_the_last_look(house: House) -> None:
    watcher = Watcher(await house.client())
    house.mixer.frame = 100
    assert (await watcher.look()).encodes_per_tick == 0.5
    house.mixer.frame = 110
    house.mixer.extra = {"encodes": 80, "encrypts": 60}
    look = await watcher.look()
    assert (look.encodes_per_tick, look.encrypts_per_tick) == (3.0, 0.0)
    house.mixer.extra = {"boot_id": "next", "encodes": 11}
    house.mixer.frame = 11
    assert (await watcher.look()).encodes_per_tick == 1.0


async def test_many_conferences_are_looked_at_in_turn(house: House) -> None:
    names = [f"c{i}" for i in range(3 * OTHERS)]
    for name in names:
        house.mixer.conferences[name] = port.ConferenceCreate(conference=name)
    watcher = Watcher(await house.client())
    first = await watcher.look(chosen=names[-1])
    seen = [name for name, status in first.conferences.items() if status]
    assert len(seen) == OTHERS + 1
    await watcher.look()
    third = await watcher.look()
    assert all(third.conferences.values())


def test_bars() -> None:
    assert top.bar(0) == "████████"
    assert top.bar(-127) == "        "
    assert top.bar(-32) == "████    "
    assert len({top.bar(level) for level in range(-64, 1)}) == 65
