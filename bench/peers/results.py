"""What was found of each mixer at each size, and the table of docs/benchmarks.md."""

from __future__ import annotations

from typing import Final

import msgspec

from bench.rekey import tables
from bench.verdict import Verdict

_LATE_MS: Final = 20.0
"""A 99th percentile of lateness beyond a packet's length is a stutter."""

_LOST: Final = 0.001
_BUSY_MS: Final = 10.0


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One mixer at one size."""

    mixer: str
    media: str
    codec: str
    quiet: str
    legs: int
    cpu_us: float
    """Of the mixer, all threads, microseconds a leg and 20 ms."""
    cores: float
    """The same as a share of a core."""
    rss_mib: float
    other_cores: float
    """What other programs used meanwhile."""
    verdict: Verdict

    @property
    def legs_a_core(self) -> int:
        """How many would fill one core at this cost."""
        return int(20_000 / self.cpu_us) if self.cpu_us else 0

    def faults(self) -> list[str]:
        """Why the mixer does not hold this size; empty if it does."""
        found = list(self.verdict.problems[:1])
        share = self.verdict.lost / max(1, self.verdict.lost + self.verdict.received)
        if share > _LOST:
            found.append(f"{share:.1%} was not heard")
        if self.verdict.arrival_ms.p99 > _LATE_MS:
            found.append(f"a hundredth comes over {self.verdict.arrival_ms.p99:.0f} ms late")
        if self.verdict.auth_failures:
            found.append(f"{self.verdict.auth_failures} packets were not authentic")
        if found and self.verdict.late_ms.p99 > _BUSY_MS:
            found.append("the generator itself was late")
        return found


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """All rows, and the machine."""

    machine: str
    day: str
    rows: list[Row]


UNEQUAL: Final = (
    "Not equal: Janus has no SRTP for plain RTP participants, so its legs are in clear, while every packet of ours is "
    "authenticated and encrypted but where the table says so. Janus mixes everybody and encodes for each listener, on "
    "a thread a participant; ours mixes the loudest and encodes once for all who listen, on one thread. Both are "
    "confined to one core but where the table says so, and CPU is of all threads. Janus's queue was set to two packets "
    "instead of six, and its Opus encoder to our bitrate and complexity."
)
"""What a reader must know before comparing."""


def best(rows: list[Row], codec: str, mixer: str, media: str = "") -> Row | None:
    """The largest size that a mixer holds."""
    mine = [row for row in rows if (row.codec, row.mixer) == (codec, mixer) and row.media.startswith(media)]
    held = [row for row in mine if not row.faults()]
    return max(held, key=lambda row: row.legs, default=None)


def ratios(rows: list[Row]) -> list[str]:
    """For each codec and way of keying, how many times Janus's legs a core ours holds."""
    lines = []
    for codec in dict.fromkeys(row.codec for row in rows):
        theirs = best(rows, codec, "Janus")
        for media in dict.fromkeys(row.media for row in rows if row.mixer == "mrfp" and row.codec == codec):
            ours = best(rows, codec, "mrfp", media)
            if ours and theirs:
                lines.append(
                    f"- {codec}: {ours.legs_a_core} legs a core in mrfp ({media}), {theirs.legs_a_core} in Janus: "
                    f"**{ours.legs_a_core / theirs.legs_a_core:.1f} times**; largest size held {ours.legs} and "
                    f"{theirs.legs}."
                )
    return lines


def report(found: Found) -> str:
    """Markdown: where and when, a row a run, the quotients, and what is not equal."""
    parts = [f"{found.day}; {found.machine}.", tables.table(_HEADS, map(_row, found.rows), _ALIGN)]
    busy = max((row.other_cores for row in found.rows), default=0.0)
    if busy > 0.25:
        parts.append(f"Other programs used up to {busy} cores meanwhile: the numbers are too high.")
    return "\n\n".join([*parts, "\n".join(ratios(found.rows)), UNEQUAL])


def _row(row: Row) -> list[str]:
    v = row.verdict
    return [
        row.mixer,
        row.media,
        f"{row.codec} ({row.quiet})",
        str(row.legs),
        f"{row.cpu_us:g}",
        f"{row.cores:.0%}",
        str(row.legs_a_core),
        f"{v.arrival_ms.p50:g} / {v.arrival_ms.p99:g} / {v.arrival_ms.max:g}",
        f"{v.mouth_to_ear_ms.p50:g} / {v.mouth_to_ear_ms.p99:g}",
        f"{v.heard_db:g}, {v.self_db:g}, {v.rest_db:g}",
        f"{v.received}, {v.lost}",
        f"{v.octets:g}",
        f"{row.rss_mib:.0f}",
        "; ".join(row.faults()) or "holds",
    ]


_HEADS: Final = (
    "mixer",
    "media",
    "codec (quiet legs send)",
    "legs",
    "us a leg and tick",
    "of a core",
    "legs a core",
    "late p50 / p99 / max, ms",
    "mouth to ear p50 / p99, ms",
    "others, self, rest, dB",
    "packets heard, lost",
    "octets a packet",
    "MiB",
    "",
)
_ALIGN: Final = "lllrrrrrrrrrrl"
