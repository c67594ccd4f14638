"""Admission: whose is a packet that no route knows, and may it be?

The slow path of routing, for the first packet of a leg, a new SSRC, or a leg that moved. A datagram may
be known by the port it came in on, by its SSRC (declared or claimed), by its address, or, if a leg has
shown neither yet, by that leg's key alone. Only a packet that authenticates is believed:

* its SSRC is then claimed for the leg, unless another leg of the conference has it (I11);
* its source becomes the leg's address, and a route is entered.

What a group key vouches for is a member, not which one: a leg with a group uplink key keeps its first
address, and an SSRC that is owned elsewhere is refused. Clear RTP proves nothing: it must come from the
signalled address, or be the first from anywhere if none was signalled.

The work here is bounded: so many packets and so many tried keys a tick, so many moves a leg.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer import addresses
from mixer.batch import Batch
from mixer.drops import Drop
from mixer.grace import OTHER_KEY, Grace, more_telling
from mixer.legs import Leg
from mixer.port import LegLatched, SsrcConflict
from mixer.routes import FIRST_LEG_PORT
from mixer.state import State

LOOKS: Final = 128
"""Packets without a route, and RTCP packets, that are looked at in one tick."""
TRIALS: Final = 128
"""Keys tried in one tick."""
TRIALS_EACH: Final = 16
"""Keys tried for a packet that only a key can place."""
SETTLE_MS: Final = 200
"""A leg that changed its SSRC or address may do so again after this time,"""
MOST_MOVES: Final = 1000
"""and so often in its life: libsrtp never forgets an SSRC."""

Rows = NDArray[np.int64]

_TELLING: Final = {
    Drop.NOT_SENDING: 1,
    Drop.TRUNCATED: 2,
    Drop.UNKNOWN_MKI: 3,
    Drop.AUTH_FAILED: 4,
    Drop.REPLAYED: 5,
    Drop.FLOOD: 6,
    Drop.SSRC_CONFLICT: 7,
}
"""Of several refusals of one packet, the one that tells most is counted; those not named here tell least."""


class Admission:
    """Lets legs in by what they can prove."""

    def __init__(self, state: State, grace: Grace) -> None:
        self._state, self._grace = state, grace
        self._legs, self._routes, self._registry = state.legs, state.routes, state.registry
        self._sessions, self._reception = state.sessions, state.reception
        self.nameless: set[int] = set()
        """Legs that nothing but their key can prove yet."""
        self._conflicts: set[tuple[int, int]] = set()
        self._looks = LOOKS
        self._trials = TRIALS
        self._turn = 0
        self._settle = state.ticks(SETTLE_MS)

    def begin(self) -> None:
        """A new tick, a new budget."""
        self._looks, self._trials = LOOKS, TRIALS

    def spend_look(self) -> bool:
        """Take one look from the budget; False if it is spent."""
        self._looks -= 1
        return self._looks >= 0

    def admit(
        self,
        batch: Batch,
        rows: Rows,
        address: NDArray[np.uint64],
        ssrc: Rows,
        leg: Rows,
        fate: NDArray[np.uint8],
        opened: NDArray[np.bool_],
    ) -> None:
        """Find legs for packets; fills `leg`, `fate`, and `opened` where a packet is decrypted already."""
        worth = self._routes.worth_a_look(address[rows], ssrc[rows], batch.local[rows])
        if self.nameless:
            worth[:] = True
        fate[rows] = Drop.UNKNOWN_SOURCE
        for row in rows[~worth].tolist():
            if self._registry.is_ours(int(ssrc[row])):
                fate[row] = Drop.LOOP
        for row in rows[worth].tolist():
            # An earlier packet of this batch may have opened the way.
            known = self._routes.find_one(int(address[row]), int(ssrc[row]))
            if known >= 0:
                leg[row], fate[row] = known, Drop.ACCEPTED
                continue
            if not self.spend_look():
                fate[row] = Drop.OVERLOAD
                continue
            fate[row], leg[row], clear = self._admit(batch, row, int(address[row]), int(ssrc[row]))
            if clear is not None:
                batch.octets[row, : len(clear)] = np.frombuffer(clear, np.uint8)
                batch.length[row] = len(clear)
                opened[row] = True

    def _admit(self, batch: Batch, row: int, address: int, ssrc: int) -> tuple[Drop, int, bytes | None]:
        if self._registry.is_ours(ssrc):
            return Drop.LOOP, -1, None
        packet = batch.octets[row, : batch.length[row]].tobytes()
        verdict = Drop.UNKNOWN_SOURCE
        for candidate, proven in self._candidates(address, ssrc, int(batch.local[row])):
            if self._trials <= 0:
                return max(verdict, Drop.OVERLOAD, key=lambda drop: _TELLING.get(drop, 0)), -1, None
            fate, clear = self._try(candidate, packet, address, ssrc, proven)
            if fate == Drop.ACCEPTED:
                self._welcome(candidate, ssrc, address, batch.source[row])
                return fate, candidate, clear
            verdict = max(verdict, fate, key=lambda drop: _TELLING.get(drop, 0))
        return verdict, -1, None

    def _candidates(self, address: int, ssrc: int, local: int) -> Iterator[tuple[int, bool]]:
        """Legs that a packet may belong to, most likely first, and whether more than a key says so."""
        if local >= FIRST_LEG_PORT:
            row = (local - FIRST_LEG_PORT) >> 1
            if self._legs.used[row] and self._legs.local[row] == local:
                yield row, True
            return
        named = {row for row in self._routes.by_ssrc.get(ssrc, ()) if self._legs.local[row] == local}
        yield from ((row, True) for row in sorted(named))
        placed = self._routes.by_address.get(address, set()) - named
        yield from ((row, True) for row in sorted(placed))
        yield from ((row, False) for row in self._next_trials(self.nameless - named - placed))

    def _next_trials(self, rows: set[int]) -> list[int]:
        """Whose key to try: some legs in turn. A clear leg believes anything, so it comes only after all keys."""
        keyed = sorted(row for row in rows if self._keyed(row))
        if len(keyed) <= TRIALS_EACH:
            return keyed + sorted(rows.difference(keyed))
        start = self._turn % len(keyed)
        self._turn += TRIALS_EACH
        return (keyed[start:] + keyed[:start])[:TRIALS_EACH]

    def _try(self, row: int, packet: bytes, address: int, ssrc: int, proven: bool) -> tuple[Drop, bytes | None]:
        """May this leg have sent this packet? Its fate, and the clear text if a key was used."""
        legs = self._legs
        leg = legs.at(row)
        if not legs.speaks[row]:
            return Drop.NOT_SENDING, None
        here = legs.located[row] and row in self._routes.by_address.get(address, set())
        keyed = self._keyed(row)
        if not here and ((not keyed and legs.located[row]) or (legs.group_uplink[row] and legs.latched[row])):
            return Drop.UNKNOWN_SOURCE, None
        if proven and (conflict := self._conflict(leg, ssrc)):
            return conflict, None
        if legs.latched[row] and (self._state.frame - legs.moved[row] < self._settle or legs.moves[row] >= MOST_MOVES):
            return Drop.FLOOD, None
        if not keyed:
            return self._conflict(leg, ssrc) or Drop.ACCEPTED, None
        if not here and self._is_stale(row, packet, ssrc):
            return Drop.REPLAYED, None
        fate, clear = self._unlock(leg, packet, ssrc)
        if fate != Drop.ACCEPTED:
            legs.auth_failures[row] += int(proven and fate == Drop.AUTH_FAILED)
            return fate, None
        conflict = self._conflict(leg, ssrc)
        return (conflict, None) if conflict else (fate, clear)

    def _is_stale(self, row: int, packet: bytes, ssrc: int) -> bool:
        """A packet that is behind what its leg has sent since does not show where the leg is now."""
        known = bool(self._legs.latched[row]) and int(self._legs.ssrc[row]) == ssrc
        return known and self._reception.is_behind(row, int.from_bytes(packet[2:4]))

    def _keyed(self, row: int) -> bool:
        return bool(self._legs.rx_session[row] >= 0) or self._legs.at(row).late_key is not None

    def _unlock(self, leg: Leg, packet: bytes, ssrc: int) -> tuple[Drop, bytes]:
        self._trials -= 1
        fate, clear = self._unlock_now(leg, packet, ssrc)
        if fate == Drop.ACCEPTED:
            self._grace.heard(np.array([leg.row]))
        if self._legs.changing_key[leg.row] and fate in OTHER_KEY:
            other, clear = self._grace.open(leg, packet)
            fate = more_telling(fate, other)
        return fate, clear

    def _unlock_now(self, leg: Leg, packet: bytes, ssrc: int) -> tuple[Drop, bytes]:
        if leg.late_key is None:
            return self._sessions.try_unprotect(int(self._legs.rx_session[leg.row]), packet)
        # The stream joins at a ROC: libsrtp takes one only for a session made for its SSRC.
        suite, secret, mki, roc = leg.late_key
        session = self._sessions.open(suite, secret, mki, ssrc=ssrc, roc=roc)
        fate, clear = self._sessions.try_unprotect(session, packet)
        if fate != Drop.ACCEPTED:
            self._sessions.close(session)
            return fate, b""
        self._legs.rx_session[leg.row] = session
        secret.wipe()
        leg.late_key = None
        return fate, clear

    def _conflict(self, leg: Leg, ssrc: int) -> Drop | None:
        """SSRC_CONFLICT if another leg owns it, UNKNOWN_SOURCE if this leg declared another."""
        legs = self._legs
        conference = int(legs.conference[leg.row])
        owner = self._registry.owner(conference, ssrc)
        if owner >= 0 and owner != leg.row:
            if (leg.row, ssrc) not in self._conflicts:
                self._conflicts.add((leg.row, ssrc))
                name = self._state.conferences.at(conference).name
                self._state.events.append(
                    SsrcConflict(conference=name, leg=leg.name, owner=legs.at(owner).name, ssrc=ssrc)
                )
            return Drop.SSRC_CONFLICT
        if legs.declared[leg.row] and legs.ssrc[leg.row] != ssrc:
            return Drop.UNKNOWN_SOURCE
        return None

    def _welcome(self, row: int, ssrc: int, address: int, source: NDArray[np.uint8]) -> None:
        """A packet authenticated: take its SSRC and address for the leg's."""
        legs, routes = self._legs, self._routes
        before = int(legs.ssrc[row])
        if before != ssrc:
            if before:
                self._registry.release(int(legs.conference[row]), before, row)
                routes.forget_ssrc(before, row)
                self._reception.restart(row)
                legs.at(row).sender_report = None
                self._state.fall_silent(row)
            self._registry.claim(int(legs.conference[row]), ssrc, row)
            legs.ssrc[row] = ssrc
            routes.know_ssrc(ssrc, row)
        self.locate(row, address, source)
        routes.add(address, ssrc, row)
        legs.heard[row] = legs.moved[row] = self._state.frame
        legs.moves[row] += 1
        self.nameless.discard(row)
        self.latch(row)

    def direct(self, leg: Leg, direction: str) -> None:
        """Let a leg speak and hear, or not."""
        self._legs.speaks[leg.row] = direction in ("sendrecv", "sendonly")
        self._legs.listens[leg.row] = direction in ("sendrecv", "recvonly")
        self.expect_by_key(leg.row)
        self._state.moved = True

    def place(self, row: int, source: NDArray[np.uint8]) -> None:
        """A leg was shown or said to be at this address, uint8[SOCKADDR], by other than its packets."""
        local = self._legs.local[row : row + 1]
        self.locate(row, int(self._routes.hash_addresses(source.reshape(1, -1), local)[0]), source)
        self.expect(row)

    def expect(self, row: int) -> None:
        """A leg whose address and SSRC were both signalled needs no admission: its key will tell."""
        legs = self._legs
        known = legs.located[row] and legs.declared[row]
        if known and self._routes.find_one(self._hash(row), int(legs.ssrc[row])) < 0:
            self._routes.add(self._hash(row), int(legs.ssrc[row]), row)

    def expect_by_key(self, row: int) -> None:
        """A leg that may speak, and of which neither address, SSRC nor port is known, is known by its key."""
        legs, wish = self._legs, self._legs.at(row).wish
        unknown = not (legs.located[row] or legs.latched[row] or wish.ssrc or wish.remote or wish.own_port)
        if unknown and legs.speaks[row]:
            self.nameless.add(row)
        else:
            self.nameless.discard(row)

    def latch(self, row: int) -> None:
        """Tell where a leg is, now that it has proved it."""
        legs = self._legs
        legs.latched[row] = True
        self._state.events.append(
            LegLatched(
                conference=self._state.conference_of(row).name,
                leg=legs.at(row).name,
                address=addresses.unpack(legs.address[row]),
                ssrc=int(legs.ssrc[row]),
            )
        )

    def locate(self, row: int, address: int, source: NDArray[np.uint8]) -> None:
        """Send to this address from now on."""
        legs = self._legs
        if legs.located[row] and (legs.address[row] == source).all():
            return
        self.forget_address(row)
        legs.located[row] = True
        legs.address[row] = source
        legs.rtcp_address[row] = source if legs.at(row).wish.rtcp_mux else addresses.next_port(source)
        self._routes.know_address(address, row)
        if not legs.at(row).wish.rtcp_mux:
            self._routes.know_address(self._hash(row, rtcp=True), row)
        self._state.moved = True

    def locate_rtcp(self, row: int, source: NDArray[np.uint8]) -> None:
        """A leg that was located has its RTCP there, and not one port above."""
        self._routes.forget_address(self._hash(row, rtcp=True), row)
        self._legs.rtcp_address[row] = source
        self._routes.know_address(self._hash(row, rtcp=True), row)

    def forget_address(self, row: int) -> None:
        """Stop expecting the leg where it was."""
        if self._legs.located[row]:
            self._routes.forget_address(self._hash(row), row)
            self._routes.forget_address(self._hash(row, rtcp=True), row)
            self._legs.located[row] = False
            self._state.moved = True

    def forget(self, row: int) -> None:
        """Forget all about a removed leg."""
        legs = self._legs
        self.forget_address(row)
        if legs.ssrc[row]:
            self._registry.release(int(legs.conference[row]), int(legs.ssrc[row]), row)
            self._routes.forget_ssrc(int(legs.ssrc[row]), row)
        self._routes.forget(row)
        self.nameless.discard(row)
        self._conflicts = {pair for pair in self._conflicts if pair[0] != row}

    def _hash(self, row: int, rtcp: bool = False) -> int:
        legs = self._legs
        source = legs.rtcp_address if rtcp else legs.address
        local = legs.rtcp_local if rtcp else legs.local
        return int(self._routes.hash_addresses(source[row : row + 1], local[row : row + 1])[0])
