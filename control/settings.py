"""One TOML file configures all of `mrfp serve`. Part of the composition root: it sees both planes.

How a file is read, and what is said of its mistakes: `control.tomlfile`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import msgspec

from control import tomlfile
from control.listen import Identity
from control.tomlfile import LogSettings, SettingsError, TomlFile
from mixer.config import MixerConfig

__all__ = ["ControlSettings", "HttpSettings", "LogSettings", "Settings", "SettingsError", "change", "load", "parse"]

TcpPort = Annotated[int, msgspec.Meta(ge=0, le=65535)]


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


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that `mrfp serve` can be told."""

    mixer: MixerConfig = MixerConfig()
    control: ControlSettings = ControlSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()


def _check(settings: Settings, source: str) -> None:
    tomlfile.check_tls("control", settings.control, source)
    if settings.control.require_wrapped and not settings.control.kek_file:
        raise SettingsError(f"{source}: [control] require_wrapped needs `kek_file`; make one with `mrfp kek`")


_FILE: Final = TomlFile(Settings, "mrfp.toml", _check)
load, parse, change = _FILE.load, _FILE.parse, _FILE.change
"""See `TomlFile`."""
