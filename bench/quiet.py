"""Legs that do not talk, and what they send all the same: see `bench.coder.Quiet`."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.codec import Samples
from bench.plan import LEVEL_ID, LEVEL_OCTETS, Plan

_COUNT: Final = 150
"""Packets of a sequence that is sent over and over."""

_LEAD: Final = 50
"""Packets before it that are not sent: a codec with memory has settled when the sequence begins, as when it ends."""

_FAINT: Final = 3e-4
"""RMS of what level 127 is said of, full scale 1: -70 dB."""

_SOUND: Final = 3e-3
"""RMS of continuous sound, -50 dB: there is something to decode, and no talker is displaced from the mix."""

_LEAST: Final = 127
_VOICE: Final = 0x80


def payloads(plan: Plan) -> list[bytes]:
    """What a leg that does not talk sends, to be repeated."""
    coder = plan.coder
    if plan.quiet == "dtx":
        return coder.pauses()
    loudness = {"silence": 0.0, "level127": _FAINT, "sound": _SOUND}[plan.quiet]
    rng = np.random.default_rng(3389)
    sound: Samples = (rng.standard_normal((_LEAD + _COUNT) * coder.rate // 50) * loudness).astype(np.float32)
    return coder.background(sound)[_LEAD:]


def level(talks: NDArray[np.bool_], loudness: float) -> NDArray[np.uint8]:
    """uint8[legs, 8]: the header extension with the level of each (RFC 8285 section 4.2, RFC 6464 section 3).

    Args:
        talks: bool[legs], who is as loud as `loudness`, RMS at full scale 1; the others say 127, silence.
    """
    extension = np.zeros((len(talks), LEVEL_OCTETS), np.uint8)
    extension[:, :5] = (0xBE, 0xDE, 0, 1, LEVEL_ID << 4)
    spoken = _VOICE | min(_LEAST, round(-20 * np.log10(loudness)))
    extension[:, 5] = np.where(talks, spoken, _LEAST)
    return extension


def matrix(payloads: list[bytes], width: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Payloads as rows, uint8[n, width], and how long each is."""
    octets = np.zeros((len(payloads), width), np.uint8)
    for row, payload in zip(octets, payloads, strict=True):
        row[: len(payload)] = np.frombuffer(payload, np.uint8)
    return octets, np.array([len(payload) for payload in payloads], np.int32)
