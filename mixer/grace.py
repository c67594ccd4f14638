"""Grace: what a leg sends while its key changes.

A leg switches when it likes. From `key.prepare` on its packets may be under the session's key or under a
prepared one; the first authentic packet under that activates it, and for a moment packets of before, late on
their way, are still accepted. Which key a packet has, its MKI tells, or without one the authentication
(RFC 4568 section 7.1.4). The rollover counter goes on (RFC 3711 section 3.3.1), also through a key that control
activated and under which nothing has come.

Only packets that the session's key did not open come here, and only of legs that are changing keys; how many
are tried in a tick is bounded, in all and for each leg. What a packet claims binds nothing: it may be forged.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer.batch import Batch
from mixer.drops import Drop
from mixer.legs import Former, Leg, Waiting
from mixer.port import Key, KeySwitched, StreamPosition
from mixer.secret import Secret
from mixer.state import State
from mixer.suites import SUITES

TRIALS: Final = 512
"""Packets tried in one tick, each under four keys at most."""
TRIALS_EACH: Final = 16
"""The same for one leg."""

OTHER_KEY: Final = (Drop.AUTH_FAILED, Drop.UNKNOWN_MKI, Drop.REPLAYED)
"""What a packet under another key is called by a session: libsrtp looks for replays before it authenticates."""

Rows = NDArray[np.int64]


class Grace:
    """Opens what the session's key does not."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._legs, self._sessions = state.legs, state.sessions
        self._changing: set[int] = set()
        """Legs with a former session."""
        self._trials, self._tried = TRIALS, Counter[int]()

    def begin(self) -> None:
        """A new tick: a new budget, and former keys whose time is over are destroyed."""
        self._trials, self._tried = TRIALS, Counter()
        for row in list(self._changing):
            former = self._legs.at(row).former
            if former is None or former.until <= self._state.frame:
                self.end(self._legs.at(row))

    def end(self, leg: Leg) -> None:
        """Accept nothing any more under the key of before."""
        if leg.former is not None:
            if self._legs.awaited[leg.row]:
                leg.stood = self._stand(leg)
            self._sessions.close(leg.former.session)
            leg.former = None
        self._changing.discard(leg.row)
        self._note(leg)

    def prepare(self, leg: Leg, key: Key) -> None:
        """Accept what the leg sends under this key, too."""
        leg.rx.prepare(key)
        self._note(leg)

    def activate(self, leg: Leg, epoch: int) -> None:
        """From now on the leg's key is a prepared one, whether a packet has come under it or not."""
        legs, row = self._legs, leg.row
        key, ssrc = leg.rx.prepared[epoch], int(legs.ssrc[row])
        if key.roc and not ssrc:
            late = (SUITES[key.suite], Secret(key.secret.reveal()), bytes.fromhex(key.mki), key.roc)
            self._replace(leg, epoch, -1)
            leg.late_key = late
        else:
            self._replace(leg, epoch, self._session(leg, key, ssrc, None))
        legs.awaited[row] = legs.latched[row]
        self._note(leg)

    def _replace(self, leg: Leg, epoch: int, session: int) -> None:
        """A session under a prepared key takes over."""
        legs, row, stood = self._legs, leg.row, self._stand(leg)
        if session >= 0:
            del leg.waiting[epoch]
        leg.rx.activate(epoch, self._state.frame)
        leg.rx.spend()
        self.forget(leg)
        self.end(leg)
        leg.former, leg.stood = Former(int(legs.rx_session[row]), self._state.frame + self._ticks()), stood
        self._changing.add(row)
        legs.rx_session[row] = session
        if leg.late_key:
            leg.late_key[1].wipe()
            leg.late_key = None
        legs.awaited[row] = False
        self._note(leg)

    def renew(self, leg: Leg, session: int) -> None:
        """A session under keys that came otherwise takes over; it stands at ROC 0, whatever stood before."""
        self.end(leg)
        leg.former = Former(int(self._legs.rx_session[leg.row]), self._state.frame + self._ticks())
        self._changing.add(leg.row)
        self._legs.rx_session[leg.row] = session
        self._note(leg)

    def heard(self, rows: Rows) -> None:
        """The sessions of these legs, int64[n], have opened packets."""
        for row in set(rows[self._legs.awaited[rows]].tolist()):
            self._legs.awaited[row] = False
            self._note(self._legs.at(row))

    def forget(self, leg: Leg) -> None:
        """Close the sessions of keys that are not prepared any more."""
        for epoch in [epoch for epoch in leg.waiting if epoch not in leg.rx.prepared]:
            self._sessions.close(leg.waiting.pop(epoch).session)
        self._note(leg)

    def leave(self, leg: Leg) -> None:
        """A leg goes, and all its keys with it."""
        leg.rx.wipe()
        self.forget(leg)
        self.end(leg)

    # -- packets ------------------------------------------------------------------------------

    def retry(
        self, batch: Batch, rows: Rows, who: Rows, tried: Rows, saved: list[bytes], fate: NDArray[np.uint8]
    ) -> None:
        """Open packets that the sessions `tried` did not; `saved` is as they came, `fate` is written to."""
        for at, (row, leg, session, packet) in enumerate(
            zip(rows.tolist(), who.tolist(), tried.tolist(), saved, strict=True)
        ):
            if fate[at] not in OTHER_KEY:
                continue
            verdict, clear = Drop.UNKNOWN_MKI, b""
            if self._legs.rx_session[leg] != session:  # an earlier packet of this batch has switched
                verdict, clear = self._sessions.try_unprotect(int(self._legs.rx_session[leg]), packet)
            if verdict != Drop.ACCEPTED:
                verdict, clear = self.open(self._legs.at(leg), packet)
            fate[at] = more_telling(Drop(int(fate[at])), verdict)
            if verdict == Drop.ACCEPTED:
                batch.octets[row, : len(clear)] = np.frombuffer(clear, np.uint8)
                batch.length[row] = len(clear)

    def open(self, leg: Leg, packet: bytes) -> tuple[Drop, bytes]:
        """Try the keys before and after the session's on an RTP packet: its fate, and the clear text."""
        verdict, ssrc, seq = Drop.UNKNOWN_MKI, int.from_bytes(packet[8:12]), int.from_bytes(packet[2:4])
        if not self._spend(leg):
            return verdict, b""
        for epoch, session in [*self._awaited(leg, ssrc, seq), *self._others(leg, ssrc, seq)]:
            fate, clear = self._sessions.try_unprotect(session, packet)
            if fate == Drop.ACCEPTED:
                if epoch in leg.rx.prepared:
                    self._adopt(leg, epoch, session, clear)
                elif session == self._legs.rx_session[leg.row]:
                    self.heard(np.array([leg.row]))
                return fate, clear
            verdict = more_telling(verdict, fate)
        return verdict, b""

    def open_rtcp(self, leg: Leg, packet: bytes) -> tuple[Drop, bytes]:
        """The same for RTCP, which activates nothing: near a switch it may be under either key."""
        verdict = Drop.UNKNOWN_MKI
        if not self._spend(leg):
            return verdict, b""
        for _, session in self._others(leg, int.from_bytes(packet[4:8]), None):
            fate, clear = self._sessions.unprotect_rtcp(session, packet)
            if fate == Drop.ACCEPTED:
                return fate, clear
            verdict = more_telling(verdict, fate)
        return verdict, b""

    def _spend(self, leg: Leg) -> bool:
        """Take one packet from the budget; False if it is spent."""
        if self._trials <= 0 or self._tried[leg.row] >= TRIALS_EACH:
            return False
        self._trials -= 1
        self._tried[leg.row] += 1
        return True

    def _others(self, leg: Leg, ssrc: int, seq: int | None) -> list[tuple[int, int]]:
        """(epoch, session) of the keys to try: prepared ones, and epoch 0 for the one before."""
        others = [(epoch, self._session(leg, key, ssrc, seq)) for epoch, key in sorted(leg.rx.prepared.items())]
        if leg.former is not None and leg.former.session >= 0:
            others.append((0, leg.former.session))
        return others

    def _awaited(self, leg: Leg, ssrc: int, seq: int) -> list[tuple[int, int]]:
        """The same of a session that control activated, if it has opened nothing yet: its stream may have gone on
        into the next rollover before it came."""
        if not self._legs.awaited[leg.row] or self._legs.ssrc[leg.row] != ssrc:
            return []
        session = int(self._legs.rx_session[leg.row])
        self._sessions.set_roc(session, self._rollover(leg, seq))
        return [(0, session)]

    def _session(self, leg: Leg, key: Key, ssrc: int, seq: int | None) -> int:
        """A session for a prepared key, for a packet; no sequence number means the stream as it stands. What a
        packet only claims never outlives it: it may be forged."""
        legs, row = self._legs, leg.row
        if legs.latched[row]:
            own = int(legs.ssrc[row])
            ssrc, roc = own, self._rollover(leg, seq if ssrc == own else None)
        else:
            ssrc, roc = (ssrc, key.roc) if key.roc else (0, 0)
        waiting = leg.waiting.get(key.epoch)
        if waiting is not None and waiting.ssrc != ssrc:
            self._sessions.close(waiting.session)
            waiting = None
        if waiting is None:
            suite, mki = SUITES[key.suite], bytes.fromhex(key.mki)
            session = self._sessions.open(suite, key.secret, mki, ssrc=ssrc, roc=roc, others=True)
        else:
            session = waiting.session
            if waiting.roc != roc:
                self._sessions.set_roc(session, roc)
        leg.waiting[key.epoch] = Waiting(session, ssrc, roc)
        return session

    def _rollover(self, leg: Leg, seq: int | None) -> int:
        """The rollover counter of a packet by RFC 3711 section 3.3.1, or of the last one."""
        roc = self._stand(leg)
        if seq is None:
            return roc
        step = seq - (int(self._state.reception.highest[leg.row]) & 0xFFFF)
        return max(0, roc + (step < -0x8000) - (step > 0x8000))

    def _stand(self, leg: Leg) -> int:
        """The rollover counter of the last packet that a leg's keys opened."""
        legs, row = self._legs, leg.row
        ssrc = int(legs.ssrc[row])
        if not legs.awaited[row]:
            return self._sessions.roc(int(legs.rx_session[row]), ssrc) if legs.rx_session[row] >= 0 else 0
        former = leg.former.session if leg.former is not None else -1
        return max(leg.stood, self._sessions.roc(former, ssrc) if former >= 0 else 0)

    def _adopt(self, leg: Leg, epoch: int, session: int, clear: bytes) -> None:
        """A packet authenticated under a prepared key: the leg has switched."""
        ssrc, seq = int.from_bytes(clear[8:12]), int.from_bytes(clear[2:4])
        roc = self._sessions.roc(session, ssrc)
        position = StreamPosition(ssrc=ssrc, roc=roc, seq=seq, payload_type=clear[1] & 0x7F, epoch=epoch)
        self._replace(leg, epoch, session)
        self._state.events.append(
            KeySwitched(
                conference=self._state.conference_of(leg.row).name,
                epoch=epoch,
                leg=leg.name,
                direction="rx",
                streams=[position],
            )
        )

    def _note(self, leg: Leg) -> None:
        changing = bool(leg.rx.prepared) or leg.former is not None or bool(self._legs.awaited[leg.row])
        self._legs.changing_key[leg.row] = changing

    def _ticks(self) -> int:
        return self._state.ticks(self._state.config.rx_grace_ms)


def more_telling(one: Drop, other: Drop) -> Drop:
    """Of two verdicts on one packet the one that counts: it was opened, or came before, or is forged."""
    return max(one, other, key=_TELLING.index)


_TELLING: Final = (Drop.UNKNOWN_MKI, Drop.TRUNCATED, Drop.AUTH_FAILED, Drop.REPLAYED, Drop.ACCEPTED)
