"""A folder: files by the names that controllers give, and never one outside.

Each part of a path is opened below the one before it, and no link is followed: neither `..` nor a link leads
out, nor does one that is made while we look. What is not a plain file is not touched.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
PLAIN: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Without waiting: opening a pipe that nobody writes to would take for ever."""


class FolderError(Exception):
    """A file cannot be had; the message says why, and names no path but the one that was asked for."""


class Folder:
    """The files below one directory."""

    def __init__(self, root: str, option: str) -> None:
        """`root`: empty for none. `option`: where an operator chooses it, for messages."""
        self._root, self._option = root, option

    def open(self, name: str) -> int:
        """Open a plain file to read; returns its descriptor. Raises `FolderError`."""
        with self._parent(name) as (directory, leaf):
            found = os.open(leaf, os.O_RDONLY | PLAIN, dir_fd=directory)
        if not stat.S_ISREG(os.fstat(found).st_mode):
            os.close(found)
            raise FolderError(f"{name!r} is not a plain file")
        return found

    def create(self, name: str) -> int:
        """Make a file that was not there, for its owner only; returns its descriptor. Raises `FolderError`."""
        with self._parent(name) as (directory, leaf):
            return os.open(leaf, os.O_RDWR | os.O_CREAT | os.O_EXCL | PLAIN, 0o600, dir_fd=directory)

    def remove(self, name: str) -> None:
        """Take away a file that `create` made. Raises `FolderError`."""
        with self._parent(name) as (directory, leaf):
            os.unlink(leaf, dir_fd=directory)

    @contextmanager
    def _parent(self, name: str) -> Iterator[tuple[int, str]]:
        """The directory that a file is in, open, and the last part of its name. Errors within speak of that file."""
        if not self._root:
            raise FolderError(f"there are no files: set `{self._option}` to a directory")
        *way, leaf = name.split("/")
        if any(part in ("", ".", "..") or "\0" in part for part in (*way, leaf)):
            raise FolderError(f"{name!r} is no path below `{self._option}`: write it as `folder/file`")
        directory = self._open_root()
        try:
            for part in way:
                below = os.open(part, DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
                os.close(directory)
                directory = below
            yield directory, leaf
        except OSError as error:
            raise FolderError(f"{name!r}: {_REASONS.get(error.errno or 0) or error.strerror}") from None
        finally:
            os.close(directory)

    def _open_root(self) -> int:
        try:
            return os.open(self._root, DIRECTORY)
        except OSError as error:
            raise FolderError(f"the directory of `{self._option}` cannot be used: {error.strerror}") from None


_REASONS: Final = {
    errno.ELOOP: "links are not followed",
    errno.ENOTDIR: "a part of the path is not a directory, and links are not followed",
    errno.EEXIST: "there is such a file already; take another name",
    errno.ENOENT: "no such file or directory",
}
