"""Values for people: aligned names and numbers, and tables that fit a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from mixer import port

COLUMNS: Final[dict[type, tuple[str, ...]]] = {
    port.LegStatus: (
        "leg",
        "codec",
        "direction",
        "keying",
        "epoch",
        "address",
        "talking",
        "muted",
        "level_dbov",
        "delay_ms",
        "lost",
        "jitter_ms",
        "rtt_ms",
        "auth_failures",
    ),
}
"""What a row shows, where all of it would be too much."""


def render(value: msgspec.Struct) -> str:
    """A reply as text: its plain fields aligned, its lists of structs as tables below."""
    plain: list[tuple[str, str]] = []
    below: list[str] = []
    for name in value.__struct_fields__:
        held = getattr(value, name)
        if isinstance(held, list | tuple) and held and isinstance(held[0], msgspec.Struct):
            below.append(f"\n{name}\n{_nested(held)}")
        elif isinstance(held, msgspec.Struct):
            plain += [(f"{name}.{inner}", cell(getattr(held, inner))) for inner in held.__struct_fields__]
        elif isinstance(held, dict):
            plain += [(f"{name}.{inner}", cell(number)) for inner, number in held.items()]
        else:
            plain.append((name, cell(held)))
    width = max((len(name) for name, _ in plain), default=0)
    lines = [f"{name:<{width}}  {text}".rstrip() for name, text in plain]
    return "\n".join(lines + below)


def table(rows: Sequence[msgspec.Struct]) -> str:
    """Structs of one kind as a table with a head."""
    if not rows:
        return "none"
    names = COLUMNS.get(type(rows[0]), rows[0].__struct_fields__)
    return grid(names, ([cell(getattr(row, name)) for name in names] for row in rows))


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells in columns as wide as their widest cell."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def cell(value: Any) -> str:
    """One value in few letters."""
    if value is None or value == "" or value == [] or value == ():
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.1f}" if abs(value) >= 0.1 or value == 0 else f"{value:.3g}"
    if isinstance(value, list | tuple):
        return ", ".join(cell(part) for part in value)
    return str(value)


def _nested(rows: Sequence[msgspec.Struct]) -> str:
    """A table, or one block a row where rows hold tables of their own."""
    first = rows[0]
    deep = any(
        isinstance(part, list) and any(isinstance(item, msgspec.Struct) for item in part)
        for row in rows
        for part in (getattr(row, name) for name in first.__struct_fields__)
    )
    return "\n\n".join(render(row) for row in rows) if deep else table(rows)
