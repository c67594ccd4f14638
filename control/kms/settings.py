"""One TOML file configures all of `mrfp kms`. Every option has a default that works on one machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final

import msgspec

from control import tomlfile
from control.kms import callers
from control.kms.limits import Rate
from control.kms.registry import Bounds
from control.listen import Identity, default_socket
from control.tomlfile import LogSettings, SettingsError, TomlFile

__all__ = ["KmsSettings", "SettingsError", "change", "load", "parse"]

TcpPort = Annotated[int, msgspec.Meta(ge=0, le=65535)]
PerS = Annotated[float, msgspec.Meta(gt=0, le=1e6)]
Burst = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class ListenSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[listen]` table: where clients knock."""

    socket: str = ""
    """Path of the Unix socket; empty for `kms.sock` beside the mixer's control socket. `$MRFP_KMS_SOCKET` changes
    that default."""
    tls_host: str = "0.0.0.0"
    """Address for clients on other machines. Used only with `tls_port`."""
    tls_port: TcpPort = 0
    """TCP port for mutual TLS 1.3; 0 for none."""
    certificate: str = ""
    """PEM file with the certificate (chain) of this KMS."""
    key: str = ""
    """PEM file with its private key."""
    authority: str = ""
    """PEM file with the authority that signs conference systems and members. No other is trusted."""
    clients: Annotated[int, msgspec.Meta(ge=1, le=16384)] = 1024
    """Clients that may be connected at a time."""
    per_peer: Annotated[int, msgspec.Meta(ge=1, le=16384)] = 16
    """Connections of one client: no member can keep the conference systems out."""
    stall_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 30.0
    """A client that reads nothing for so many seconds is disconnected."""

    def identity(self) -> Identity:
        """The TLS files."""
        return Identity(Path(self.certificate), Path(self.key), Path(self.authority))

    def path(self) -> Path:
        """The Unix socket."""
        return Path(self.socket) if self.socket else default_socket("kms.sock", "MRFP_KMS_SOCKET")


class RoleSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[roles]` table: who is what. An identity is a name in a certificate (SAN or CN), or `uid:N`."""

    systems: tuple[str, ...] | None = None
    """Identities of conference systems. The daemon's own user and root if omitted: nobody over TLS."""
    auditors: tuple[str, ...] | None = None
    """Identities that may read the audit. The daemon's own user and root if omitted."""
    member_uids: tuple[int, ...] = ()
    """Other users who may reach the Unix socket, to fetch keys as members `uid:N`. Over TLS, whoever has a
    certificate of the authority may come and be a member of something."""

    def identities(self) -> tuple[frozenset[str], frozenset[str]]:
        """Conference systems and auditors."""
        ours = frozenset(map(callers.of_uid, (0, os.geteuid())))
        return (
            ours if self.systems is None else frozenset(self.systems),
            ours if self.auditors is None else frozenset(self.auditors),
        )

    def uids(self) -> set[int]:
        """Who may connect to the Unix socket: all that are named anywhere, and always our own user and root."""
        systems, auditors = self.identities()
        return {0, os.geteuid(), *self.member_uids, *callers.uids_in(systems | auditors)}


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[limits]` table: how often, and how much."""

    system_per_s: PerS = 500.0
    """Requests a second of each conference system, over time."""
    system_burst: Burst = 5000
    """And so many at once: the start of a large conference."""
    member_per_s: PerS = 5.0
    """Requests a second of each other client."""
    member_burst: Burst = 20
    conference_per_s: PerS = 50.0
    """Epochs a second of each conference, all its cohorts together."""
    conference_burst: Burst = 200
    conferences: Count = 4096
    """Registered at a time."""
    members: Count = 65_536
    """Of one conference."""
    cohorts: Count = 1024
    """Of one conference."""
    lifetime_s: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 600.0
    """A key is wiped so many seconds after it was made."""

    def rates(self) -> tuple[Rate, Rate, Rate]:
        """Of conference systems, of other clients, of the epochs of a conference."""
        return (
            Rate(self.system_per_s, self.system_burst),
            Rate(self.member_per_s, self.member_burst),
            Rate(self.conference_per_s, self.conference_burst),
        )

    def bounds(self) -> Bounds:
        """How much there may be."""
        return Bounds(self.conferences, self.members, self.cohorts, self.lifetime_s)


class StateSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[state]` table: what is on disk. No key is."""

    directory: str = ""
    """Where the files are; empty for `$STATE_DIRECTORY` (systemd), `/var/lib/mrfp-kms` for root, and else
    `$XDG_STATE_HOME/mrfp-kms` or `~/.local/state/mrfp-kms`."""
    audit: str = ""
    """Path of the audit file; empty for `audit.log` in the directory."""

    def directory_path(self) -> Path:
        """Where the highest epochs are kept, and the audit unless it is elsewhere."""
        if self.directory:
            return Path(self.directory)
        given = os.environ.get("STATE_DIRECTORY")
        if given:
            return Path(given.partition(":")[0])
        if os.geteuid() == 0:
            return Path("/var/lib/mrfp-kms")
        home = os.environ.get("XDG_STATE_HOME")
        return Path(home, "mrfp-kms") if home else Path.home() / ".local" / "state" / "mrfp-kms"

    def audit_path(self) -> Path:
        """The audit file."""
        return Path(self.audit) if self.audit else self.directory_path() / "audit.log"


class MikeySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[mikey]` table: MIKEY-TICKET (RFC 6043) with keys shared beforehand."""

    psks: str = ""
    """Path of a file (mode 0600) with one `identity base64-key` a line; empty for no MIKEY-TICKET."""


class KmsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that `mrfp kms` can be told."""

    listen: ListenSettings = ListenSettings()
    roles: RoleSettings = RoleSettings()
    limits: LimitSettings = LimitSettings()
    state: StateSettings = StateSettings()
    mikey: MikeySettings = MikeySettings()
    log: LogSettings = LogSettings()


def _check(settings: KmsSettings, source: str) -> None:
    tomlfile.check_tls("listen", settings.listen, source)
    try:
        settings.roles.uids()
    except ValueError:
        text = f"{source}: [roles] an identity that begins with `uid:` goes on with a number, as in `uid:1000`"
        raise SettingsError(text) from None


_FILE: Final = TomlFile(KmsSettings, "kms.toml", _check)
load, parse, change = _FILE.load, _FILE.parse, _FILE.change
"""See `TomlFile`."""
