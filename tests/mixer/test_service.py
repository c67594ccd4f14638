"""The shell after a stall: what is given up is said first, then what arrived is read, then late ticks are run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from mixer.batch import Fanout
from mixer.config import MixerConfig
from mixer.service import CATCH_UP, SMALL_BUFFER, Service

TICK = 20_000_000


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1_000_000_000

    def monotonic_ns(self) -> int:
        return self.now

    perf_counter_ns = monotonic_ns

    def time(self) -> float:
        return self.now / 1e9


class Shell(Service):
    """Writes down what it does."""

    done: list[str]

    def _empty_sockets(self) -> None:
        self.done.append("read")

    def _skip(self, ticks: int) -> None:
        self.done.append(f"give up {ticks}")
        super()._skip(ticks)

    def _send(self, fanouts: list[Fanout]) -> None:
        self.done.append("tick")


@pytest.fixture
async def shell(clock: Clock) -> AsyncIterator[Shell]:
    made = Shell(MixerConfig(host="127.0.0.1", port=0, ledger="none", max_legs=8))
    made.done = []
    await made.start()
    assert made._timer is not None
    asyncio.get_running_loop().remove_reader(made._timer.fileno())  # it rings when the test says so
    try:
        yield made
    finally:
        await made.stop()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("mixer.service.time", made)
    return made


def wake(shell: Shell, clock: Clock, times: int, late_ns: int = 0) -> list[str]:
    """Let the timer ring so often, the last time too late; what was done."""
    shell.done.clear()
    for ring in range(times):
        moments = [*shell._moments(), 0]
        clock.now = shell._deadline() - moments[shell._emptied] + (late_ns if ring == times - 1 else 0)
        shell._wake()
    return shell.done


async def test_in_time_the_sockets_are_emptied_first_and_the_tick_begins_at_once(shell: Shell, clock: Clock) -> None:
    rings = len(shell._moments()) + 1
    assert wake(shell, clock, rings) == ["read"] * (rings - 1) + ["tick"]
    assert wake(shell, clock, rings, TICK // 2) == ["read"] * (rings - 1) + ["tick"]


@pytest.mark.parametrize(("octets", "times"), [(SMALL_BUFFER, 1), (SMALL_BUFFER - 1, 3)])
async def test_a_small_buffer_is_emptied_more_often(
    shell: Shell, clock: Clock, monkeypatch: pytest.MonkeyPatch, octets: int, times: int
) -> None:
    monkeypatch.setattr(type(shell.ports), "granted_rcvbuf", octets)
    assert wake(shell, clock, times + 1) == ["read"] * times + ["tick"]


async def test_before_ticks_that_are_late_what_arrived_meanwhile_is_read(shell: Shell, clock: Clock) -> None:
    rings = len(shell._moments()) + 1
    assert wake(shell, clock, rings, 3 * TICK) == ["read"] * rings + ["tick"] * 4


async def test_ticks_are_given_up_before_anything_is_read(shell: Shell, clock: Clock) -> None:
    rings = len(shell._moments()) + 1
    wake(shell, clock, rings)
    done = wake(shell, clock, rings, 10 * TICK)
    assert done == ["read"] * (rings - 1) + [f"give up {10 - CATCH_UP}", "read"] + ["tick"] * (CATCH_UP + 1)
    assert shell.lateness.percentiles_ms()["max"] == 200
    assert shell.lateness.skipped == 10 - CATCH_UP
    assert wake(shell, clock, rings) == ["read"] * (rings - 1) + ["tick"], "and then it is in time again"
