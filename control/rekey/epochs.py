"""The number of an epoch: a generation that is never used twice, and a step of its ratchet.

Knows: `epoch = generation << 8 | step`, and how an epoch is written as an MKI. Must never know: keys.

A generation (23 bits, from 1) counts through a whole conference, so bit 31 of a group key's MKI is 0;
the own keys of legs have it set. Two generations have independent keys; a later step of a generation
can be computed from an earlier one (the idea is that of the KID of SFrame, RFC 9605 section 5.1).
"""

from __future__ import annotations

from typing import Final

GENERATION_MAX: Final = (1 << 23) - 1
STEP_MAX: Final = 255
STEP_BITS: Final = 8


class EpochError(ValueError):
    """The generation or the step is out of range; begin a new conference, or a new generation."""


def epoch_of(generation: int, step: int) -> int:
    """The number of an epoch.

    Raises:
        EpochError: if the generation is not in 1 to 2**23 - 1, or the step not in 0 to 255.
    """
    if not 1 <= generation <= GENERATION_MAX:
        raise EpochError(f"generation {generation} is not in 1 to {GENERATION_MAX}; begin a new conference")
    if not 0 <= step <= STEP_MAX:
        raise EpochError(f"step {step} is not in 0 to {STEP_MAX}; begin a new generation")
    return generation << STEP_BITS | step


def generation_of(epoch: int) -> int:
    """The generation of an epoch."""
    return epoch >> STEP_BITS


def step_of(epoch: int) -> int:
    """The ratchet step of an epoch."""
    return epoch & STEP_MAX


def mki_of(epoch: int) -> bytes:
    """The master key identifier of a group key: 4 octets, big-endian, bit 31 clear (RFC 3711 section 3.1).

    Raises:
        EpochError: if it is not the number of an epoch.
    """
    return epoch_of(generation_of(epoch), step_of(epoch)).to_bytes(4, "big")
