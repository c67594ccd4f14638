"""Keys under a key: AES Key Wrap with Padding (RFC 5649), under a one-use key for each message.

Knows: key-encryption keys (KEKs) and how a wrapped key is bound to its place. Must never know: commands,
sockets, or which keys there are.

KWP proves that a blob was made under a key and not changed. It has no associated data, no nonce and no
protection against replay, so the place is part of the key:

    context = lengths and octets of: conference, "leg" or "group", leg or cohort, direction, epoch, MKI, suite, boot id
    KEK_msg = HMAC-SHA256(KEK, "mrfp wrap v1" || context), its first 16 or 32 octets, as many as the KEK has
    wrapped = AES-KWP(KEK_msg, key || salt)

A blob moved to another conference, leg, direction, epoch, MKI or suite, or sent again to a mixer that was
restarted since, does not unwrap. The same blob for the same place does: the ledger of used keys refuses that.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final, Literal, TypeAlias

from cryptography.hazmat.primitives import keywrap

from mixer.secret import Secret
from mixer.suites import SUITES, SuiteName

KEK_LENGTHS: Final = (16, 32)
"""Octets that a key-encryption key may have: AES-128 and AES-256."""

Direction: TypeAlias = Literal["rx", "tx", "uplink"]
"""What a key protects, seen from the mixer: what a leg sends, what is heard, what all legs send."""

_LABEL: Final = b"mrfp wrap v1"


class KeyWrapError(Exception):
    """A key cannot be wrapped or unwrapped. The message says what to do and never carries octets."""


def context(
    *,
    conference: str,
    recipient: str | int,
    direction: Direction,
    epoch: int,
    mki: str,
    suite: SuiteName,
    boot: str,
) -> bytes:
    """The place that a key is for, as octets: no two places have the same.

    Args:
        recipient: the name of a leg, or the number of a cohort for a group key.
        mki: in hex, as in `port.Key`.
        boot: `boot_id` of the mixer life that the key is for.
    """
    kind = "leg" if isinstance(recipient, str) else "group"
    parts = (conference, kind, str(recipient), direction, str(epoch), mki, suite, boot)
    return b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)


class Wrapper:
    """A key-encryption key with its name: wraps keys, and unwraps those wrapped under it."""

    __slots__ = ("_kek", "_name")

    def __init__(self, name: str, kek: Secret) -> None:
        """Raises `KeyWrapError` if the KEK is not of 16 or 32 octets."""
        if len(kek) not in KEK_LENGTHS:
            raise KeyWrapError(f"a key-encryption key has 16 or 32 octets, not {len(kek)}; make one with `mrfp kek`")
        self._name = name
        self._kek = kek

    @property
    def name(self) -> str:
        return self._name

    def wrap(self, secret: Secret, suite: SuiteName, place: bytes) -> Secret:
        """Wrap key || salt of a suite for a place made by `context`.

        Raises:
            KeyWrapError: if the KEK is shorter than the key: what it hides would be worth more than it.
        """
        if SUITES[suite].key > len(self._kek):
            raise KeyWrapError(
                f"{suite} needs a key-encryption key of {SUITES[suite].key} octets; make one, or use AES-128"
            )
        return Secret(keywrap.aes_key_wrap_with_padding(self._key_for(place), secret.reveal()))

    def unwrap(self, wrapped: Secret, suite: SuiteName, place: bytes) -> Secret:
        """Unwrap key || salt of a suite that was wrapped for this very place.

        Raises:
            KeyWrapError: if it was not, or under another KEK, or has been changed.
        """
        wanted = wrapped_length(suite)
        if len(wrapped) != wanted:  # and no long work on long octets
            raise KeyWrapError(
                f"a wrapped key of {suite} has {wanted} octets, not {len(wrapped)} (RFC 5649 of key || salt)"
            )
        try:
            return Secret(keywrap.aes_key_unwrap_with_padding(self._key_for(place), wrapped.reveal()))
        except keywrap.InvalidUnwrap:
            raise KeyWrapError(_ELSEWHERE) from None

    def __repr__(self) -> str:
        return f"<Wrapper {self._name}>"

    def _key_for(self, place: bytes) -> bytes:
        return hmac.digest(self._kek.reveal(), _LABEL + place, hashlib.sha256)[: len(self._kek)]


def wrapped_length(suite: SuiteName) -> int:
    """Octets of a wrapped key of a suite (RFC 5649 section 3): padded to eights, and eight more."""
    return -(-SUITES[suite].secret // 8) * 8 + 8


_ELSEWHERE: Final = (
    "it does not unwrap: wrap it anew under the right key-encryption key, for this conference, leg or cohort, "
    "direction, epoch, MKI and suite, and for the boot_id that node.info shows now"
)
