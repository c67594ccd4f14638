"""The timetable: who calls when, into which room, with which key. Said once, and read by everybody who takes part.

Knows: numbers. Must never know: SIP, sockets, or what came of it.

Calls come at a rate and last for `concurrent / rate` seconds each, so that from then on as many are up as are asked
for. A call's media has an address of its own while it lasts, a *slot*; slots are used again, keys and SSRCs never.
"""

from __future__ import annotations

import hashlib
import heapq
import ipaddress
from functools import cached_property
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.plan import FIRST_ADDRESS
from mixer.suites import SUITES, Suite, SuiteName

SETTLE_S: Final = 2.0
"""From the last call of the ramp to the window that counts."""
REST_S: Final = 0.5
"""A slot is idle for so long at least between two calls."""
CLOSING_S: Final = 2.0
"""So long it takes for all to hang up in the end."""
ANSWER_S: Final = 0.1
"""A phone begins to talk so long after its INVITE."""
TICKS_PER_S: Final = 50


class Timetable(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One run. Times are in seconds from its beginning."""

    rate: float = 50.0
    """INVITEs a second."""
    concurrent: int = 500
    """Calls up, on average."""
    seconds: float = 30.0
    """The window that counts,"""
    arrivals: Literal["poisson", "even"] = "poisson"
    room_size: int = 20
    """Calls in a room, on average."""
    talkers: int = 3
    """Of the slots of each room so many talk; the others send silence."""
    suite: SuiteName = "AES_CM_128_HMAC_SHA1_80"
    seed: str = ""

    @property
    def parameters(self) -> Suite:
        return SUITES[self.suite]

    @property
    def hold_s(self) -> float:
        """How long a call lasts."""
        return self.concurrent / self.rate

    @property
    def window_s(self) -> tuple[float, float]:
        """When what counts begins and ends."""
        begin = self.hold_s + SETTLE_S
        return begin, begin + self.seconds

    @cached_property
    def slots(self) -> int:
        """How many addresses that takes."""
        return int(self._slot_of.max()) + 1

    @property
    def rooms(self) -> int:
        return max(1, round(self.concurrent / self.room_size))

    @property
    def ticks(self) -> int:
        """Of 20 ms, the whole run."""
        return round((self.window_s[1] + CLOSING_S) * TICKS_PER_S)

    @cached_property
    def begins_s(self) -> NDArray[np.float64]:
        """float64[calls]: when each INVITE is due; none after the window."""
        end, even = self.window_s[1], 1.0 / self.rate
        if self.arrivals == "even":
            return np.arange(0.0, end, even)
        rng = np.random.default_rng(int.from_bytes(hashlib.sha256(self.seed.encode()).digest()[:8]))
        gaps = rng.exponential(even, round(end * self.rate * 1.5) + 100)
        times = np.cumsum(gaps)
        return times[times < end]

    @property
    def calls(self) -> int:
        return len(self.begins_s)

    def ends_s(self, call: int) -> float:
        """When a call hangs up: after its time, or one after the other when the window is over."""
        return min(float(self.begins_s[call]) + self.hold_s, self.window_s[1] + call % 200 * CLOSING_S / 200)

    def slot(self, call: int) -> int:
        return int(self._slot_of[call])

    @cached_property
    def _slot_of(self) -> NDArray[np.intp]:
        """intp[calls]: of all slots that have rested, a call takes the one that has rested longest."""
        taken = np.zeros(self.calls, np.intp)
        resting: list[tuple[float, int]] = []
        made = 0
        for call, begin in enumerate(self.begins_s):
            if resting and resting[0][0] <= begin:
                _, slot = heapq.heappop(resting)
            else:
                slot, made = made, made + 1
            taken[call] = slot
            heapq.heappush(resting, (float(begin) + self.hold_s + REST_S, slot))
        return taken

    def room(self, call: int) -> str:
        return f"load-{self.slot(call) % self.rooms}"

    def talks(self, slot: int) -> bool:
        """Whether who has this slot has something to say."""
        return slot // self.rooms < self.talkers

    def address(self, slot: int) -> str:
        return str(ipaddress.IPv4Address(FIRST_ADDRESS + slot))

    def ssrc(self, call: int) -> int:
        return 0x5000_0000 + call * 16

    def key(self, call: int) -> bytes:
        """key || salt of what the caller sends."""
        return hashlib.shake_256(f"{self.seed}/{call}".encode()).digest(self.parameters.secret)

    def talking(self) -> NDArray[np.int32]:
        """int32[ticks, slots]: the call that sends from a slot in a tick, -1 if none does."""
        table = np.full((self.ticks, self.slots), -1, np.int32)
        for call, begin in enumerate(self.begins_s):
            first = round((begin + ANSWER_S) * TICKS_PER_S)
            table[first : round(self.ends_s(call) * TICKS_PER_S), self.slot(call)] = call
        return table


class Course(msgspec.Struct, kw_only=True):
    """What became of one call. Times are of CLOCK_REALTIME in ns; 0 if it has not happened."""

    call: int
    invited_ns: int = 0
    """The INVITE was sent,"""
    up_ns: int = 0
    """its 200 came,"""
    bye_ns: int = 0
    """the BYE was sent,"""
    over_ns: int = 0
    """and its 200 came."""
    status: int = 0
    """Of the final answer to the INVITE."""
    ended: str = ""
    """Why, if it was not by our BYE."""
    repeated: int = 0
    """Requests of ours that were sent again."""
    again: int = 0
    """Responses and requests of the focus that came again."""
    rekeyed_s: list[float] = []
    """When keys came by re-INVITE, in seconds from the beginning of the run."""
