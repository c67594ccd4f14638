"""The life of a key, as a table.

    PREPARED --activate--> ACTIVE --superseded, retire, expire--> RETIRED (wiped)
        \\------abort, superseded-----> ABORTED (wiped)

A cohort has such a line of keys for what it hears, and a leg one for each direction. Epochs of a line
strictly increase (I7); one that was aborted or retired never comes back. Nothing here chooses when to switch:
control proposes, this disposes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from mixer.port import Key, PortError, Refusal
from mixer.suites import SUITES, Suite

MAX_PREPARED: Final = 2


class Life(Enum):
    """Where an epoch is in its life. Those never seen, aborted or retired are not kept: they can't come back."""

    PREPARED = auto()
    ACTIVE = auto()
    OVER = auto()


TRANSITIONS: Final[dict[tuple[Life, str], Life]] = {
    (Life.PREPARED, "activate"): Life.ACTIVE,
    (Life.PREPARED, "abort"): Life.OVER,
    (Life.PREPARED, "superseded"): Life.OVER,
    (Life.ACTIVE, "superseded"): Life.OVER,
    (Life.ACTIVE, "retire"): Life.OVER,
}
"""Every pair that is not here is refused."""


@dataclass(slots=True)
class KeyLine:
    """The keys of one cohort or of one direction of a leg, over time."""

    active: Key | None = None
    prepared: dict[int, Key] = field(default_factory=dict)
    highest: int = 0
    """Highest epoch ever seen, in whatever state."""
    since: int = 0
    """Frame in which the active key was activated."""
    warned: bool = False
    """The active key's soft limit has been told."""

    def check(self, key: Key) -> None:
        """May this key be the next?

        Raises:
            PortError: BAD_EPOCH if it is not above all before it, or too many wait; INVALID if it does not
                fit the packets of the active key (RFC 3711 section 3.1 fixes the MKI length).
        """
        if key.epoch <= self.highest:
            raise PortError(Refusal.BAD_EPOCH, f"epoch {key.epoch} is not above {self.highest}, the highest seen")
        if len(self.prepared) >= MAX_PREPARED:
            raise PortError(Refusal.BAD_EPOCH, "two epochs are prepared already; activate or abort one")
        if self.active and len(key.mki) != len(self.active.mki):
            raise PortError(Refusal.INVALID, "the MKI must be as long as that of the active key (RFC 3711 section 3.1)")
        if key.mki and key.mki in self.mkis():
            raise PortError(Refusal.INVALID, f"MKI {key.mki} names another key of this conference")

    def prepare(self, key: Key) -> None:
        """Hold a key for later. Raises what `check` raises."""
        self.check(key)
        self.highest = key.epoch
        self.prepared[key.epoch] = key

    def activate(self, epoch: int, frame: int = 0) -> Key:
        """Make a prepared key the active one; the former and all older prepared keys are wiped.

        Raises:
            PortError: UNKNOWN_EPOCH.
        """
        self._move(epoch, "activate")
        key = self.prepared.pop(epoch)
        for older in [*([self.active.epoch] if self.active else []), *(e for e in self.prepared if e < epoch)]:
            self._move(older, "superseded")
            self._wipe(older)
        self.active, self.since, self.warned = key, frame, False
        return key

    def abort(self, epoch: int) -> None:
        """Forget a prepared key. Raises `PortError` UNKNOWN_EPOCH."""
        self._move(epoch, "abort")
        self._wipe(epoch)

    def retire(self, epoch: int) -> None:
        """Destroy the active key, without a successor. Raises `PortError` UNKNOWN_EPOCH."""
        self._move(epoch, "retire")
        self._wipe(epoch)

    def spend(self) -> None:
        """Wipe the active key: it lives on in its session, and only its name is still needed."""
        if self.active:
            self.active.secret.wipe()

    def state(self, epoch: int) -> Life:
        """Where an epoch is in its life."""
        if epoch in self.prepared:
            return Life.PREPARED
        return Life.ACTIVE if self.active and self.active.epoch == epoch else Life.OVER

    def mkis(self) -> set[str]:
        """Names of all keys held."""
        return {key.mki for key in self.held()}

    def wipe(self) -> None:
        """Forget everything."""
        for key in self.held():
            key.secret.wipe()
        self.active = None
        self.prepared.clear()

    def _move(self, epoch: int, what: str) -> None:
        if (self.state(epoch), what) not in TRANSITIONS:
            needed = "active" if what == "retire" else "prepared"
            raise PortError(Refusal.UNKNOWN_EPOCH, f"epoch {epoch} is not {needed}")

    def _wipe(self, epoch: int) -> None:
        if self.active and self.active.epoch == epoch:
            self.active.secret.wipe()
            self.active = None
        elif epoch in self.prepared:
            self.prepared.pop(epoch).secret.wipe()

    def held(self) -> list[Key]:
        """All keys that are prepared or active."""
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
