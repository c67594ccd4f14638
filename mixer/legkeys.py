"""Keys of single legs: the renewal of what a leg alone hears under, and of what it alone sends under."""

from __future__ import annotations

from dataclasses import dataclass

from mixer import wishes
from mixer.conferences import Conference
from mixer.epochs import Life, check_key
from mixer.grace import Grace
from mixer.ledger import Ledgers
from mixer.legs import Leg, Mode
from mixer.port import Key, KeySwitched, PortError, Refusal, StreamPosition
from mixer.state import State
from mixer.streams import first_index
from mixer.suites import SUITES


@dataclass(frozen=True, slots=True)
class LegRxKeys:
    """What one leg sends under. Every verb raises `PortError`, and then nothing has changed."""

    state: State
    grace: Grace
    ledgers: Ledgers
    leg: Leg

    def begin(self, key: Key) -> None:
        """The key that a leg comes with; it has been checked."""
        line = self.leg.rx
        line.active, line.highest, line.since = wishes.nameplate(key), key.epoch, self.state.frame
        self.ledgers.received.record(key.secret)

    def prepare(self, key: Key) -> None:
        """Accept what the leg sends under this key, too."""
        check_key(key, "rx")
        _check_keyed(self.state, self.leg)
        self._check_alone()
        if self.leg.rx.active is None:
            raise PortError(Refusal.KEY_MISSING, "this leg was added without `rx` and cannot speak; add it anew")
        self.leg.rx.check(key)
        self.ledgers.sent.check(key.secret)
        self.ledgers.received.record(key.secret)
        self.grace.prepare(self.leg, wishes.copy_of(key))

    def activate(self, epoch: int) -> None:
        """Switch, whether a packet has come under it or not."""
        self._check_alone()
        if self.leg.rx.state(epoch) is not Life.PREPARED:
            raise PortError(Refusal.UNKNOWN_EPOCH, f"epoch {epoch} is not prepared")
        self.grace.activate(self.leg, epoch)

    def retire(self, epoch: int) -> None:
        """Accept nothing more under the key before."""
        self._check_alone()
        active = self.leg.rx.active
        if self.leg.former is None or active is None or epoch >= active.epoch:
            raise PortError(Refusal.UNKNOWN_EPOCH, f"epoch {epoch} is not one that is still accepted")
        self.grace.end(self.leg)

    def abort(self, epoch: int) -> None:
        """Forget a prepared key."""
        self._check_alone()
        self.leg.rx.abort(epoch)
        self.grace.forget(self.leg)

    def _check_alone(self) -> None:
        """What all legs under the uplink key do, none does by itself: it would never follow the others again."""
        if self.state.legs.group_uplink[self.leg.row]:
            raise PortError(Refusal.INVALID, "this leg sends under the conference's `uplink_key`: leave `leg` away")


@dataclass(frozen=True, slots=True)
class LegTxKeys:
    """What one leg alone hears under. Every verb raises `PortError`, and then nothing has changed."""

    state: State
    ledgers: Ledgers
    conference: Conference
    leg: Leg

    def begin(self, key: Key) -> None:
        """The key that a leg comes with; it has been checked, and is in the ledger."""
        line = self.leg.tx
        line.active, line.highest, line.since = wishes.nameplate(key), key.epoch, self.state.frame

    def prepare(self, key: Key) -> None:
        """Hold the next key."""
        check_key(key, "tx")
        _check_keyed(self.state, self.leg)
        if self.leg.tx.active is None:
            raise PortError(Refusal.KEY_MISSING, "this leg was added without `tx`; add it anew")
        if key.roc:
            raise PortError(Refusal.INVALID, "a tx key has no `roc`: the mixer goes on where the stream stands")
        if self._joined():
            wishes.check_beside_group(key, self.conference)
        self.leg.tx.check(key)
        self.ledgers.check_unused(key.secret)
        self.ledgers.sent.record(key.secret)
        self.leg.tx.prepare(wishes.copy_of(key))
        self.name(key)

    def activate(self, epoch: int) -> None:
        """Switch: at the same place in style `mki`, on a fresh SSRC otherwise."""
        line = self.leg.tx
        before = [key for key in line.held() if key.epoch < epoch]
        key = line.activate(epoch, self.state.frame)
        for gone in before:
            self.unname(gone)
        self._open(key)
        line.spend()
        self.state.events.append(
            KeySwitched(
                conference=self.conference.name, epoch=epoch, leg=self.leg.name, streams=[self._position(epoch)]
            )
        )

    def retire(self, epoch: int) -> None:
        """There is no such thing."""
        raise PortError(Refusal.INVALID, "a leg hears nothing without its key: activate another, or remove it")

    def abort(self, epoch: int) -> None:
        """Forget a prepared key."""
        key = self.leg.tx.prepared.get(epoch)
        self.leg.tx.abort(epoch)
        if key is not None:
            self.unname(key)

    def leave(self) -> None:
        """The leg goes, and all these keys with it."""
        for key in self.leg.tx.held():
            self.unname(key)
        self.leg.tx.wipe()

    def name(self, key: Key) -> None:
        """Style `mki`: no group key may have the MKI of a leg's own key."""
        if self._joined():
            self.conference.own_mkis[key.mki] += 1

    def unname(self, key: Key) -> None:
        """A key is gone, and its name free, if no other leg has it."""
        if self._joined():
            names = self.conference.own_mkis
            names[key.mki] -= 1
            if names[key.mki] <= 0:
                del names[key.mki]

    def _joined(self) -> bool:
        """It is on the common stream's SSRC, beside the group key."""
        return bool(self.state.legs.mode[self.leg.row] == Mode.GROUP_MKI)

    def _open(self, key: Key) -> None:
        """A session under the new key: at the same place in style `mki`, on a fresh SSRC otherwise."""
        legs, row, sessions = self.state.legs, self.leg.row, self.state.sessions
        former = int(legs.tx_session[row])
        joined = legs.mode[row] == Mode.GROUP_MKI
        if self.conference.style == "ssrc":
            ssrc = self.state.registry.allocate(self.conference.row)
            legs.own_ssrc[row], legs.own_index[row], legs.own_sent[row] = ssrc, first_index(), 0
            legs.fresh[row] = True
        ssrc = int(self.state.streams.ssrc[legs.stream[row]] if joined else legs.own_ssrc[row])
        session = sessions.open(SUITES[key.suite], key.secret, bytes.fromhex(key.mki), ssrc=ssrc)
        if self.conference.style == "mki":
            sessions.continue_rtcp(session, sessions.rtcp_index(former))
        sessions.close(former)
        legs.tx_session[row] = session

    def _position(self, epoch: int) -> StreamPosition:
        legs, row, streams = self.state.legs, self.leg.row, self.state.streams
        stream = int(legs.stream[row])
        joined = legs.mode[row] == Mode.GROUP_MKI
        index = int(streams.index[stream] if joined else legs.own_index[row])
        return StreamPosition(
            ssrc=int(streams.ssrc[stream] if joined else legs.own_ssrc[row]),
            roc=index >> 16,
            seq=index & 0xFFFF,
            payload_type=int(streams.payload_type[stream]),
            epoch=epoch,
            cohort=int(legs.cohort[row]),
        )


def _check_keyed(state: State, leg: Leg) -> None:
    if state.legs.mode[leg.row] == Mode.CLEAR:
        raise PortError(Refusal.INVALID, f"leg {leg.name!r} is clear; it has no keys")
