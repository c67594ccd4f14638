"""The clock of calls, on a loop whose time the test moves."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from control.focus.call import Call
from control.focus.clock import Clock
from control.focus.errands import Errands, Faults
from control.focus.identity import Identity
from control.focus.media import Place
from control.sdp.terms import KNOWN_CODECS, Terms
from control.sip.session_timer import Terms as Session

THEIRS = Session(90, "them")
OURS = Session(90, "us")


class Time:
    """Of the loop: what is called later waits for `pass_to`."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._cancelled: set[int] = set()

    def call_later(self, delay: float, callback: Callable[..., object], *args: object) -> Any:
        number = len(self._due) + 1000 * int(self.now)
        heapq.heappush(self._due, (self.now + delay, number, callback, args))
        return Handle(lambda: self._cancelled.add(number))

    async def pass_to(self, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            self.now, number, callback, args = heapq.heappop(self._due)
            if number not in self._cancelled:
                callback(*args)
                await asyncio.sleep(0)
        self.now = now


class Handle:
    def __init__(self, cancel: Callable[[], None]) -> None:
        self.cancel = cancel


class House:
    """A clock, and what it has had done."""

    def __init__(self) -> None:
        self.time = Time()
        self.done: list[tuple[float, str]] = []
        self.faults = Faults()
        self.clock = Clock(self._refresh, self._give_up, 1000.0, Errands(self.faults))
        terms = Terms(codecs=KNOWN_CODECS, suites=("AES_CM_128_HMAC_SHA1_80",), allow_clear=False)
        self.call = Call("ann.1", Identity("sip:ann@a"), terms, Place("127.0.0.1", "", 4000, None), cname="room")

    async def _refresh(self, call: Call) -> None:
        self.done.append((self.time.now, "refresh"))

    async def _give_up(self, call: Call, reason: str) -> None:
        self.done.append((self.time.now, reason))
        self.clock.stop(call)


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    here = House()
    monkeypatch.setattr("control.focus.clock.asyncio.get_running_loop", lambda: here.time)
    yield here
    assert not here.faults.count


async def test_our_turn_to_refresh(house: House) -> None:
    house.clock.set(house.call, OURS)
    await house.time.pass_to(50)
    assert house.done == [(45.0, "refresh")]
    house.clock.set(house.call, OURS)
    await house.time.pass_to(100)
    assert house.done[1:] == [(95.0, "refresh")]
    await house.time.pass_to(200)
    assert house.done[2:] == [(110.0, "the session was not refreshed")], "50 and 90 less a third"
    assert not len(house.clock)


async def test_their_turn(house: House) -> None:
    house.clock.set(house.call, THEIRS)
    await house.time.pass_to(59)
    house.clock.set(house.call, THEIRS)
    await house.time.pass_to(118)
    assert not house.done
    await house.time.pass_to(130)
    assert house.done == [(119.0, "the session was not refreshed")]


async def test_no_call_lasts_for_ever(house: House) -> None:
    house.clock.set(house.call, None)
    await house.time.pass_to(900)
    house.clock.set(house.call, None)
    await house.time.pass_to(2000)
    assert house.done == [(1000.0, "no call lasts longer")]


async def test_nothing_is_done_for_a_call_that_is_over(house: House) -> None:
    house.clock.set(house.call, OURS)
    house.call.ending = True
    house.clock.stop(house.call)
    house.clock.set(house.call, OURS)
    assert not len(house.clock)
    await house.time.pass_to(2000)
    assert not house.done
