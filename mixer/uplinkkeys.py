"""Group keys of an uplink: what all legs with `uplink: group` send under. The line of each leg follows."""

from __future__ import annotations

from dataclasses import dataclass

from mixer import wishes
from mixer.conferences import Conference
from mixer.epochs import Life, check_key
from mixer.grace import Grace
from mixer.ledger import Ledgers
from mixer.legs import Leg
from mixer.port import Key, PortError, Refusal
from mixer.state import State


@dataclass(frozen=True, slots=True)
class UplinkKeys:
    """The uplink keys of one conference. Every verb raises `PortError`, and then nothing has changed."""

    state: State
    grace: Grace
    ledgers: Ledgers
    conference: Conference

    def begin(self, key: Key) -> None:
        """The key that a conference begins with; it has been checked."""
        self.ledgers.received.record(key.secret)
        self.conference.uplink.prepare(wishes.copy_of(key))
        self.conference.uplink.activate(key.epoch)

    def join(self, leg: Leg) -> None:
        """A leg that comes may send under a key that is prepared."""
        for _, key in sorted(self.conference.uplink.prepared.items()):
            self.grace.prepare(leg, wishes.copy_of(key))

    def prepare(self, key: Key) -> None:
        """Accept this key, too, from every leg."""
        check_key(key, "uplink_key")
        self.ledgers.check_unused(key.secret)
        line = self.conference.uplink
        if line.active is None:
            raise PortError(Refusal.INVALID, "this conference began without an `uplink_key`; it can't have one later")
        line.check(key)
        legs = [leg for leg in self._legs() if leg.rx.highest < key.epoch]
        for leg in legs:  # one may have begun under a key that the conference has aborted since
            leg.rx.check(key)
        self.ledgers.received.record(key.secret)
        line.prepare(wishes.copy_of(key))
        for leg in legs:
            self.grace.prepare(leg, wishes.copy_of(key))

    def activate(self, epoch: int) -> None:
        """Have all legs on it that have not switched by themselves."""
        self.conference.uplink.activate(epoch, self.state.frame)
        for leg in self._legs():
            if leg.rx.state(epoch) is Life.PREPARED:
                self.grace.activate(leg, epoch)

    def retire(self, epoch: int) -> None:
        """Accept nothing more under the key before."""
        active = self.conference.uplink.active
        if active is None or epoch >= active.epoch:
            raise PortError(Refusal.UNKNOWN_EPOCH, f"epoch {epoch} is not one before the active one")
        for leg in self._legs():
            self.grace.end(leg)

    def abort(self, epoch: int) -> None:
        """Forget a prepared key."""
        self.conference.uplink.abort(epoch)
        for leg in self._legs():
            if leg.rx.state(epoch) is Life.PREPARED:
                leg.rx.abort(epoch)
                self.grace.forget(leg)

    def _legs(self) -> list[Leg]:
        legs = self.state.legs
        return [legs.at(row) for row in sorted(self.conference.legs) if legs.group_uplink[row]]
