"""Results: what one run found, whether the claim holds, and the tables of it.

Knows: numbers and Markdown. Must never know: processes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from bench.calls.heard import Heard
from bench.calls.timetable import Course, Timetable
from bench.rekey import tables
from bench.verdict import Spread

P99_LIMIT_MS: Final = 200.0


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """CPU of a process over the window."""

    core: float
    ms_per_call: float
    """All of it, divided by the INVITEs of the window."""


class SetUp(msgspec.Struct, frozen=True, kw_only=True):
    """The calls that began in the window."""

    offered: int
    answered: int
    refused: dict[str, int]
    """By status."""
    lost: int
    """INVITEs without any answer."""
    broken: int
    """Calls that came up and did not end by our BYE."""
    repeated: int
    """Requests that phones sent again."""
    again: int
    """Messages that the focus sent again."""
    rekeyed: int
    """Keys that phones took by re-INVITE, in the window."""
    invite_ms: Spread
    """From INVITE to 200."""
    bye_ms: Spread


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    rate: float
    concurrent: int
    seconds: float
    arrivals: str
    keying: str
    layout: str
    set_up: SetUp
    late_ticks: int
    """Late by more than half a tick, or skipped, in the window."""
    lateness_p99_ms: float
    """The worst of any five seconds."""
    legs: tuple[int, int]
    """On the mixer, at both ends of the window."""
    heard: Heard
    unused: dict[str, int]
    """Packets that the mixer did not use in the window, by reason."""
    kernel_drops: int
    """Datagrams for which the sockets of mixer and focus had no room."""
    cpu: dict[str, Share]
    memory_mib: dict[str, float]
    problems: list[str]
    """What the sampled callers complain of."""

    def complaints(self) -> list[str]:
        """Why the rate does not hold; none if it does."""
        set_up, heard = self.set_up, self.heard
        found = [
            (set_up.answered < set_up.offered, f"{set_up.offered - set_up.answered} calls were not answered"),
            (set_up.broken > 0, f"{set_up.broken} calls ended before their time"),
            (set_up.invite_ms.p99 >= P99_LIMIT_MS, f"set-up p99 {set_up.invite_ms.p99:g} ms"),
            (self.late_ticks > 0, f"{self.late_ticks} late ticks"),
            (heard.lost > 0, f"{heard.lost} of {heard.packets + heard.lost} packets were not heard"),
            (heard.deaf > 0, f"{heard.deaf} calls heard nearly nothing"),
            (self.kernel_drops > 0, f"the kernel dropped {self.kernel_drops} datagrams"),
        ]
        return [text for wrong, text in found if wrong] + self.problems


class Runs(msgspec.Struct, frozen=True, kw_only=True):
    """All that a command found."""

    machine: str
    day: str
    runs: list[Result]


def of_courses(table: Timetable, courses: Sequence[Course]) -> SetUp:
    """Count and time the calls that began in the window."""
    begin, end = table.window_s
    mine = [one for one in courses if begin <= table.begins_s[one.call] < end]
    return SetUp(
        offered=len(mine),
        answered=sum(one.up_ns > 0 for one in mine),
        refused={str(status): count for status, count in Counter(one.status for one in mine).items() if status >= 300},
        lost=sum(one.status == 0 for one in mine),
        broken=sum(one.up_ns > 0 and one.ended != "" for one in mine),
        repeated=sum(one.repeated for one in mine),
        again=sum(one.again for one in mine),
        rekeyed=sum(begin <= when < end for one in courses for when in one.rekeyed_s),
        invite_ms=_spread([one.up_ns - one.invited_ns for one in mine if one.up_ns]),
        bye_ms=_spread([one.over_ns - one.bye_ns for one in mine if one.over_ns]),
    )


def _spread(times_ns: Sequence[int]) -> Spread:
    if not times_ns:
        return Spread(0.0, 0.0, 0.0)
    return Spread(*(round(float(ns) / 1e6, 1) for ns in np.percentile(times_ns, (50, 99, 100))))


def report(found: Runs) -> str:
    """Markdown: where and when, and one row a run."""
    return f"{found.day}; {found.machine}.\n\n{tables.table(_HEADS, [_row(one) for one in found.runs], _ALIGN)}"


def _row(one: Result) -> list[str]:
    set_up, cpu, memory = one.set_up, one.cpu, one.memory_mib
    names = ("focus", "kms", "mixer")
    return [
        f"{one.rate:g} ({one.arrivals})",
        f"{min(one.legs)} to {max(one.legs)}",
        one.keying + (f", {set_up.rekeyed / one.seconds:.0f} re-INVITEs/s" if set_up.rekeyed else ""),
        one.layout,
        f"{set_up.offered} / {set_up.answered}",
        f"{set_up.repeated}, {set_up.again}",
        f"{set_up.invite_ms.p50:g} / {set_up.invite_ms.p99:g} / {set_up.invite_ms.max:g}",
        f"{set_up.bye_ms.p99:g}",
        f"{one.late_ticks}, {one.lateness_p99_ms:g}",
        f"{one.heard.packets}, {one.heard.lost}",
        ", ".join(f"{cpu[name].core:.0%}" for name in names),
        f"{cpu['focus'].ms_per_call:g}",
        ", ".join(f"{memory[name]:.0f}" for name in names),
        "; ".join(one.complaints()) or "holds",
    ]


_HEADS: Final = (
    "INVITEs a second",
    "calls up",
    "keys",
    "cores",
    "offered / answered",
    "sent again: phones, focus",
    "set-up p50 / p99 / max, ms",
    "BYE p99, ms",
    "late ticks, p99 ms",
    "packets heard, lost",
    "CPU of a core: focus, KMS, mixer",
    "focus, ms a call",
    "MiB: focus, KMS, mixer",
    "",
)
_ALIGN: Final = "rrllrrrrrrrrrl"
