"""The ledger on disk: fingerprints of all keys sent under, appended one by one.

    "mrfp key ledger 1\\n"   salt, 32 octets   fingerprint, 16 octets   fingerprint ...

It is written without waiting for the disk: what a killed process has written, the kernel keeps; only a
machine that loses power may lose the last keys, and then the fresh SSRCs of the new life stand between.
Mixers of one machine may share a file: each appends whole fingerprints under a lock, and reads all at its start.
A torn end (a full disk) is cut off.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path
from typing import Final

from mixer.ledger import FINGERPRINT, SALT, KeyLedger, LedgerError

NAME: Final = "keys.ledger"
MAGIC: Final = b"mrfp key ledger 1\n"


def default_path() -> Path:
    """Where the ledger is unless said otherwise."""
    state = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if state:
        return Path(state, NAME)
    if os.geteuid() == 0:
        return Path("/var/lib/mrfp", NAME)
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state", "mrfp", NAME)


def open_ledger(path: Path) -> KeyLedger:
    """The ledger kept in a file (0600), which is made if there is none.

    Raises:
        LedgerError: it can't be read or written, or is no ledger.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        content = _begin(file)
    except OSError as error:
        raise LedgerError(f"cannot use the key ledger {path}: {error.strerror or error}") from None
    head = len(MAGIC) + SALT
    if not content.startswith(MAGIC) or len(content) < head:
        os.close(file)
        raise LedgerError(f"{path} is not a key ledger; move it away, and push only fresh keys")
    body = content[head:]
    seen = [body[at : at + FINGERPRINT] for at in range(0, len(body), FINGERPRINT)]
    return KeyLedger(content[len(MAGIC) : head], seen, _Appender(file, path).append)


def _begin(file: int) -> bytes:
    """What a file holds, after it was begun, or what was torn cut off. One mixer at a time."""
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        content = _read(file)
        if not content:
            content = MAGIC + secrets.token_bytes(SALT)
            os.write(file, content)
        torn = max(0, len(content) - len(MAGIC) - SALT) % FINGERPRINT
        if torn and content.startswith(MAGIC):
            content = content[:-torn]
            os.ftruncate(file, len(content))
        return content
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


class _Appender:
    """Writes fingerprints to the end of a file."""

    def __init__(self, file: int, path: Path) -> None:
        self._file, self._path = file, path

    def append(self, fingerprint: bytes) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            written = os.write(self._file, fingerprint)
            if written != len(fingerprint):
                os.ftruncate(self._file, os.fstat(self._file).st_size - written)
                raise LedgerError(f"the disk of the key ledger {self._path} is full")
        except LedgerError:
            raise
        except OSError as error:
            raise LedgerError(f"cannot write the key ledger {self._path}: {error.strerror or error}") from None
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def __del__(self) -> None:
        os.close(self._file)


def _read(file: int) -> bytes:
    with os.fdopen(os.dup(file), "rb") as stream:
        stream.seek(0)
        return stream.read()
