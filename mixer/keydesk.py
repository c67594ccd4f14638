"""The key desk: whose key a command is about, and who is bridged.

    cohort     what its legs hear           `cohortkeys`
    uplink     what all legs send           `uplinkkeys`
    leg        what one hears, or sends     `legkeys`

Each has the same four verbs, and keeps the same order: every check comes before the first change, and a key is in
the ledger before it is held.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from mixer import wishes
from mixer.cohortkeys import CohortKeys
from mixer.conferences import Conference
from mixer.epochs import check_key
from mixer.grace import Grace
from mixer.keying import Keying
from mixer.ledger import Ledgers
from mixer.legkeys import LegRxKeys, LegTxKeys
from mixer.legs import Leg, Mode
from mixer.port import (
    Done,
    Key,
    KeyAbort,
    KeyActivate,
    KeyBridge,
    KeyPrepare,
    KeyRetire,
    PortError,
    Refusal,
)
from mixer.state import State
from mixer.uplinkkeys import UplinkKeys


class Holder(Protocol):
    """Whoever holds a line of keys. Every verb raises `PortError`, and then nothing has changed."""

    def prepare(self, key: Key) -> None:
        """Hold the next key."""
        ...

    def activate(self, epoch: int) -> None:
        """Use it."""
        ...

    def retire(self, epoch: int) -> None:
        """Destroy one that is in use, or still accepted."""
        ...

    def abort(self, epoch: int) -> None:
        """Forget one that is prepared."""
        ...


class KeyDesk:
    """Serves what concerns keys of a running conference."""

    def __init__(self, state: State, grace: Grace, keying: Keying, ledgers: Ledgers) -> None:
        self._state, self._grace, self._keying, self._ledgers = state, grace, keying, ledgers

    # -- whose ------------------------------------------------------------------------------

    def cohort(self, conference: Conference, cohort: int) -> CohortKeys:
        """Keys of a cohort."""
        return CohortKeys(self._state, self._keying, self._ledgers, conference, cohort)

    def uplink(self, conference: Conference) -> UplinkKeys:
        """Keys of a conference's uplink."""
        return UplinkKeys(self._state, self._grace, self._ledgers, conference)

    def rx(self, leg: Leg) -> LegRxKeys:
        """Keys of what a leg sends."""
        return LegRxKeys(self._state, self._grace, self._ledgers, leg)

    def tx(self, conference: Conference, leg: Leg) -> LegTxKeys:
        """Keys of what a leg alone hears."""
        return LegTxKeys(self._state, self._ledgers, conference, leg)

    def _holder(self, wish: KeyPrepare | KeyActivate | KeyRetire | KeyAbort) -> Holder:
        conference = self._state.conferences.named(wish.conference)
        if wish.leg is None:
            return self.cohort(conference, wish.cohort) if wish.direction == "tx" else self.uplink(conference)
        leg = self._leg(conference, wish.leg)
        return self.tx(conference, leg) if wish.direction == "tx" else self.rx(leg)

    def _leg(self, conference: Conference, name: str) -> Leg:
        leg = self._state.legs.named(name)
        if leg.row not in conference.legs:
            raise PortError(Refusal.UNKNOWN_LEG, f"leg {name!r} is not in {conference.name!r}")
        return leg

    # -- commands -----------------------------------------------------------------------------

    def prepare(self, wish: KeyPrepare) -> Done:
        """Hold a key for later."""
        self._holder(wish).prepare(wish.key)
        return Done()

    def activate(self, wish: KeyActivate) -> Done:
        """Switch to a prepared key."""
        self._holder(wish).activate(wish.epoch)
        return Done()

    def retire(self, wish: KeyRetire) -> Done:
        """Destroy a key that is in use."""
        self._holder(wish).retire(wish.epoch)
        return Done()

    def abort(self, wish: KeyAbort) -> Done:
        """Forget a prepared key."""
        self._holder(wish).abort(wish.epoch)
        return Done()

    def bridge(self, wish: KeyBridge) -> Done:
        """Bridge legs, or end that."""
        conference = self._state.conferences.named(wish.conference)
        legs = self._state.legs
        if wish.legs is None:
            rows = self._keying.legs_of(conference, wish.cohort)
        else:
            named = [self._leg(conference, name) for name in wish.legs]
            for leg in named:
                if legs.mode[leg.row] < Mode.GROUP_SSRC:
                    raise PortError(Refusal.INVALID, f"leg {leg.name!r} hears no group key; leave it out")
                if legs.cohort[leg.row] != wish.cohort:
                    text = f"leg {leg.name!r} is of cohort {legs.cohort[leg.row]}, not {wish.cohort}"
                    raise PortError(Refusal.INVALID, text)
            rows = np.array([leg.row for leg in named], np.int64)
        if not wish.on and len(rows) and conference.line(wish.cohort).active is None:
            raise PortError(Refusal.KEY_MISSING, f"cohort {wish.cohort} has no active group key; activate one first")
        self._keying.bridge(rows, wish.on)
        return Done()

    # -- the keys that a conference begins with -----------------------------------------------

    def check_first(self, key: Key | None, uplink: Key | None, style: str) -> None:
        """May a conference begin with these keys? Raises `PortError`."""
        if uplink:
            check_key(uplink, "uplink_key")
            self._ledgers.check_unused(uplink.secret)
        if key:
            wishes.check_group_key(key, style, None)
            self._ledgers.check_unused(key.secret)
        if key and uplink and key.secret == uplink.secret:
            raise PortError(Refusal.KEY_REUSED, "`key` and `uplink_key` are the same; each direction needs its own")

    def begin(self, conference: Conference, key: Key | None, uplink: Key | None) -> None:
        """Begin with these keys, which have been checked. Raises `PortError` LIMIT if none can be taken."""
        if key:  # first, for the ledger may refuse
            self.cohort(conference, 0).begin(key)
        if uplink:
            self.uplink(conference).begin(uplink)
