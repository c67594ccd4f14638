"""Keys of people: read from files, made fresh, and shown or kept only when asked.

A key is never an argument: those stand in the process list and in the shell's history. Files hold
base64 or base64url of key || salt, as it stands behind `inline:` in SDP.
"""

from __future__ import annotations

import base64
import os
import secrets
import sys
from pathlib import Path

from mixer.secret import Secret, SecretError
from mixer.suites import SUITES, SuiteName


class KeyFileError(Exception):
    """A key file cannot be used; the message says why and never what is in it."""


def read(name: str, suite: SuiteName) -> Secret:
    """The key in a file, or on standard input if its name is `-`.

    Raises:
        KeyFileError: if there is none, or it is not one of the suite.
    """
    try:
        text = sys.stdin.readline() if name == "-" else Path(name).read_text(encoding="ascii")
    except OSError as error:
        raise KeyFileError(f"cannot read the key file {name}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise KeyFileError(f"{name} does not hold a base64 key") from None
    try:
        secret = Secret.from_base64(text.strip())
    except SecretError:
        raise KeyFileError(f"{name} does not hold a base64 key") from None
    if len(secret) != SUITES[suite].secret:
        text = f"{name} holds {len(secret)} octets; {suite} takes {SUITES[suite].secret} (key || salt)"
        raise KeyFileError(text)
    return secret


def fresh(suite: SuiteName) -> Secret:
    """A new key from the system's random generator."""
    return Secret(secrets.token_bytes(SUITES[suite].secret))


def save(directory: Path, name: str, secret: Secret) -> Path:
    """Keep a key in a new file that only its owner may read; returns its path. Raises KeyFileError."""
    path = directory / f"{name}.key"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise KeyFileError(f"{path} exists already: remove it or save elsewhere") from None
    except OSError as error:
        raise KeyFileError(f"cannot write {path}: {error.strerror or error}") from None
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(inline(secret) + "\n")
    return path


def sdp_line(suite: SuiteName, secret: Secret, mki: str = "") -> str:
    """The key as an SDP attribute (RFC 4568 section 9.2)."""
    named = f"|{int(mki, 16)}:{len(mki) // 2}" if mki else ""
    return f"a=crypto:1 {suite} inline:{inline(secret)}{named}"


def inline(secret: Secret) -> str:
    """The key as it stands behind `inline:` in SDP: a secret in clear."""
    return base64.b64encode(secret.reveal()).decode("ascii")
