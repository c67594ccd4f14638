"""Callers in a real house: mixer, KMS and focus as daemons, everything at once, and nothing untrue."""

from __future__ import annotations

import asyncio
import base64
import secrets
from pathlib import Path

import pytest

from bench.callers.caller import Caller
from bench.callers.cast import Casting
from bench.callers.play import Plan, play
from bench.house import house
from control.kms import psks
from tests.bench.calling import until

GROUP = """\
[default_room]
keying = "group"
observers = "none"
[default_room.rekey]
admission = "current"
"""

pytestmark = pytest.mark.slow


async def test_a_conference_holds_under_churn_and_misbehaviour() -> None:
    kinds = ("ignores_keys", "refuses_reinvite", "late_s", "never_byes", "clear_media", "wrong_key")
    casting = Casting(callers=5, talkers=3, dtls=1, churners=6, misbehave=kinds)
    async with house(GROUP) as running:
        found = await play(
            Plan(uri=running.uri("room"), casting=casting, seconds=5, churn_per_s=2, hold=True, rekey=True)
        )
    assert found.problems == []
    assert found.churned.answered == found.churned.dialled > 0
    assert found.control_reads, "the leaver was under the group key: that it reads no more proves something"
    by_name = {row.report.name: row.report for row in found.rows}
    assert by_name["caller-04"].keys_taken > 1
    assert by_name["ignores-keys"].refused > 0, "a control: a phone that does not follow goes deaf"
    assert [by_name[f"caller-0{n}"].refused for n in range(1, 6)] == [0] * 5


async def test_members_take_keys_by_mikey(tmp_path: Path) -> None:
    file = tmp_path / "psks"
    names = ["mikey-deaf", *(f"caller-{n:02}" for n in range(1, 5)), *(f"churner-{n:02}" for n in range(1, 4))]
    file.write_text(
        "".join(f"sip:{name}@127.0.0.1 {base64.b64encode(secrets.token_bytes(16)).decode()}\n" for name in names)
    )
    file.chmod(0o600)
    tables = f'[trust]\npsks_file = "{file}"\n[default_room]\nkeying = "group"\nstyle = "mki"\n'
    casting = Casting(callers=4, talkers=2, churners=3, psks=psks.load(file), misbehave=("mikey_deaf",))
    async with house(tables) as running:
        found = await play(Plan(uri=running.uri("room"), casting=casting, seconds=4, churn_per_s=1))
    assert found.problems == []
    assert found.control_reads
    deaf = next(row.report for row in found.rows if row.report.name == "mikey-deaf")
    assert (deaf.keys_taken, deaf.refused) == (1, 0), "who acknowledges nothing is sent nothing under a group key"
    listeners = [row.report for row in found.rows if row.report.name in ("caller-03", "caller-04")]
    assert all(report.keys_taken > 2 for report in listeners)
    assert all((report.refused, report.streams) == (0, 1) for report in listeners), "one unbroken stream"


async def test_a_watcher_sees_who_comes_and_goes() -> None:
    async with house(GROUP) as running:
        alice, bob, eve = [await Caller.open(name) for name in ("alice", "bob", "eve")]
        await alice.dial(running.uri("room"))
        watcher = await eve.subscribe(running.uri("room"))
        await until(lambda: [user for user in watcher.users if "alice" in user] != [])
        assert watcher.state.startswith("active")
        await bob.dial(running.uri("room"))
        await until(lambda: len(watcher.users) == 2)
        await asyncio.gather(alice.close(), bob.close())
        await until(lambda: watcher.terminated or not watcher.users)
        assert watcher.malformed == 0
        await eve.close()


def _psk() -> str:
    return base64.b64encode(secrets.token_bytes(16)).decode()
