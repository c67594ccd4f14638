"""The ledger: every key ever sent under, so that none is sent under twice (invariant I1).

Only fingerprints are kept, salted, so that they name no key to anybody else. The shell keeps them on disk
(`mixer.ledgerfile`) and hands them to the next life: a key is refused also after `kill -9`. Each is on disk
before the key is taken.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from mixer.port import PortError, Refusal
from mixer.secret import Secret

FINGERPRINT: Final = 16
"""Octets of a fingerprint."""
SALT: Final = 32


class LedgerError(OSError):
    """A fingerprint could not be kept; the message says why."""


class KeyLedger:
    """Fingerprints of all keys this mixer has sent under.

    Args:
        salt: of the fingerprints; random, for this life only, if None.
        seen: fingerprints of earlier lives.
        keep: called with each new fingerprint before its key is used. Raises `LedgerError` if it can't keep it.
    """

    def __init__(
        self,
        salt: bytes | None = None,
        seen: Iterable[bytes] = (),
        keep: Callable[[bytes], None] = lambda fingerprint: None,
    ) -> None:
        self._salt = salt or secrets.token_bytes(SALT)
        self._seen = set(seen)
        self._keep = keep

    def check(self, secret: Secret) -> None:
        """Refuse a key that was sent under before.

        Raises:
            PortError: KEY_REUSED.
        """
        if self._fingerprint(secret) in self._seen:
            raise PortError(Refusal.KEY_REUSED, "this key has been used with this mixer before; make a fresh one")

    def record(self, secret: Secret) -> None:
        """Remember a key, before anything goes out under it. From now on it is refused.

        Raises:
            PortError: LIMIT, if it can't be kept.
        """
        fingerprint = self._fingerprint(secret)
        try:
            self._keep(fingerprint)
        except LedgerError as error:
            raise PortError(Refusal.LIMIT, f"no key can be taken: {error}") from None
        self._seen.add(fingerprint)

    def __len__(self) -> int:
        return len(self._seen)

    def _fingerprint(self, secret: Secret) -> bytes:
        return hmac.digest(self._salt, secret.reveal(), "sha256")[:FINGERPRINT]


@dataclass(frozen=True, slots=True)
class Ledgers:
    """The keys of our own packets, on disk, and in memory those of legs' packets: SSRCs are unique in one conference
    only, so a key must not serve both directions, nor two conferences."""

    sent: KeyLedger
    received: KeyLedger

    def check_unused(self, secret: Secret) -> None:
        """Refuse a key that has served for anything. Raises `PortError` KEY_REUSED."""
        self.sent.check(secret)
        self.received.check(secret)
