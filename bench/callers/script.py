"""What callers do together: come, come and go, and try what they must not be able to. Plain functions, to be composed.

    await arrive(callers, uri, per_s=20)
    await churn(others, uri, calls_per_s=2, hold_s=3, seconds=10, seed=1)
    problems = keeps_out(others, tap=callers[0], bound_s=5)

Knows: callers. Must never know: what they call, what they hear (`judging`), or how anything is printed.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bench.callers.call import Call
from bench.callers.caller import Caller
from control.sdp.model import SdpError
from control.sdp.refusal import Unacceptable
from control.sip.errors import SipError


@dataclass
class Tally:
    """What came of many calls."""

    dialled: int = 0
    answered: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    """Those that came to nothing, by reason."""
    set_up_ms: list[float] = field(default_factory=list)


async def arrive(callers: Iterable[Caller], uri: str, *, per_s: float) -> Tally:
    """Everybody dials, so many a second; returns when all have been answered or refused."""
    tally = Tally()
    async with asyncio.TaskGroup() as dialling:
        for caller in callers:
            dialling.create_task(try_dialling(caller, uri, tally))
            await asyncio.sleep(1 / per_s)
    return tally


async def try_dialling(caller: Caller, uri: str, tally: Tally) -> bool:
    """Dial once; false if nothing came of it."""
    tally.dialled += 1
    try:
        report = await caller.dial(uri)
    except (SipError, SdpError, Unacceptable) as error:
        tally.failures[str(error)] += 1
        return False
    tally.answered += 1
    tally.set_up_ms.append(report.set_up_ms)
    return True


async def churn(
    callers: Sequence[Caller], uri: str, *, calls_per_s: float, hold_s: float, seconds: float, seed: int
) -> Tally:
    """Whoever is free dials, stays for a while and hangs up; arrivals and stays are exponential, as telephony has them.

    A seed gives the same schedule again. Who finds no free caller is counted as a failure.
    """
    dice, tally = random.Random(seed), Tally()
    free = list(callers)
    end = asyncio.get_running_loop().time() + seconds
    async with asyncio.TaskGroup() as calls:
        while (pause := dice.expovariate(calls_per_s)) + asyncio.get_running_loop().time() < end:
            await asyncio.sleep(pause)
            stay = dice.expovariate(1 / hold_s)
            if free:
                calls.create_task(_come_and_go(free.pop(0), uri, stay, free, tally))
            else:
                tally.failures["no caller was free: open more"] += 1
    return tally


async def _come_and_go(caller: Caller, uri: str, stay: float, free: list[Caller], tally: Tally) -> None:
    if await try_dialling(caller, uri, tally):
        await asyncio.sleep(stay)
        await caller.hang_up()
    free.append(caller)


def keeps_out(leavers: Iterable[Caller], tap: Caller, *, bound_s: float) -> list[str]:
    """Who has hung up for longer than the bound reads nothing of somebody else's line."""
    problems = []
    for leaver in leavers:
        for call, until_ns in _absences(leaver):
            later = [packet for when, packet in tap.arrived_packets if call.ended_ns + bound_s * 1e9 < when < until_ns]
            read = call.keyring.reads(later)
            if read:
                problems.append(f"{leaver.name} has hung up and reads {read} of {len(later)} packets of {tap.name}")
    return problems


def _absences(leaver: Caller) -> list[tuple[Call, float]]:
    """Calls that are over, each with when the next one began: with what it is told then it may read again."""
    begins = [float(call.began_ns) for call in leaver.calls] + [float("inf")]
    return [(call, begin) for call, begin in zip(leaver.calls, begins[1:], strict=True) if call.ended]
