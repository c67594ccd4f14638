"""The ratchet: the key of the next step out of that of this one, and never back (invariant I3).

Knows: how to derive a step, and how far a member may follow. Must never know: who may have a key.

    secret' = HKDF-Expand(SHA-256, secret, label || len(conference) || conference || generation || step, 32)

RFC 5869 section 2.3. Thirty-two octets are one block of SHA-256, so Expand is one HMAC. The length
before the name keeps two conferences from meaning the same octets.
"""

from __future__ import annotations

import hmac
from typing import Final

from control.rekey.epochs import GENERATION_MAX, STEP_MAX
from mixer.secret import Secret

LABEL: Final = b"mrfp ratchet v1"
SECRET_OCTETS: Final = 32
WINDOW: Final = 8
"""Steps that a member follows at a time: what one forged MKI can make it compute."""


class RatchetError(ValueError):
    """That step cannot be reached from here; ask for the key of the epoch."""


def step(secret: Secret, *, conference: str, generation: int, step: int) -> Secret:
    """The secret of a step out of the secret of the step before it; 32 octets both.

    Args:
        secret: of step `step - 1` of this generation. It is neither changed nor wiped.
        conference: its name, at most 65535 octets of UTF-8.
        generation: 1 to 2**23 - 1.
        step: the number of the step that comes out, 1 to 255.

    Raises:
        RatchetError: if there is no such step, or the secret has another length.
    """
    if not 1 <= generation <= GENERATION_MAX or not 1 <= step <= STEP_MAX:
        raise RatchetError(f"there is no step {step} of generation {generation}; begin a new generation")
    if len(secret) != SECRET_OCTETS:
        raise RatchetError(f"a group secret has {SECRET_OCTETS} octets, this one {len(secret)}")
    name = conference.encode()
    if len(name) > 0xFFFF:
        raise RatchetError("the name of the conference is longer than 65535 octets")
    context = len(name).to_bytes(2, "big") + name + generation.to_bytes(4, "big") + step.to_bytes(1, "big")
    return Secret(hmac.digest(secret.reveal(), LABEL + context + b"\x01", "sha256"))


def ratchet_to(secret: Secret, *, conference: str, generation: int, have: int, want: int) -> Secret:
    """The secret of step `want` out of that of step `have` of the same generation.

    What a member does with the MKI of a packet. It keeps the result only once a packet has been
    authenticated with it: an MKI is not protected (RFC 3711 section 3.1).

    Raises:
        RatchetError: if `want` is behind `have`, or more than `WINDOW` steps ahead.
    """
    if not have <= want <= have + WINDOW:
        raise RatchetError(f"step {want} is not within {WINDOW} steps after {have}; wait for a delivery")
    reached = Secret(secret.reveal())
    for number in range(have + 1, want + 1):
        before, reached = reached, step(reached, conference=conference, generation=generation, step=number)
        before.wipe()
    return reached
