"""Files of secrets, one a line: read by their owner only, and shown to nobody.

Empty lines and lines that begin with `#` are left out.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from control.tomlfile import SettingsError


def lines(path: Path, what: str) -> Iterator[tuple[int, str]]:
    """The lines that count, each with its number. `what` names the secrets.

    Raises:
        SettingsError: if the file cannot be read, or if others may read it. It never says what is in it.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"cannot read the {what} in {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not UTF-8 text") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingsError(f"{path} holds {what} and is open to others: make its mode 0600")
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line.strip()
