"""Markdown: tables, and pages with parts that programs write.

Knows: pipes and markers. Must never know: what the numbers mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.processes import BenchError


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], align: str) -> str:
    """A table. `align`: one of l, r, c for each column."""
    rule = {"l": "---", "r": "--:", "c": ":-:"}
    lines = [f"| {' | '.join(heads)} |", f"|{'|'.join(rule[one] for one in align)}|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines)


def fill(page: str, name: str, text: str) -> str:
    """The page with `text` between the markers of that name.

    Raises:
        BenchError: if it has no such markers.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found, rest = page.partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise BenchError(f"the page has lost its markers {begin} and {end}")
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"


def number(value: float) -> str:
    """A count, short enough to read."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= 10 * size or (abs(value) >= size and unit != " k"):
            return f"{value / size:.3g}{unit}"
    return f"{value:,.0f}"


def seconds(value: float) -> str:
    """A time, short enough to read."""
    if value == 0:
        return "0"
    if value < 1:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"
