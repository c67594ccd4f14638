"""Passwords of callers: read from a file, and shown to nobody.

One `name password` a line; empty lines and lines that begin with `#` are left out.
"""

from __future__ import annotations

import stat
from pathlib import Path

from control.tomlfile import SettingsError
from mixer.secret import Secret


def load(path: Path) -> dict[str, Secret]:
    """Passwords by user name.

    Raises:
        SettingsError: if the file cannot be read or used, or if others may read it. It names the line
            and never what is in it.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"cannot read the passwords in {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not UTF-8 text") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingsError(f"{path} holds passwords and is open to others: make its mode 0600")
    users: dict[str, Secret] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        name, _, password = line.strip().partition(" ")
        if not name or name.startswith("#"):
            continue
        if not password.strip() or name in users:
            raise SettingsError(f"{path}, line {number}: write `name password`, each name once")
        users[name] = Secret(password.strip().encode())
    return users
