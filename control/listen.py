"""Where controllers may knock, and who may come in: sockets, file modes, uids, certificates."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import stat
import struct
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

SYSTEM_SOCKET: Final = Path("/run/mrfp/control.sock")


class ListenError(Exception):
    """The control socket cannot be opened; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a connection: by the kernel's word, or by a certificate's."""

    uid: int | None = None
    """Of a Unix socket's other end; None over TLS."""
    names: frozenset[str] = frozenset()
    """In the certificate of a TLS client."""

    def __str__(self) -> str:
        return f"uid {self.uid}" if self.uid is not None else ", ".join(sorted(self.names))


@dataclass(frozen=True, slots=True)
class Identity:
    """Files (PEM) that prove who one end is, and by which authority it judges the other."""

    certificate: Path
    key: Path
    authority: Path


def default_socket(file: str = SYSTEM_SOCKET.name, variable: str = "MRFP_SOCKET") -> Path:
    """Where the control socket is unless said otherwise: `$MRFP_SOCKET`, `/run/mrfp/control.sock` for
    root, `$XDG_RUNTIME_DIR/mrfp/control.sock`, or a directory of our own among temporary files.

    Another service's socket has a `file` beside it, and a `variable` of its own."""
    chosen = os.environ.get(variable)
    if chosen:
        return Path(chosen)
    if os.geteuid() == 0:
        return SYSTEM_SOCKET.with_name(file)
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return Path(runtime, "mrfp", file)
    return Path(tempfile.gettempdir(), f"mrfp-{os.geteuid()}", file)


def find_socket() -> Path:
    """Where a mixer is most likely to answer: the default, or the system's if there is none of ours."""
    default = default_socket()
    try:
        return SYSTEM_SOCKET if not default.exists() and SYSTEM_SOCKET.exists() else default
    except OSError:  # a directory that we may not look into
        return default


def unix_socket(path: Path, *, shared: bool = False, noun: str = "mixer") -> tuple[socket.socket, Callable[[], None]]:
    """A listening Unix socket, in place of a dead one, and what removes its file again.

    Its mode is 0600, in a directory of 0700 if that has to be made. `shared` lets every user knock
    (0666, 0755), for those who may come in by `peer_uid`. `noun` is what listens, for messages.

    Raises:
        ListenError: if the path is taken, or its directory is not safe.
    """
    _prepare_directory(path.parent, 0o755 if shared else 0o700)
    _clear(path, noun)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The umask and not a chmod afterwards: the socket is never wider open than it should be.
    before = os.umask(0o111 if shared else 0o177)
    try:
        listener.bind(str(path))
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise ListenError(f"cannot listen at {path}: {error.strerror or error}") from None
    finally:
        os.umask(before)
    listener.setblocking(False)
    inode = path.stat().st_ino

    def remove() -> None:
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == inode:  # and not a successor's
                path.unlink()

    return listener, remove


def peer_uid(connection: Any) -> int:
    """The uid at the other end of a connected Unix socket (SO_PEERCRED)."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _pid, uid, _gid = struct.unpack("3i", credentials)
    return int(uid)


def server_tls(identity: Identity) -> ssl.SSLContext:
    """TLS 1.3 that asks the client for a certificate of our authority, and of no other.

    Raises:
        ListenError: if a file is missing or not PEM.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    _load(context, identity)
    return context


def client_tls(identity: Identity) -> ssl.SSLContext:
    """TLS 1.3 that shows our certificate and checks the server's name and authority.

    Raises:
        ListenError: if a file is missing or not PEM.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    _load(context, identity)
    return context


def names(certificate: Mapping[str, Any]) -> set[str]:
    """The names in a peer certificate: subject alternative names, and the common name."""
    alternative = {value for _kind, value in certificate.get("subjectAltName", ())}
    common = {value for part in certificate.get("subject", ()) for kind, value in part if kind == "commonName"}
    return alternative | common


def permitted(certificate: Mapping[str, Any] | None, allowed: Iterable[str]) -> bool:
    """True if a verified certificate carries one of the allowed names; any name if none are given."""
    allowed = set(allowed)
    return bool(certificate) and (not allowed or bool(names(certificate or {}) & allowed))


def _load(context: ssl.SSLContext, identity: Identity) -> None:
    try:
        context.load_verify_locations(identity.authority)
        context.load_cert_chain(identity.certificate, identity.key)
    except (OSError, ssl.SSLError) as error:
        files = f"{identity.authority}, {identity.certificate}, {identity.key}"
        raise ListenError(f"cannot load the TLS files ({files}): {error}") from None


def _prepare_directory(directory: Path, mode: int) -> None:
    try:
        directory.mkdir(mode=mode, parents=True, exist_ok=True)
        found = directory.stat()
    except OSError as error:
        raise ListenError(f"cannot make the directory {directory}: {error.strerror or error}") from None
    open_to_all = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not found.st_mode & stat.S_ISVTX
    if found.st_uid not in (0, os.geteuid()) or open_to_all:
        raise ListenError(f"{directory} belongs to others or is writable by them: choose another socket path")


def _clear(path: Path, noun: str) -> None:
    """Remove a socket that nobody answers at.

    Raises:
        ListenError: if somebody answers, or if it is no socket at all.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ListenError(f"{path} exists and is not a socket: remove it or choose another socket path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            return
        except OSError as error:
            raise ListenError(f"{path} is taken and does not answer: {error}") from None
    raise ListenError(f"another {noun} answers at {path}: stop it or choose another socket path")
