"""One run: three daemons, the phones of a timetable and their media, and what the window shows.

Knows: which process says what when. Must never know: what is printed of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from bench.calls.heard import Heard
from bench.calls.results import Result, SetUp, Share, of_courses
from bench.calls.sample import Sample, sample
from bench.calls.stack import Keying, Layout, stack
from bench.calls.timetable import Course, Timetable
from bench.house import House
from bench.processes import GENERATOR_CORE, NICE, Child, child, drops
from control.messages import NodeStatus

_HEAD_S: Final = 0.3
"""From `go` to the beginning."""
_LOOK_S: Final = 4.0
"""The mixer remembers its lateness for five seconds."""


@dataclass
class _Window:
    """The edges of the window that counts, and what was seen between them."""

    cpu_ns: dict[str, int]
    mixer: NodeStatus
    kernel_drops: int
    begin_s: float = field(default_factory=time.monotonic)
    lateness_ms: float = 0.0


async def measure(table: Timetable, keying: Keying, layout: Layout) -> Result:
    """Play one timetable.

    Raises:
        BenchError: if a process fails.
    """
    async with AsyncExitStack() as opened:
        begin = opened.enter_async_context
        media = await begin(child("media", GENERATOR_CORE, "-m", "bench.calls.media"))
        # Whoever measures the time of an answer comes before those who make packets by the thousand.
        dialler = await begin(child("dialler", GENERATOR_CORE, "-m", "bench.calls.dialler", nice=NICE - 2))
        said = msgspec.json.encode(table).decode()
        media.tell(said)
        dialler.tell(said)
        heard_at = int(await media.expect("ready", 120 + table.slots * table.ticks / 20_000))
        await dialler.expect("ready", 60)
        measured = await begin(stack(keying, layout, legs=max(2048, 2 * table.slots)))
        opened.enter_context(_aside())
        callers = await begin(sample(measured.address))
        course = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="mrfp-courses-"))) / "courses.json"
        run = _Run(table, measured, media, dialler, callers)
        return await run.play(heard_at, course, keying, layout)


@dataclass
class _Run:
    """All who take part."""

    table: Timetable
    stack: House
    media: Child
    dialler: Child
    sample: Sample

    async def play(self, heard_at: int, file: Path, keying: Keying, layout: Layout) -> Result:
        begin_s = time.monotonic() + _HEAD_S
        begin_ns = round(begin_s * 1e9)
        host, number = self.stack.address
        self.media.tell(f"go {self.stack.mixer.port} {begin_ns}")
        self.dialler.tell(f"go {host} {number} {heard_at} {begin_ns} {file}")
        first, last = (begin_s + edge for edge in self.table.window_s)
        await asyncio.sleep(first - time.monotonic())
        self.sample.begin()
        before = await self._look()
        await self._watch(before, last)
        after = await self._look()
        memory = {name: round(one.rss_kib() / 1024, 1) for name, one in self.stack.children.items()}
        problems = self.sample.problems()
        await self.dialler.expect("done", 60)
        await self.media.expect("done", 60)
        self.media.tell(f"judge {file}")
        heard = msgspec.json.decode(await self.media.line(300), type=Heard)
        set_up = of_courses(self.table, _courses(file))
        return _result(self.table, keying, layout, set_up, (before, after), heard, memory, problems)

    async def _look(self) -> _Window:
        cpu = {name: one.cpu_ns() for name, one in self.stack.children.items()}
        cpu["phones"] = self.dialler.cpu_ns() + self.media.cpu_ns()
        return _Window(
            cpu, await self.stack.mixer.client.node_info(), drops({self.stack.mixer.port, self.stack.address[1]})
        )

    async def _watch(self, window: _Window, until_s: float) -> None:
        while (rest := until_s - time.monotonic()) > 0:
            await asyncio.sleep(min(rest, _LOOK_S))
            status = await self.stack.mixer.client.node_info()
            window.lateness_ms = max(window.lateness_ms, status.lateness_ms.p99)


def _result(
    table: Timetable,
    keying: Keying,
    layout: Layout,
    set_up: SetUp,
    edges: tuple[_Window, _Window],
    heard: Heard,
    memory: dict[str, float],
    problems: list[str],
) -> Result:
    before, after = edges
    was, now = before.mixer, after.mixer
    return Result(
        rate=table.rate,
        concurrent=table.concurrent,
        seconds=round(after.begin_s - before.begin_s, 1),
        arrivals=table.arrivals,
        keying=keying,
        layout=layout,
        set_up=set_up,
        late_ticks=now.late_ticks - was.late_ticks + now.skipped_ticks - was.skipped_ticks,
        lateness_p99_ms=round(before.lateness_ms, 2),
        legs=(was.legs, now.legs),
        heard=heard,
        unused={name: more for name, count in now.drops.items() if (more := count - was.drops.get(name, 0))},
        kernel_drops=after.kernel_drops - before.kernel_drops,
        cpu={name: _share(ns - before.cpu_ns[name], before, after, set_up) for name, ns in after.cpu_ns.items()},
        memory_mib=memory,
        problems=problems,
    )


def _share(used_ns: int, before: _Window, after: _Window, set_up: SetUp) -> Share:
    core = used_ns / 1e9 / (after.begin_s - before.begin_s)
    return Share(core=round(core, 3), ms_per_call=round(used_ns / 1e6 / max(1, set_up.offered), 2))


def _courses(file: Path) -> list[Course]:
    return msgspec.json.decode(file.read_bytes(), type=list[Course])


@contextlib.contextmanager
def _aside() -> Iterator[None]:
    """We are one of the callers: on the generator's core, while it lasts."""
    cores = os.sched_getaffinity(0)
    if len(cores) > 1:
        os.sched_setaffinity(0, {sorted(cores)[GENERATOR_CORE]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
