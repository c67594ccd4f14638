"""a=crypto: the SRTP keys of one direction (RFC 4568), read strictly.

Knows one line at a time, and that tags must differ. Must never know which line is chosen. The errors say what
is wrong with a line, never what its key is.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from mixer.secret import Secret
from mixer.suites import SUITES, Suite, SuiteName

MAX_LIFETIME: Final = 1 << 48
"""Packets under one key, of every suite that we have (RFC 4568 section 6.2, RFC 6188, RFC 7714 section 14.2)."""

MAX_MKI: Final = 4
"""Octets of a master key identifier that the mixer takes; the RFC allows 128."""

MAX_KEYS: Final = 8

MIN_WINDOW: Final = 64
"""The least that WSH may ask for (RFC 4568 section 6.3.7)."""

_LINE: Final = re.compile(r"(0|[1-9][0-9]{0,8}) +([A-Za-z0-9_]{1,64}) +([!-~]+)((?: +[!-~]+)*) *")
_LIFETIME: Final = re.compile(r"(2\^)?([1-9][0-9]{0,14})")
_MKI: Final = re.compile(r"[0-9]{1,10}:[0-9]{1,3}")


class CryptoError(ValueError):
    """The line is not acceptable; says why. Never carries octets of a key."""


@dataclass(frozen=True, slots=True)
class InlineKey:
    """key || salt, how many packets it is good for (None: the most that the suite allows), and its MKI, often empty."""

    secret: Secret
    lifetime: int | None = None
    mki: bytes = b""


@dataclass(frozen=True, slots=True)
class CryptoLine:
    """One a=crypto line: its author sends under the first of `keys`, and under another once it says so by MKI."""

    tag: int
    suite: SuiteName
    keys: tuple[InlineKey, ...]
    params: tuple[str, ...] = ()


def parse_crypto(value: str) -> CryptoLine:
    """Read what follows `a=crypto:`.

    Raises:
        CryptoError: if the line is wrong, or asks for what we do not do.
    """
    match = _LINE.fullmatch(value)
    if match is None:
        raise CryptoError("a crypto line is a tag, a suite, keys and parameters")
    suite = suite_of(match[2])
    keys = tuple(_inline_key(text, suite) for text in match[3].split(";"))
    line = CryptoLine(int(match[1]), suite.name, keys, tuple(match[4].split()))
    _check_keys(line)
    for param in line.params:
        _check_param(param)
    return line


def acceptable_lines(values: Iterable[str]) -> list[CryptoLine]:
    """The lines of one m-line that may be chosen, in order. A tag that occurs twice names no line at all."""
    values = list(values)
    tags = Counter(value.partition(" ")[0] for value in values)
    lines = []
    for value in values:
        try:
            line = parse_crypto(value)
        except CryptoError:
            continue  # RFC 4568 section 5.1.2: a line that is not acceptable is passed over
        if tags[str(line.tag)] == 1:
            lines.append(line)
    return lines


def format_crypto(line: CryptoLine) -> str:
    """What follows `a=crypto:`. This is where keys leave: the SDP must travel encrypted.

    Raises:
        CryptoError: if a peer that reads it strictly would refuse it.
    """
    suite = suite_of(line.suite)
    for key in line.keys:
        _check_secret(key.secret, suite)
    _check_keys(line)
    keys = ";".join(_formatted(key) for key in line.keys)
    return " ".join((str(line.tag), line.suite, keys, *line.params))


def suite_of(name: str) -> Suite:
    """The suite of this name.

    Raises:
        CryptoError: if we do not have it.
    """
    for suite in SUITES.values():
        if suite.name == name:
            return suite
    raise CryptoError(f"the suite is not one of {', '.join(SUITES)}")


def _inline_key(text: str, suite: Suite) -> InlineKey:
    material, *fields = text.removeprefix("inline:").split("|")
    if not text.startswith("inline:") or len(fields) > 2:
        raise CryptoError("a key is inline:KEY, then |LIFETIME and |MKI:LENGTH if wanted")
    mki = _mki(fields.pop()) if fields and ":" in fields[-1] else b""
    lifetime = _lifetime(fields.pop()) if fields else None
    if fields:
        raise CryptoError("the lifetime of a key stands before its MKI, and each of them once")
    secret = _secret(material)
    _check_secret(secret, suite)
    return InlineKey(secret, lifetime, mki)


def _secret(material: str) -> Secret:
    try:
        octets = base64.b64decode(material.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        raise CryptoError("the key is not base64") from None
    if base64.b64encode(octets).decode("ascii") != material:
        raise CryptoError("the key is not base64 as RFC 4648 section 3.5 wants it")
    return Secret(octets)


def _lifetime(text: str) -> int:
    match = _LIFETIME.fullmatch(text)
    if match is None:
        raise CryptoError("the lifetime of a key is a number of packets above zero, as 2^20 or 1048576")
    number = int(match[2])
    lifetime = (1 << min(number, 64)) if match[1] else number
    if lifetime > MAX_LIFETIME:
        raise CryptoError("the lifetime of a key is 2^48 packets at most")
    return lifetime


def _mki(text: str) -> bytes:
    if not _MKI.fullmatch(text):
        raise CryptoError("an MKI is a number, a colon and its length in octets")
    value, length = (int(number) for number in text.split(":"))
    if not 1 <= length <= MAX_MKI:
        raise CryptoError(f"an MKI has 1 to {MAX_MKI} octets here")
    if value >> 8 * length:
        raise CryptoError("an MKI does not fit its length")
    return value.to_bytes(length, "big")


def _check_secret(secret: Secret, suite: Suite) -> None:
    if len(secret) != suite.secret:
        raise CryptoError(f"key and salt of {suite.name} have {suite.secret} octets, not {len(secret)}")
    if secret.is_trivial():
        raise CryptoError("all octets of the key are alike")


def _check_keys(line: CryptoLine) -> None:
    """RFC 4568 section 6.1: the MKI is what tells several keys apart, and no key occurs twice."""
    if not 1 <= len(line.keys) <= MAX_KEYS:
        raise CryptoError(f"a line has 1 to {MAX_KEYS} keys")
    mkis = [key.mki for key in line.keys]
    if len(mkis) > 1 and (not all(mkis) or len({len(mki) for mki in mkis}) > 1):
        raise CryptoError("several keys need an MKI each, all of one length")
    if len(set(mkis)) < len(mkis):
        raise CryptoError("an MKI occurs twice")
    for index, key in enumerate(line.keys):
        if any(key.secret == other.secret for other in line.keys[:index]):
            raise CryptoError("a key occurs twice")


def _check_param(param: str) -> None:
    """RFC 4568 section 6.3. KDR and FEC_KEY are refused for want of them, and with what weakens SRTP there is no talk.

    Of the rest, the order of FEC means nothing where there is no FEC, and a window is a hint.
    """
    name, _, value = param.partition("=")
    if param.startswith("-") or param in ("FEC_ORDER=FEC_SRTP", "FEC_ORDER=SRTP_FEC"):
        return
    if name == "WSH" and re.fullmatch(r"[0-9]{2,9}", value) and int(value) >= MIN_WINDOW:
        return
    raise CryptoError("a session parameter is one that we do not take")


def _formatted(key: InlineKey) -> str:
    text = f"inline:{base64.b64encode(key.secret.reveal()).decode('ascii')}"
    if key.lifetime is not None:
        power = key.lifetime.bit_length() - 1
        text += f"|2^{power}" if key.lifetime == 1 << power else f"|{key.lifetime}"
    if key.mki:
        text += f"|{int.from_bytes(key.mki, 'big')}:{len(key.mki)}"
    return text
