"""Settings out of TOML, for any service that has a struct of sections.

Parse, don't validate: what comes out can be used as it is. An option that nobody knows is an error
that names it, its section and the closest one that exists.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import UnionType
from typing import Any, Final, Generic, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from control import wording


class SettingsError(Exception):
    """The configuration cannot be used; the message names the file, the section and the option."""


class LogSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[log]` table. Logs go to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


S = TypeVar("S", bound=msgspec.Struct)


class TomlFile(Generic[S]):
    """Files of one kind: which sections they have, and what must be true of all together."""

    def __init__(self, kind: type[S], name: str, check: Callable[[S, str], None]) -> None:
        """`name`: what a file is called that has no name; `check` raises `SettingsError`, given where it was said."""
        self._kind, self._name, self._check = kind, name, check

    def load(self, path: Path | None, **tables: dict[str, Any]) -> S:
        """Read a file, or take all defaults if there is none, and change it by the command line as `change` does.

        What must be true of all together is asked of both together: either may have what the other lacks.

        Raises:
            SettingsError: if it cannot be read, or says something that cannot be done.
        """
        if path is None:
            return self.change(self._kind(), **tables)
        settings = _changed(self._parsed(_read(path), str(path)), tables)
        return self._checked(settings, f"{path} with the {_COMMAND_LINE}" if _said(tables) else str(path))

    def parse(self, text: str, source: str = "") -> S:
        """Settings out of TOML text; `source` is what error messages call it. Raises `SettingsError`."""
        source = source or self._name
        return self._checked(self._parsed(text, source), source)

    def change(self, settings: S, **tables: dict[str, Any]) -> S:
        """Settings with some options replaced, by table. Options that are None stay. Raises `SettingsError`."""
        return self._checked(_changed(settings, tables), _COMMAND_LINE)

    def _parsed(self, text: str, source: str) -> S:
        try:
            tables = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"{source} is not TOML: {error}") from None
        _check_names(tables, source, self._kind)
        return _convert(tables, source, self._kind)

    def _checked(self, settings: S, source: str) -> S:
        self._check(settings, source)
        return settings


def check_tls(table: str, settings: Any, source: str) -> None:
    """Raise `SettingsError` if there is a `tls_port` and a file is missing that it needs."""
    if settings.tls_port:
        for option in ("certificate", "key", "authority"):
            if not getattr(settings, option):
                raise SettingsError(f"{source}: [{table}] tls_port needs `{option}`, the path of a PEM file")


def _said(tables: dict[str, dict[str, Any]]) -> bool:
    """Whether the command line says anything."""
    return any(value is not None for options in tables.values() for value in options.values())


def _changed(settings: S, tables: dict[str, dict[str, Any]]) -> S:
    known = msgspec.to_builtins(settings)
    for table, options in tables.items():
        known[table] |= {name: value for name, value in options.items() if value is not None}
    return _convert(known, _COMMAND_LINE, type(settings))


def _read(path: Path) -> str:
    """The text of a file. Raises `SettingsError`."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not UTF-8 text") from None


def _convert(tables: dict[str, Any], source: str, kind: type[S]) -> S:
    try:
        return msgspec.convert(tables, kind)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{source}: {_place(wording.of_patterns(str(error), kind))}") from None


def _check_names(tables: dict[str, Any], source: str, kind: type[msgspec.Struct]) -> None:
    sections = {field.name: field.type for field in msgspec.structs.fields(kind)}
    for section, options in tables.items():
        if section not in sections:
            what = f"the section [{section}]" if isinstance(options, dict) else f"the option `{section}`"
            raise SettingsError(f"{source}: {what} is unknown{_hint(section, list(sections))}")
        if get_origin(sections[section]) is dict:
            for name, of_one in _table(section, options, source).items():
                _check_options(f"{section}.{name}", of_one, source, get_args(sections[section])[1])
        else:
            _check_options(section, options, source, sections[section])


def _check_options(section: str, options: object, source: str, kind: type[msgspec.Struct]) -> None:
    known = {field.name: field.type for field in msgspec.structs.fields(kind)}
    for option, value in _table(section, options, source).items():
        if option not in known:
            raise SettingsError(f"{source}: [{section}] has no option `{option}`{_hint(option, list(known))}")
        choices = _choices(known[option])
        if choices and value not in choices:
            raise SettingsError(f"{source}: [{section}] {option}: {value!r} is none of {', '.join(map(str, choices))}")


def _choices(kind: Any) -> list[object]:
    """The values that an option may have, if it is one of few."""
    if get_origin(kind) in (Union, UnionType):
        return [choice for part in get_args(kind) for choice in _choices(part)]
    return list(get_args(kind)) if get_origin(kind) is Literal else []


def _table(section: str, options: object, source: str) -> dict[str, Any]:
    if not isinstance(options, dict):
        raise SettingsError(f"{source}: `{section}` is a section: write [{section}]")
    return options


def _hint(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f": did you mean `{close[0]}`?" if close else f": there are {', '.join(known)}"


def _place(text: str) -> str:
    """`Expected ... - at `$.mixer.port`` with the place in front, as the file has it."""
    named = re.fullmatch(r"(.*) - at `key` in `\$\.(\w+)`", text)
    if named:
        return f"[{named[2]}.NAME] NAME: {named[1]}"
    found = re.fullmatch(r"(.*) - at `\$\.(\w+)(\[\.\.\.\])?(?:\.([^`]*))?`", text)
    if not found:
        return text
    table = f"{found[2]}.NAME" if found[3] else found[2]
    return f"[{table}] {found[4] or ''}: {found[1]}"


_COMMAND_LINE: Final = "command line"
