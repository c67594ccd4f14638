"""One TOML file configures all of `mrfp serve`. Part of the composition root: it sees both planes.

Parse, don't validate: what comes out of `load` can be used as it is. An option that nobody knows is
an error that names it, its section and the closest one that exists.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from control.listen import Identity
from mixer.config import MixerConfig

TcpPort = Annotated[int, msgspec.Meta(ge=0, le=65535)]


class SettingsError(Exception):
    """The configuration cannot be used; the message names the file, the section and the option."""


class ControlSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[control]` table: who may tell the mixer what to do, and where."""

    socket: str = ""
    """Path of the Unix socket; empty for `/run/mrfp/control.sock` as root, and else
    `$XDG_RUNTIME_DIR/mrfp/control.sock`. `$MRFP_SOCKET` changes that default."""
    allowed_uids: tuple[int, ...] | None = None
    """Who may connect to the Unix socket; the daemon's own user and root if omitted. If others are
    listed, every user can reach the socket (mode 0666) and the kernel's word decides who may speak."""
    tls_host: str = "0.0.0.0"
    """Address for controllers on other machines. Used only with `tls_port`."""
    tls_port: TcpPort = 0
    """TCP port for mutual TLS 1.3; 0 for none."""
    certificate: str = ""
    """PEM file with the certificate (chain) of this mixer."""
    key: str = ""
    """PEM file with its private key."""
    authority: str = ""
    """PEM file with the authority that signs controllers. No other is trusted."""
    allowed_names: tuple[str, ...] = ()
    """Names (SAN or CN) of controllers; any certificate of the authority if empty."""
    clients: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 64
    """Controllers that may be connected at a time."""
    stall_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 30.0
    """A controller that reads nothing for so many seconds is disconnected."""
    kek_file: str = ""
    """File with the key-encryption keys under which controllers may wrap the keys they push; made by `mrfp kek`,
    and readable by its owner only. Read at start."""
    require_wrapped: bool = False
    """Refuse keys that are not wrapped, on every socket. Needs `kek_file`."""

    def identity(self) -> Identity:
        """The TLS files."""
        return Identity(Path(self.certificate), Path(self.key), Path(self.authority))


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[http]` table: `/metrics` and `/healthz`. They tell no secrets, and ask for none either."""

    host: str = "127.0.0.1"
    port: TcpPort = 0
    """0 for none."""


class LogSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[log]` table. Logs go to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that `mrfp serve` can be told."""

    mixer: MixerConfig = MixerConfig()
    control: ControlSettings = ControlSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()


def load(path: Path | None) -> Settings:
    """Read a file; all defaults if there is none.

    Raises:
        SettingsError: if it cannot be read, or says something that cannot be done.
    """
    if path is None:
        return Settings()
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not UTF-8 text") from None


def parse(text: str, source: str = "mrfp.toml") -> Settings:
    """Settings out of TOML text; `source` is what error messages call it. Raises `SettingsError`."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{source} is not TOML: {error}") from None
    _check_names(tables, source)
    try:
        settings = msgspec.convert(tables, Settings)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{source}: {_place(str(error))}") from None
    _check_tls(settings.control, source)
    _check_keks(settings.control, source)
    return settings


def change(settings: Settings, **tables: dict[str, Any]) -> Settings:
    """Settings with some options replaced, by table. Options that are None stay.

    Raises:
        SettingsError: if the result cannot be used.
    """
    known = msgspec.to_builtins(settings)
    for table, options in tables.items():
        known[table] |= {name: value for name, value in options.items() if value is not None}
    try:
        changed = msgspec.convert(known, Settings)
    except msgspec.ValidationError as error:
        raise SettingsError(f"command line: {_place(str(error))}") from None
    _check_tls(changed.control, "command line")
    _check_keks(changed.control, "command line")
    return changed


def _check_names(tables: dict[str, Any], source: str) -> None:
    sections = {field.name: field.type for field in msgspec.structs.fields(Settings)}
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


def _check_tls(control: ControlSettings, source: str) -> None:
    if control.tls_port:
        for option in ("certificate", "key", "authority"):
            if not getattr(control, option):
                raise SettingsError(f"{source}: [control] tls_port needs `{option}`, the path of a PEM file")


def _check_keks(control: ControlSettings, source: str) -> None:
    if control.require_wrapped and not control.kek_file:
        raise SettingsError(f"{source}: [control] require_wrapped needs `kek_file`; make one with `mrfp kek`")


def _hint(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f": did you mean `{close[0]}`?" if close else f": there are {', '.join(known)}"


def _place(text: str) -> str:
    """`Expected ... - at `$.mixer.port`` with the place in front, as the file has it."""
    found = re.fullmatch(r"(.*) - at `\$\.(\w+)(?:\.([^`]*))?`", text)
    return f"[{found[2]}] {found[3] or ''}: {found[1]}" if found else text
