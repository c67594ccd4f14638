"""The key desk: group keys of cohorts and of uplinks, and who is bridged. Keys of single legs: `legkeys`.

Every check comes before the first change. A key is in the ledger before it is held.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixer import wishes
from mixer.conferences import Conference
from mixer.epochs import KeyLine, check_key
from mixer.keying import Keying
from mixer.ledger import KeyLedger
from mixer.legkeys import LegKeys
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


class KeyDesk:
    """Serves what concerns keys of a running conference."""

    def __init__(self, state: State, keying: Keying, legkeys: LegKeys, sent: KeyLedger, received: KeyLedger) -> None:
        self._state, self._keying, self._legkeys = state, keying, legkeys
        self._sent_under, self._received_under = sent, received
        """Keys of our own packets, and of legs' packets: SSRCs are unique in one conference only."""

    # -- the first keys -----------------------------------------------------------------------

    def check_first(self, key: Key | None, uplink: Key | None, style: str) -> None:
        """May a conference begin with these keys? Raises `PortError`."""
        if uplink:
            check_key(uplink, "uplink_key")
            self._check_fresh(uplink, None)
        if key:
            wishes.check_group_key(key, style, None)
            self._check_fresh(key, uplink)

    def hold_first(self, conference: Conference, key: Key | None, uplink: Key | None) -> None:
        """Begin with these keys, which have been checked. Raises `PortError` LIMIT if none can be taken."""
        if key:  # first, for the ledger may refuse
            self._hold(conference, 0, key)
            conference.cohorts[0].activate(key.epoch, self._state.frame)
        if uplink:
            self._received_under.record(uplink.secret)
            conference.uplink.prepare(wishes.copy_of(uplink))
            conference.uplink.activate(uplink.epoch)

    def _check_fresh(self, key: Key, other: Key | None) -> None:
        self._sent_under.check(key.secret)
        self._received_under.check(key.secret)
        if other and other.secret == key.secret:
            raise PortError(Refusal.KEY_REUSED, "`key` and `uplink_key` are the same; each direction needs its own")

    # -- commands -----------------------------------------------------------------------------

    def prepare(self, wish: KeyPrepare) -> Done:
        """Hold a key for later."""
        conference = self._state.conferences.named(wish.conference)
        if wish.leg is not None:
            self._legkeys.prepare(self._leg(conference, wish.leg), conference, wish.key, wish.direction)
        elif wish.direction == "rx":
            self._prepare_uplink(conference, wish.key)
        else:
            self._prepare_group(conference, wish.cohort, wish.key)
        return Done()

    def activate(self, wish: KeyActivate) -> Done:
        """Switch to a prepared key."""
        conference = self._state.conferences.named(wish.conference)
        if wish.leg is not None:
            self._legkeys.activate(self._leg(conference, wish.leg), conference, wish.epoch, wish.direction)
        elif wish.direction == "rx":
            conference.uplink.activate(wish.epoch, self._state.frame)
            self._for_uplinks(conference, "activate", wish.epoch)
        else:
            conference.line(wish.cohort).activate(wish.epoch, self._state.frame)
            self._keying.switch(conference, wish.cohort)
        return Done()

    def retire(self, wish: KeyRetire) -> Done:
        """Destroy a key that is in use."""
        conference = self._state.conferences.named(wish.conference)
        if wish.leg is not None:
            self._legkeys.retire(self._leg(conference, wish.leg), wish.epoch, wish.direction)
        elif wish.direction == "rx":
            if wish.epoch >= (conference.uplink.active.epoch if conference.uplink.active else 0):
                raise PortError(Refusal.UNKNOWN_EPOCH, f"epoch {wish.epoch} is not one before the active one")
            self._for_uplinks(conference, "retire", wish.epoch)
        else:
            conference.line(wish.cohort).retire(wish.epoch)
            self._keying.unkey(conference, wish.cohort)
            self.bridge_all(conference, wish.cohort)
        return Done()

    def abort(self, wish: KeyAbort) -> Done:
        """Forget a prepared key."""
        conference = self._state.conferences.named(wish.conference)
        if wish.leg is not None:
            self._legkeys.abort(self._leg(conference, wish.leg), wish.epoch, wish.direction)
        elif wish.direction == "rx":
            conference.uplink.abort(wish.epoch)
            self._for_uplinks(conference, "abort", wish.epoch)
        else:
            conference.line(wish.cohort).abort(wish.epoch)
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
        self._bridge(rows, wish.on)
        return Done()

    def bridge_all(self, conference: Conference, cohort: int) -> None:
        """Nothing more goes out under the group key of a cohort."""
        self._bridge(self._keying.legs_of(conference, cohort), True)

    def _bridge(self, rows: NDArray[np.int64], on: bool) -> None:
        legs = self._state.legs
        changed = rows[legs.bridged[rows] != on]
        legs.bridged[changed] = on
        legs.fresh[changed] = True
        self._keying.forget_minus(changed)
        self._state.moved = True

    # -- group keys ---------------------------------------------------------------------------

    def _prepare_group(self, conference: Conference, cohort: int, key: Key) -> None:
        wishes.check_group_key(key, conference.style, conference.shape)
        self._check_fresh(key, None)
        if key.mki and (key.mki in conference.own_mkis or key.mki in conference.mkis()):
            raise PortError(Refusal.INVALID, f"MKI {key.mki} names another key of this conference")
        conference.line(cohort).check(key)
        self._hold(conference, cohort, key)

    def _hold(self, conference: Conference, cohort: int, key: Key) -> None:
        self._sent_under.record(key.secret)
        if conference.style == "mki":
            conference.shape = (key.suite, len(key.mki))
        conference.cohorts.setdefault(cohort, KeyLine()).prepare(wishes.copy_of(key))

    def _prepare_uplink(self, conference: Conference, key: Key) -> None:
        check_key(key, "uplink_key")
        self._check_fresh(key, None)
        if conference.uplink.active is None:
            raise PortError(Refusal.INVALID, "this conference began without an `uplink_key`; it can't have one later")
        conference.uplink.check(key)
        legs = [leg for leg in self._uplinks(conference) if leg.rx.highest < key.epoch]
        for leg in legs:  # one may have begun under a key that the conference has aborted since
            leg.rx.check(key)
        self._received_under.record(key.secret)
        conference.uplink.prepare(wishes.copy_of(key))
        for leg in legs:
            self._legkeys.hear_also(leg, wishes.copy_of(key))

    def _for_uplinks(self, conference: Conference, what: str, epoch: int) -> None:
        for leg in self._uplinks(conference):
            self._legkeys.follow(leg, what, epoch)

    def _uplinks(self, conference: Conference) -> list[Leg]:
        legs = self._state.legs
        return [legs.at(row) for row in sorted(conference.legs) if legs.group_uplink[row]]

    def _leg(self, conference: Conference, name: str) -> Leg:
        leg = self._state.legs.named(name)
        if leg.row not in conference.legs:
            raise PortError(Refusal.UNKNOWN_LEG, f"leg {name!r} is not in {conference.name!r}")
        return leg
