"""The life of a group key, and the memory of every key ever sent under.

    prepared --activate--> active --superseded--> retired (wiped)
        \\------abort-----> aborted (wiped)

Epochs of a conference strictly increase; one that was aborted or superseded never comes back. Nothing
here chooses when to switch: control proposes, this disposes. A key is refused that the mixer has
already sent under, whatever the conference or leg (invariant I1): only salted fingerprints are kept.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import Final

from mixer.port import Key, PortError, Refusal
from mixer.secret import Secret
from mixer.suites import SUITES, Suite

MAX_PREPARED: Final = 2


class KeyLedger:
    """Fingerprints of all keys this mixer has sent under, salted for this life."""

    def __init__(self) -> None:
        self._salt = secrets.token_bytes(32)
        self._seen: set[bytes] = set()

    def check(self, secret: Secret) -> None:
        """Refuse a key that was sent under before.

        Raises:
            PortError: KEY_REUSED.
        """
        if self._fingerprint(secret) in self._seen:
            raise PortError(Refusal.KEY_REUSED, "this key has been used with this mixer before; make a fresh one")

    def record(self, secret: Secret) -> None:
        """Remember a key before the first packet goes out under it."""
        self._seen.add(self._fingerprint(secret))

    def _fingerprint(self, secret: Secret) -> bytes:
        return hmac.new(self._salt, secret.reveal(), hashlib.sha256).digest()


@dataclass(slots=True)
class GroupKeys:
    """Group keys of one conference's downlink."""

    active: Key | None = None
    prepared: dict[int, Key] = field(default_factory=dict)
    highest: int = 0
    """Highest epoch ever seen, prepared or active."""
    expiry_told: bool = False
    """The end of the active key's soft lifetime has been reported."""

    def prepare(self, key: Key) -> None:
        """Hold a key for later.

        Raises:
            PortError: BAD_EPOCH if it is not above all before it, or too many wait; INVALID if it
                does not fit the packets of the active key (RFC 3711 fixes the MKI length).
        """
        if key.epoch <= self.highest:
            raise PortError(Refusal.BAD_EPOCH, f"epoch {key.epoch} is not above {self.highest}, the highest seen")
        if len(self.prepared) >= MAX_PREPARED:
            raise PortError(Refusal.BAD_EPOCH, "two epochs are prepared already; activate or abort one")
        if self.active and len(key.mki) != len(self.active.mki):
            raise PortError(Refusal.INVALID, "the MKI must be as long as that of the active key (RFC 3711 section 3.1)")
        if key.mki and key.mki in self.mkis():
            raise PortError(Refusal.INVALID, f"MKI {key.mki} names another key of this conference")
        self.highest = key.epoch
        self.prepared[key.epoch] = key

    def activate(self, epoch: int) -> Key:
        """Make a prepared key the active one; the former and all older prepared keys are wiped.

        Raises:
            PortError: UNKNOWN_EPOCH.
        """
        if epoch not in self.prepared:
            raise PortError(Refusal.UNKNOWN_EPOCH, f"epoch {epoch} is not prepared")
        if self.active:
            self.active.secret.wipe()
        self.active, self.expiry_told = self.prepared.pop(epoch), False
        for older in [e for e in self.prepared if e < epoch]:
            self.prepared.pop(older).secret.wipe()
        return self.active

    def abort(self, epoch: int) -> None:
        """Forget a prepared key.

        Raises:
            PortError: UNKNOWN_EPOCH.
        """
        if epoch not in self.prepared:
            raise PortError(Refusal.UNKNOWN_EPOCH, f"epoch {epoch} is not prepared")
        self.prepared.pop(epoch).secret.wipe()

    def mkis(self) -> set[str]:
        """Names of all keys held."""
        return {key.mki for key in self._held()}

    def wipe(self) -> None:
        """Forget everything."""
        for key in self._held():
            key.secret.wipe()
        self.active = None
        self.prepared.clear()

    def _held(self) -> list[Key]:
        return [*self.prepared.values(), *([self.active] if self.active else [])]


def check_key(key: Key, what: str) -> Suite:
    """The suite of a key that can be one.

    Raises:
        PortError: BAD_KEY, naming `what` the key is for, never its octets.
    """
    if key.kek:
        raise PortError(Refusal.BAD_KEY, f"{what} is still wrapped; control unwraps keys before they come here")
    suite = SUITES[key.suite]
    if len(key.secret) != suite.secret:
        raise PortError(
            Refusal.BAD_KEY,
            f"{what} has {len(key.secret)} octets; {suite.name} needs {suite.key} of key and {suite.salt} of salt",
        )
    if key.secret.is_trivial():
        raise PortError(Refusal.BAD_KEY, f"{what} is the same octet all over; make a random one")
    return suite
