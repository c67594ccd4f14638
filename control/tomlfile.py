"""Settings out of TOML, for any service that has a struct of sections.

Parse, don't validate: what comes out can be used as it is. An option that nobody knows is an error
that names it, its section and the closest one that exists.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec


class SettingsError(Exception):
    """The configuration cannot be used; the message names the file, the section and the option."""


class LogSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[log]` table. Logs go to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


S = TypeVar("S", bound=msgspec.Struct)


def read(path: Path) -> str:
    """The text of a file. Raises `SettingsError`."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not UTF-8 text") from None


def parse(text: str, source: str, kind: type[S]) -> S:
    """Settings out of TOML text; `source` is what error messages call it. Raises `SettingsError`."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{source} is not TOML: {error}") from None
    _check_names(tables, source, kind)
    return _convert(tables, source, kind)


def change(settings: S, tables: dict[str, dict[str, Any]], source: str) -> S:
    """Settings with some options replaced, by table. Options that are None stay.

    Raises:
        SettingsError: if the result cannot be used.
    """
    known = msgspec.to_builtins(settings)
    for table, options in tables.items():
        known[table] |= {name: value for name, value in options.items() if value is not None}
    return _convert(known, source, type(settings))


def check_tls(table: str, settings: Any, source: str) -> None:
    """Raise `SettingsError` if there is a `tls_port` and a file is missing that it needs."""
    if settings.tls_port:
        for option in ("certificate", "key", "authority"):
            if not getattr(settings, option):
                raise SettingsError(f"{source}: [{table}] tls_port needs `{option}`, the path of a PEM file")


def _convert(tables: dict[str, Any], source: str, kind: type[S]) -> S:
    try:
        return msgspec.convert(tables, kind)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{source}: {_place(str(error))}") from None


def _check_names(tables: dict[str, Any], source: str, kind: type[msgspec.Struct]) -> None:
    sections = {field.name: field.type for field in msgspec.structs.fields(kind)}
    for section, options in tables.items():
        if section not in sections:
            what = f"the section [{section}]" if isinstance(options, dict) else f"the option `{section}`"
            raise SettingsError(f"{source}: {what} is unknown{_hint(section, list(sections))}")
        if not isinstance(options, dict):
            raise SettingsError(f"{source}: `{section}` is a section: write [{section}]")
        known = list(sections[section].__struct_fields__)
        for option in options:
            if option not in known:
                text = f"{source}: [{section}] has no option `{option}`{_hint(option, known)}"
                raise SettingsError(text)


def _hint(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f": did you mean `{close[0]}`?" if close else f": there are {', '.join(known)}"


def _place(text: str) -> str:
    """`Expected ... - at `$.mixer.port`` with the place in front, as the file has it."""
    found = re.fullmatch(r"(.*) - at `\$\.(\w+)(?:\.([^`]*))?`", text)
    return f"[{found[2]}] {found[3] or ''}: {found[1]}" if found else text
