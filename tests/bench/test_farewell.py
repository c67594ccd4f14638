"""The second act of the demo: played once for real, and its judge judged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.farewell import Farewell, farewell, report
from bench.processes import daemon

GOOD = Farewell(
    members=8,
    epochs=3,
    messages=16,
    since_leave=150,
    leaver_reads=0,
    before_join=225,
    joiner_reads=0,
    control_reads=145,
    unreadable=0,
    gaps=0,
)


@pytest.mark.parametrize(
    ("what", "complaint"),
    [
        ({"leaver_reads": 1}, "who left can read"),
        ({"since_leave": 0}, "who left can read"),
        ({"joiner_reads": 1}, "who came late can read"),
        ({"before_join": 0}, "who came late can read"),
        ({"control_reads": 0}, "nothing is proved"),
        ({"unreadable": 1}, "lost packets"),
        ({"gaps": 1}, "lost packets"),
        ({"epochs": 2}, "only 2 group keys"),
    ],
)
def test_what_is_untrue_is_said(what: dict[str, int], complaint: str) -> None:
    said: list[str] = []
    (problem,) = report(replace(GOOD, **what), said.append)
    assert complaint in problem
    assert report(GOOD, said.append) == []
    assert any("reads 0 of 150" in line for line in said)


@pytest.mark.slow
async def test_it_is_true() -> None:
    async with daemon(legs=64) as mixer:
        found = await farewell(mixer)
    assert report(found, lambda line: None) == []
