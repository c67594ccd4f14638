"""Keys of single legs: the renewal of what a leg alone hears or sends under."""

from __future__ import annotations

from mixer import wishes
from mixer.conferences import Conference
from mixer.epochs import Life, check_key
from mixer.grace import Grace
from mixer.ledger import KeyLedger
from mixer.legs import Leg, Mode
from mixer.port import Key, KeySwitched, PortError, Refusal, StreamPosition
from mixer.state import State
from mixer.streams import first_index
from mixer.suites import SUITES


class LegKeys:
    """Prepares, activates, retires and aborts keys of legs."""

    def __init__(self, state: State, grace: Grace, sent: KeyLedger, received: KeyLedger) -> None:
        self._state, self._grace = state, grace
        self._sent_under, self._received_under = sent, received
        self._legs, self._sessions, self._streams = state.legs, state.sessions, state.streams

    def begin(self, leg: Leg, rx: Key | None, tx: Key | None) -> None:
        """The keys that a leg came with are the first of its lines."""
        for line, key in ((leg.rx, rx), (leg.tx, tx)):
            if key is not None:
                line.active, line.highest, line.since = wishes.nameplate(key), key.epoch, self._state.frame
        if rx is not None:
            self._received_under.record(rx.secret)

    def begin_uplink(self, leg: Leg, conference: Conference) -> None:
        """A leg under the conference's uplink key may begin under one that is prepared."""
        for _, key in sorted(conference.uplink.prepared.items()):
            self.hear_also(leg, wishes.copy_of(key))

    def prepare(self, leg: Leg, conference: Conference, key: Key, direction: str) -> None:
        """Hold the next key of a leg. Raises `PortError`, and then nothing has changed."""
        check_key(key, direction)
        if self._legs.mode[leg.row] == Mode.CLEAR:
            raise PortError(Refusal.INVALID, f"leg {leg.name!r} is clear; it has no keys")
        self._check_alone(leg, direction)
        if direction == "rx":
            self._check_rx(leg)
            leg.rx.check(key)
            self._sent_under.check(key.secret)
            self._received_under.record(key.secret)
            self._grace.prepare(leg, wishes.copy_of(key))
            return
        self._check_tx(leg, conference, key)
        leg.tx.check(key)
        self._sent_under.check(key.secret)
        self._received_under.check(key.secret)
        self._sent_under.record(key.secret)
        leg.tx.prepare(wishes.copy_of(key))
        self._count_mki(leg, conference, key, 1)

    def _check_alone(self, leg: Leg, direction: str) -> None:
        """What all legs under the uplink key do, none does by itself: it would never follow the others again."""
        if direction == "rx" and self._legs.group_uplink[leg.row]:
            raise PortError(Refusal.INVALID, "this leg sends under the conference's `uplink_key`: leave `leg` away")

    def _check_rx(self, leg: Leg) -> None:
        if leg.rx.active is None:
            raise PortError(Refusal.KEY_MISSING, "this leg was added without `rx` and cannot speak; add it anew")

    def _check_tx(self, leg: Leg, conference: Conference, key: Key) -> None:
        if leg.tx.active is None:
            raise PortError(Refusal.KEY_MISSING, "this leg was added without `tx`; add it anew")
        if key.roc:
            raise PortError(Refusal.INVALID, "a tx key has no `roc`: the mixer goes on where the stream stands")
        if self._legs.mode[leg.row] == Mode.GROUP_MKI:
            wishes.check_beside_group(key, conference)

    def activate(self, leg: Leg, conference: Conference, epoch: int, direction: str) -> None:
        """Switch to a prepared key of a leg."""
        self._check_alone(leg, direction)
        if direction == "rx":
            self._must_be_prepared(leg, epoch)
            self._grace.activate(leg, epoch)
            return
        before = [key for key in leg.tx.held() if key.epoch < epoch]
        key = leg.tx.activate(epoch, self._state.frame)
        for gone in before:
            self.forget_mki(leg, conference, gone)
        self._open(leg, conference, key)
        leg.tx.spend()
        self._state.events.append(
            KeySwitched(conference=conference.name, epoch=epoch, leg=leg.name, streams=[self._position(leg, epoch)])
        )

    def retire(self, leg: Leg, epoch: int, direction: str) -> None:
        """Accept nothing more under the key before."""
        self._check_alone(leg, direction)
        if direction == "tx":
            raise PortError(Refusal.INVALID, "a leg hears nothing without its key: activate another, or remove it")
        if leg.former is None or leg.rx.active is None or epoch >= leg.rx.active.epoch:
            raise PortError(Refusal.UNKNOWN_EPOCH, f"epoch {epoch} is not one that is still accepted")
        self._grace.end(leg)

    def abort(self, leg: Leg, epoch: int, direction: str) -> None:
        """Forget a prepared key of a leg."""
        self._check_alone(leg, direction)
        if direction == "rx":
            leg.rx.abort(epoch)
            self._grace.forget(leg)
            return
        key = leg.tx.prepared.get(epoch)
        leg.tx.abort(epoch)
        if key is not None:
            self.forget_mki(leg, self._state.conference_of(leg.row), key)

    # -- a leg under the conference's uplink key ----------------------------------------------

    def hear_also(self, leg: Leg, key: Key) -> None:
        """Accept the conference's next uplink key from a leg. Its line follows the conference's."""
        self._grace.prepare(leg, key)

    def follow(self, leg: Leg, what: str, epoch: int) -> None:
        """Do for a leg what was done with the conference's uplink key, if it has not been done by a packet."""
        if what == "retire":
            self._grace.end(leg)
        elif leg.rx.state(epoch) is Life.PREPARED:
            if what == "activate":
                self._grace.activate(leg, epoch)
            else:
                leg.rx.abort(epoch)
                self._grace.forget(leg)

    # -- what a leg hears ---------------------------------------------------------------------

    def _open(self, leg: Leg, conference: Conference, key: Key) -> None:
        """A session under the new key: at the same place in style `mki`, on a fresh SSRC otherwise."""
        legs, row = self._legs, leg.row
        former = int(legs.tx_session[row])
        joined = legs.mode[row] == Mode.GROUP_MKI
        if conference.style == "ssrc":
            ssrc = self._state.registry.allocate(conference.row)
            legs.own_ssrc[row], legs.own_index[row], legs.own_sent[row] = ssrc, first_index(), 0
            legs.fresh[row] = True
        ssrc = int(self._streams.ssrc[legs.stream[row]] if joined else legs.own_ssrc[row])
        session = self._sessions.open(SUITES[key.suite], key.secret, bytes.fromhex(key.mki), ssrc=ssrc)
        if conference.style == "mki":
            self._sessions.continue_rtcp(session, self._sessions.rtcp_index(former))
        self._sessions.close(former)
        legs.tx_session[row] = session

    def _position(self, leg: Leg, epoch: int) -> StreamPosition:
        legs, row = self._legs, leg.row
        stream = int(legs.stream[row])
        joined = legs.mode[row] == Mode.GROUP_MKI
        index = int(self._streams.index[stream] if joined else legs.own_index[row])
        return StreamPosition(
            ssrc=int(self._streams.ssrc[stream] if joined else legs.own_ssrc[row]),
            roc=index >> 16,
            seq=index & 0xFFFF,
            payload_type=int(self._streams.payload_type[stream]),
            epoch=epoch,
            cohort=int(legs.cohort[row]),
        )

    def forget_mki(self, leg: Leg, conference: Conference, key: Key) -> None:
        """A key of a leg is gone, and its name free."""
        self._count_mki(leg, conference, key, -1)

    def _count_mki(self, leg: Leg, conference: Conference, key: Key, count: int) -> None:
        if self._legs.mode[leg.row] == Mode.GROUP_MKI:
            conference.own_mkis[key.mki] += count
            if conference.own_mkis[key.mki] <= 0:
                del conference.own_mkis[key.mki]

    @staticmethod
    def _must_be_prepared(leg: Leg, epoch: int) -> None:
        if leg.rx.state(epoch) is not Life.PREPARED:
            raise PortError(Refusal.UNKNOWN_EPOCH, f"epoch {epoch} is not prepared")
