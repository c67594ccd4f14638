"""The file of key-encryption keys, which mixer and controllers share: read with suspicion, written with care.

    # a comment
    focus-2026  pIYhkrTGpNvlcmXtOyVdXy0xGYnGvJ0WDnJ3a0x2bWk

One key a line: its name, and base64url of 16 or 32 octets. Messages name the line, never what stands in it.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from pathlib import Path
from typing import Final

from control.keyfiles import KeyFileError
from control.keywrap import KeyWrapError, Wrapper
from mixer.secret import Secret, SecretError

NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,32}")
"""What `port.Key.kek` may be."""
_LIMIT: Final = 65_536


def read(path: Path) -> dict[str, Wrapper]:
    """The key-encryption keys of a file, by name.

    Raises:
        KeyFileError: if there is none, others may read it, or a line is wrong.
    """
    wrappers = _parse(_text(path), path)
    if not wrappers:
        raise KeyFileError(f"{path} holds no key; make one with: mrfp kek {path} NAME")
    return wrappers


def choose(path: Path, name: str | None) -> Wrapper:
    """One key of a file: the named one, or the only one.

    Raises:
        KeyFileError: as `read`, or if it is not there or there are several to choose from.
    """
    wrappers = read(path)
    if name is None and len(wrappers) > 1:
        raise KeyFileError(f"{path} holds several keys; choose one with --kek: {', '.join(wrappers)}")
    chosen = wrappers.get(next(iter(wrappers)) if name is None else name)
    if chosen is None:
        raise KeyFileError(f"{path} holds no key of that name; it has {', '.join(wrappers)}")
    return chosen


def add(path: Path, name: str) -> None:
    """Make a key of 32 octets and add it to a file, which is made (0600) if it is not there.

    Raises:
        KeyFileError: if the name is taken or no name, or the file cannot be used.
    """
    if not NAME.fullmatch(name):
        raise KeyFileError("a name has 1 to 32 letters, digits or ._-")
    before = _text(path) if path.exists() else ""
    if name in _parse(before, path):
        raise KeyFileError(f"{path} has a key of that name already; choose another")
    start = "\n" if before and not before.endswith("\n") else ""
    line = f"{start}{name}  {Secret(secrets.token_bytes(32)).to_base64()}\n"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise KeyFileError(f"cannot write {path}: {error.strerror or error}") from None
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(line)


def _text(path: Path) -> str:
    try:
        file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 - Path.open takes no opener
    except OSError as error:
        raise KeyFileError(f"cannot read {path}: {error.strerror or error}") from None
    with file:
        found = os.fstat(file.fileno())  # of what was opened: the name may mean something else by now
        if not stat.S_ISREG(found.st_mode):
            raise KeyFileError(f"{path} is not a file")
        if found.st_mode & 0o077:
            raise KeyFileError(f"others may read or write {path}; keep it to its owner: chmod 600 {path}")
        octets = file.read(_LIMIT + 1)
    with contextlib.suppress(UnicodeDecodeError):
        if len(octets) <= _LIMIT:
            return octets.decode("ascii")
    raise KeyFileError(f"{path} is not a file of keys: a name and base64url a line, {_LIMIT} octets at most")


def _without_waiting(name: str, flags: int) -> int:
    """A pipe of that name would have us wait for its writer."""
    return os.open(name, flags | os.O_NONBLOCK)


def _parse(text: str, path: Path) -> dict[str, Wrapper]:
    wrappers: dict[str, Wrapper] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        place = f"{path}, line {number}"
        if len(words) != 2 or not NAME.fullmatch(words[0]):
            raise KeyFileError(f"{place}: write a name (letters, digits and ._-, at most 32) and a key")
        if words[0] in wrappers:
            raise KeyFileError(f"{place}: this name stands in a line above already; choose another")
        wrappers[words[0]] = _wrapper(words[0], words[1], place)
    return wrappers


def _wrapper(name: str, text: str, place: str) -> Wrapper:
    try:
        kek = Secret.from_base64(text)
        if len(kek) and kek.is_trivial():
            raise KeyFileError(f"{place}: this key is the same octet all over; make a random one with `mrfp kek`")
        return Wrapper(name, kek)
    except (SecretError, KeyWrapError):
        raise KeyFileError(f"{place}: a key is base64url of 16 or 32 octets; make one with `mrfp kek`") from None
