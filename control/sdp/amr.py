"""The parameters of AMR and AMR-WB (RFC 4867 section 8): how packets are written, and in which modes.

Knows their meaning. Must never know payload types. Both ends must have the same of them (section 8.3.1), so a payload
type whose parameters make no sense, or ask for what the mixer does not write, is not taken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from mixer.port import Amr

HIGHEST: Final = {"AMR": 7, "AMR-WB": 8}
"""The highest mode of each codec."""

_MODES: Final = re.compile(r"[0-8](?: *, *[0-8])*", re.ASCII)
_BITS: Final = ("octet-align", "crc", "robust-sorting", "mode-change-neighbor")
_PERIODS: Final = ("mode-change-period", "mode-change-capability")


def understood(name: str, parameters: Mapping[str, str]) -> tuple[Amr, str] | None:
    """How to write packets for a peer that has said this, and what to say to it: layout and modes as it has them.

    None if we cannot: checksums, sorting and interleaving are not written.
    """
    modes = _modes(parameters.get("mode-set"), HIGHEST[name])
    if modes is None or not _sound(parameters):
        return None
    if "interleaving" in parameters or "1" in (parameters.get("crc"), parameters.get("robust-sorting")):
        return None
    aligned = parameters.get("octet-align") == "1"
    chosen = modes
    if parameters.get("mode-change-period") == "2" or parameters.get("mode-change-neighbor") == "1":
        # Who never changes the mode breaks no rule of when and how it may change.
        chosen = (max(modes, default=HIGHEST[name]),)
    words = ["octet-align=1"] if aligned else []
    if modes:
        words.append(f"mode-set={','.join(str(mode) for mode in modes)}")
    return Amr(octet_aligned=aligned, modes=chosen), ";".join(words)


def _sound(parameters: Mapping[str, str]) -> bool:
    bits = all(parameters.get(name, "0") in ("0", "1") for name in _BITS)
    periods = all(parameters.get(name, "1") in ("1", "2") for name in _PERIODS)
    return bits and periods and parameters.get("channels", "1") == "1"


def _modes(text: str | None, highest: int) -> tuple[int, ...] | None:
    """The modes of a mode-set, each once, rising; none for all; None if it cannot be one."""
    if text is None:
        return ()
    if not _MODES.fullmatch(text):
        return None
    modes = sorted({int(word) for word in text.split(",")})
    return tuple(modes) if modes[-1] <= highest else None
