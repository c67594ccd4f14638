"""Handshakes in progress: datagrams to their associations, and the keys to the legs.

    receive     sorts what arrived: to a handshake in progress, or a ClientHello to the cookie exchange
    step        once a tick: a bounded number of steps; what they send leaves with the tick's packets

Every endpoint that calls proves first that it is where it says (RFC 6347 section 4.2.1): before that nothing is
remembered and no more is sent than came. Which leg it is, its certificate tells (`promises`). An address becomes a
leg's only by a handshake that is done. What does not fit into a tick waits; what does not fit at all is dropped,
and the other end sends it again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer.batch import Batch
from mixer.drops import Drop
from mixer.dtls import Association, Endpoint, Shown, Stage, client_random
from mixer.legs import Leg
from mixer.promises import Place, Promises, is_active, matches
from mixer.reports import Packet
from mixer.state import State
from mixer.takeover import Takeover

BUDGET: Final = 56
"""Work in one tick at most, in units of about 30 microseconds: under 2 ms, and 100 handshakes a second. A datagram
that is only read, or a ClientHello that is sent a cookie, costs one,"""
BEGIN: Final = 3
"""a ClientHello with its cookie so many,"""
FLIGHT: Final = 8
"""and a datagram that is answered by a flight, with signatures and key agreement, so many."""
HELLOS: Final = 16
"""ClientHellos of strangers answered in one tick."""
WAITING: Final = 1024
"""Datagrams that wait for their step at most; and as many ClientHellos."""
STRANGERS: Final = 64
"""Handshakes at a time with endpoints that no leg was said to be."""
OCTETS: Final = 32768
"""Octets that an endpoint may send before its handshake is done: a chain of certificates fits."""
SMALLEST: Final = 256
"""A datagram counts for no less: each has to be looked at, and they wait in one line."""
PERIOD_MS: Final = 30_000
"""A cookie is good for one to two of these."""
LOOK_MS: Final = 100
"""How often retransmission timers and deadlines are looked at."""


@dataclass(slots=True)
class _Attempt:
    association: Association
    place: Place
    leg: Leg | None
    """Whose it is: known at once if we called, else when it is done."""
    random: bytes
    """Names the ClientHello that it began with."""
    until: int
    """Frame at which it must be done, or is forgotten."""
    stranger: bool
    octets: int = 0

    @property
    def is_shaking(self) -> bool:
        return self.association.stage is Stage.SHAKING

    @property
    def is_call(self) -> bool:
        """We called, and wait for the answer."""
        return self.is_shaking and self.leg is not None


class Handshakes:
    """All handshakes of a mixer, and the finished ones for as long as the peer may not know that they are."""

    def __init__(self, state: State, endpoint: Endpoint, takeover: Takeover) -> None:
        self._state, self._endpoint, self._takeover = state, endpoint, takeover
        self._promises = Promises(state)
        self._attempts: dict[Place, _Attempt] = {}
        self._waiting: deque[tuple[_Attempt, bytes]] = deque()
        """Datagrams of handshakes in progress; an empty one lets a handshake begin."""
        self._expected: deque[tuple[Place, bytes]] = deque()
        """ClientHellos from where a leg was said to be,"""
        self._strangers: deque[tuple[Place, bytes]] = deque()
        """and from elsewhere."""
        self._outbox: list[Packet] = []
        self._timeout = state.ticks(int(state.config.dtls_timeout_s * 1000))
        self.done = self.failed = 0

    # -- legs ---------------------------------------------------------------------------------

    def expect(self, leg: Leg, remote: NDArray[np.uint8] | None) -> None:
        """A DTLS leg has come, or was said to be elsewhere. If we are active, this calls it."""
        self._promises.expect(leg, remote)
        if is_active(leg):
            self._drop(leg)
            for place in self._promises.places(leg):
                association = self._endpoint.call(lambda shown: bool(matches(leg, shown)))
                self._begin(association, place, b"", leg)

    def forget(self, leg: Leg) -> None:
        """A leg is gone."""
        self._promises.forget(leg)
        self._drop(leg)

    def _drop(self, leg: Leg, local: int | None = None) -> None:
        """Forget the handshakes of a leg, or those of one local port."""
        mine = [place for place, attempt in self._attempts.items() if attempt.leg is leg]
        for place in mine:
            if local is None or place[1] == local:
                del self._attempts[place]

    @property
    def in_progress(self) -> int:
        """Handshakes that are remembered and not done."""
        return sum(attempt.is_shaking for attempt in self._attempts.values())

    # -- what arrives -------------------------------------------------------------------------

    def receive(self, batch: Batch, fate: NDArray[np.uint8]) -> None:
        """Take the DTLS datagrams of a batch; fills in the fates of those that are ours."""
        if not self._promises:
            return
        for row in np.flatnonzero(fate == Drop.DTLS).tolist():
            place = batch.source[row].tobytes(), int(batch.local[row])
            fate[row] = self._sort(place, batch.octets[row, : batch.length[row]].tobytes())

    def _sort(self, place: Place, datagram: bytes) -> Drop:
        attempt, random = self._attempts.get(place), client_random(datagram)
        if attempt and (random is None or random == attempt.random):
            attempt.octets += max(len(datagram), SMALLEST)
            if len(self._waiting) >= WAITING or attempt.octets > OCTETS:
                return Drop.OVERLOAD
            self._waiting.append((attempt, datagram))
            return Drop.ACCEPTED
        if random is None or (attempt and attempt.is_call):
            return Drop.DTLS
        line = self._expected if self._promises.is_hinted(place) else self._strangers
        if len(line) >= WAITING:
            return Drop.OVERLOAD
        line.append((place, datagram))
        return Drop.ACCEPTED

    # -- once a tick --------------------------------------------------------------------------

    def step(self) -> list[Packet]:
        """Go on with some handshakes; what is to be sent."""
        if not (self._promises or self._attempts):
            return []
        self._spend(BUDGET)
        if self._state.frame % self._state.ticks(LOOK_MS) == 0:
            self._look()
        packets, self._outbox = self._outbox, []
        return packets

    def _spend(self, budget: int) -> None:
        """What is under way goes first, then who is expected, then a few strangers."""
        while self._waiting and budget > 0:
            budget -= self._go_on(*self._waiting.popleft())
        while self._expected and budget > 0:
            budget -= self._greet(*self._expected.popleft())
        budget = min(budget, HELLOS)
        while self._strangers and budget > 0:
            budget -= self._greet(*self._strangers.popleft())

    def _greet(self, place: Place, hello: bytes) -> int:
        """The cookie exchange; who passes it begins a handshake, in place of an earlier one. Returns its cost."""
        period = self._state.elapsed_ms // PERIOD_MS
        name = place[0] + place[1].to_bytes(4)
        answer = self._endpoint.greet(hello, name, period, lambda shown: self._is_promised(place, shown))
        if isinstance(answer, list):
            self._send(place, answer)
            return 1
        self._begin(answer, place, client_random(hello) or b"", None)
        return BEGIN

    def _is_promised(self, place: Place, shown: Shown) -> bool:
        return self._promises.keeper(place, shown) is not None

    def _begin(self, association: Association, place: Place, random: bytes, leg: Leg | None) -> None:
        stranger = leg is None and not self._promises.is_hinted(place)
        if stranger and self._count_strangers() >= STRANGERS:
            return
        attempt = _Attempt(association, place, leg, random, self._state.frame + self._timeout, stranger)
        self._attempts[place] = attempt
        self._waiting.append((attempt, b""))

    def _count_strangers(self) -> int:
        return sum(one.stranger and one.is_shaking for one in self._attempts.values())

    def _go_on(self, attempt: _Attempt, datagram: bytes) -> int:
        """Give a handshake its next datagram. Returns its cost."""
        if self._attempts.get(attempt.place) is not attempt:
            return 0
        before = attempt.association.stage
        if datagram:
            attempt.association.receive(datagram)
        else:
            attempt.association.advance()
        answer = attempt.association.take()
        self._send(attempt.place, answer)
        if before is Stage.SHAKING:
            self._settle(attempt)
        return FLIGHT if answer or attempt.association.stage is not before else 1

    def _settle(self, attempt: _Attempt) -> None:
        """If a handshake is over, give its keys to its leg, or say why not."""
        association = attempt.association
        if association.stage is Stage.DONE:
            kept = self._keeper(attempt)
            if kept is None:  # the leg went while it was under way
                self._give_up(attempt, "no leg was promised this certificate")
                return
            self._conclude(attempt, *kept)
        elif association.stage is Stage.FAILED:
            self._give_up(attempt, association.reason)

    def _conclude(self, attempt: _Attempt, leg: Leg, proof: str) -> None:
        source, local = attempt.place
        self._drop(leg, local)
        self._attempts[attempt.place] = attempt
        self.done += 1
        # The last flight may be lost: who repeats the one before is answered for a while.
        attempt.leg, attempt.until, attempt.octets = leg, self._state.frame + 2 * self._timeout, 0
        keys, address = attempt.association.keys(), np.frombuffer(source, np.uint8)
        self._takeover.take(leg, keys, address, proof=proof, rtcp=bool(local & 1))

    def _keeper(self, attempt: _Attempt) -> tuple[Leg, str] | None:
        shown, leg = attempt.association.shown, attempt.leg
        return (leg, matches(leg, shown)) if leg else self._promises.keeper(attempt.place, shown)

    def _give_up(self, attempt: _Attempt, reason: str) -> None:
        self.failed += 1
        del self._attempts[attempt.place]
        self._promises.complain(attempt.place, attempt.leg, f"DTLS handshake failed: {reason}")

    # -- time ---------------------------------------------------------------------------------

    def _look(self) -> None:
        """Retransmissions, and what takes too long."""
        for attempt in list(self._attempts.values()):
            if attempt.until <= self._state.frame:
                self.failed += attempt.is_shaking
                del self._attempts[attempt.place]
            elif attempt.is_shaking:
                attempt.association.retransmit()
                self._send(attempt.place, attempt.association.take())
                self._settle(attempt)
        self._promises.look()

    def _send(self, place: Place, datagrams: list[bytes]) -> None:
        address = np.frombuffer(place[0], np.uint8)
        self._outbox += [(octets, address, place[1]) for octets in datagrams]
