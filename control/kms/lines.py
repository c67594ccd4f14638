"""A file of lines that only grows, and belongs to one process: mode 0600, locked, never half a line.

A line that the last process did not finish is cut off when the file is opened: nobody was ever told
of it, because every answer follows its line. A line that cannot be written leaves nothing behind.
"""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path


class LineFileError(Exception):
    """The file cannot be used; the message says what to do."""


class LineFile:
    """One open file."""

    def __init__(self, path: Path) -> None:
        """Open it, or make it. Raises `LineFileError`.

        `cut` is how many octets of an unfinished line are gone, `last` the last line then, if there is one.
        """
        self.path = path
        try:
            self._descriptor = _opened(path)
            self.cut, self.last = self._mend()
        except OSError as error:
            raise LineFileError(f"cannot use {path}: {error.strerror or error}") from None

    def append(self, octets: bytes, *, sync: bool = False) -> None:
        """Write whole lines, all or none; `sync` waits until the disk has them. Raises OSError."""
        size = os.fstat(self._descriptor).st_size
        try:
            if os.write(self._descriptor, octets) != len(octets):
                raise OSError(f"{self.path} took only a part of a line; is the disk full?")
            if sync:
                os.fdatasync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, size)
            raise

    def replace(self, octets: bytes) -> None:
        """Have the file hold these lines instead, all or none. Raises OSError."""
        fresh = self.path.with_name(self.path.name + ".new")
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, _FLAGS | os.O_EXCL, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.write(descriptor, octets) != len(octets):
                raise OSError(f"{fresh} could not be written whole; is the disk full?")
            os.fsync(descriptor)
            fresh.replace(self.path)
            _sync_directory(self.path.parent)
        except OSError:
            os.close(descriptor)
            raise
        os.close(self._descriptor)
        self._descriptor = descriptor

    def close(self) -> None:
        """Let another process have it."""
        os.close(self._descriptor)

    def lines(self) -> list[bytes]:
        """All of it, without the newlines. Raises OSError."""
        octets = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)
        return octets.split(b"\n")[:-1]

    def _mend(self) -> tuple[int, bytes | None]:
        """Cut off what follows the last newline; returns how many octets, and the last line if there is one."""
        size = os.fstat(self._descriptor).st_size
        end = os.pread(self._descriptor, _LONGEST_LINE, max(0, size - _LONGEST_LINE))
        whole = end.rfind(b"\n") + 1
        if size > len(end) and not whole:
            os.close(self._descriptor)
            raise LineFileError(f"{self.path} does not hold lines: put it aside, and a new one is begun")
        cut = len(end) - whole
        if cut:
            os.ftruncate(self._descriptor, size - cut)
        return cut, end[: whole - 1].rpartition(b"\n")[2] if whole else None


def make_directory(path: Path) -> None:
    """A directory of ours (0700), unless it is there. Raises `LineFileError` if others may write to it."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
    except OSError as error:
        raise LineFileError(f"cannot make the directory {path}: {error.strerror or error}") from None
    if found.st_uid not in (0, os.geteuid()) or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise LineFileError(f"{path} belongs to others or is writable by them: choose another directory")


def _opened(path: Path) -> int:
    descriptor = os.open(path, _FLAGS, 0o600)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise LineFileError(f"{path} must be a plain file of our own with mode 0600")
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise LineFileError(f"another process uses {path}: stop it or choose another directory") from None
    except (OSError, LineFileError):
        os.close(descriptor)
        raise
    return descriptor


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_LONGEST_LINE = 65_536
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
