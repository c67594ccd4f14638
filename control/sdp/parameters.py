"""The parameters of a payload type, from its a=fmtp lines (RFC 8866 section 6.15).

Knows the form `name=value;name=value` that codecs have agreed on. Must never know what a parameter means.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_FMTP: Final = re.compile(r"([0-9]{1,3}) +(.*)")
_NUMBER: Final = re.compile(r"[0-9]{1,9}", re.ASCII)


def fmtp_of(values: Iterable[str]) -> dict[int, str]:
    """What stands behind the number of each payload type; a second line for one goes on with the first."""
    found: dict[int, str] = {}
    for value in values:
        match = _FMTP.fullmatch(value)
        if match:
            number, text = int(match[1]), match[2].strip()
            found[number] = f"{found[number]};{text}" if number in found else text
    return found


def parameters_of(text: str) -> dict[str, str]:
    """Values by name, in lower case. What has no value, or two that differ, has an empty one: it says nothing good."""
    found: dict[str, str] = {}
    for part in text.split(";"):
        name, _, value = (word.strip() for word in part.partition("="))
        name = name.lower()
        if name:
            found[name] = value if found.get(name, value) == value else ""
    return found


def number_of(text: str | None) -> int | None:
    """A number of one to nine digits, or None."""
    return int(text) if text is not None and _NUMBER.fullmatch(text) else None
