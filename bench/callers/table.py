"""The table of a run: one line a call. Knows how to print; must never know how figures came about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bench.callers.report import CallReport
from bench.content import HEARD_LIMIT_DB

_TITLES: Final = ("caller", "set up", "audio", "keys", "packets", "refused", "lost", "gap", "hears", "self", "ended")
_WIDTHS: Final = (16, 10, 10, 6, 9, 9, 6, 8, 8, 7, 0)


@dataclass(frozen=True)
class Row:
    """One call."""

    report: CallReport
    levels: dict[str, float]
    """Each talker's level, dB against what it said."""

    @property
    def self_db(self) -> float | None:
        """How far down it hears itself."""
        return self.levels.get(self.report.name)

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        return self.report.as_json() | {"levels_db": self.levels, "self_db": self.self_db}

    def cells(self) -> Sequence[str]:
        """For the table."""
        found, others = self.report, [level for name, level in self.levels.items() if name != self.report.name]
        heard = sum(level >= HEARD_LIMIT_DB for level in others)
        return (
            found.name,
            f"{found.set_up_ms:.0f} ms" if found.set_up_ms else "-",
            f"{found.first_audio_ms:.0f} ms" if found.first_audio_ms else "-",
            str(found.keys_taken),
            str(found.packets),
            str(found.refused),
            str(found.lost),
            f"{found.longest_gap_ms:.0f} ms",
            f"{heard} of {len(others)}" if others else "-",
            f"{self.self_db:.0f}" if self.self_db is not None else "-",
            found.ended or "in call",
        )


def lines(rows: Iterable[Row]) -> list[str]:
    """The table."""
    return [_line(_TITLES), *(_line(row.cells()) for row in rows)]


def _line(cells: Sequence[str]) -> str:
    return "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, _WIDTHS, strict=True)).rstrip()
