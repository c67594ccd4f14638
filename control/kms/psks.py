"""Keys that clients share with the KMS beforehand, for MIKEY-TICKET: read from a file, and shown to nobody.

One `identity base64-key` a line; empty lines and lines that begin with `#` are left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from control import secretfile
from control.tomlfile import SettingsError
from mixer.secret import Secret, SecretError

SHORTEST: Final = 16
"""Octets of a key that is no joke."""


def load(path: Path) -> dict[str, Secret]:
    """Keys by identity.

    Raises:
        SettingsError: if the file cannot be read or used, or if others may read it. It names the line
            and never what is in it.
    """
    keys: dict[str, Secret] = {}
    for number, line in secretfile.lines(path, "keys"):
        words = line.split()
        secret = _secret(words)
        if secret is None or words[0] in keys:
            text = f"{path}, line {number}: write `identity base64-key`, each once, of {SHORTEST} octets or more"
            raise SettingsError(text)
        keys[words[0]] = secret
    return keys


def _secret(words: list[str]) -> Secret | None:
    try:
        secret = Secret.from_base64(words[1]) if len(words) == 2 else None
    except SecretError:
        return None
    return secret if secret is not None and len(secret) >= SHORTEST and not secret.is_trivial() else None
