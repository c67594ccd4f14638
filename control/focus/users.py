"""Passwords of callers: read from a file, and shown to nobody.

One `name password` a line; empty lines and lines that begin with `#` are left out.
"""

from __future__ import annotations

from pathlib import Path

from control import secretfile
from control.tomlfile import SettingsError
from mixer.secret import Secret


def load(path: Path) -> dict[str, Secret]:
    """Passwords by user name.

    Raises:
        SettingsError: if the file cannot be read or used, or if others may read it. It names the line
            and never what is in it.
    """
    users: dict[str, Secret] = {}
    for number, line in secretfile.lines(path, "passwords"):
        name, _, password = line.partition(" ")
        if not password.strip() or name in users:
            raise SettingsError(f"{path}, line {number}: write `name password`, each name once")
        users[name] = Secret(password.strip().encode())
    return users
