"""One run: everybody comes, some come and go, one goes on hold and back, one leaves, and all is judged.

Knows: the order of the acts. Must never know: how a caller is made, or how results are printed.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from bench.callers.caller import Caller
from bench.callers.cast import Cast, Casting, cast, speech_s
from bench.callers.judging import everybody_hears_everybody, hears
from bench.callers.script import Tally, arrive, churn, keeps_out
from bench.callers.table import Row
from control.sip.errors import SipError

SETTLE_S = 1.0
"""After the last answer, until what is heard is judged: a jitter buffer and a first key come in that time."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to happen."""

    uri: str
    casting: Casting = field(default_factory=Casting)
    seconds: float = 8.0
    """How long they talk, and are judged."""
    dials_per_s: float = 20.0
    churn_per_s: float = 0.0
    stay_s: float = 2.0
    """How long a churner stays, on average."""
    hold: bool = False
    rekey: bool = False
    """Each talker takes another key of its own in the call."""
    bound_s: float = 5.0
    """So long after a leave the leaver may still read; 0 to judge no leave."""
    seed: int = 1


@dataclass
class Outcome:
    """What came of it."""

    rows: list[Row]
    problems: list[str]
    arrivals: Tally
    churned: Tally
    control_reads: int | None = None
    """Packets of a neighbour that the leaver could read while it was in: under a group key there are some. None if
    nobody left."""
    samples: dict[str, Any] = field(default_factory=dict)
    """What each caller heard."""


async def play(plan: Plan) -> Outcome:
    """Do it."""
    players = await cast(plan.casting)
    try:
        return await _played(plan, players)
    finally:
        await players.close()


async def _played(plan: Plan, players: Cast) -> Outcome:
    arrivals = await arrive([*players.good, *players.bad], plan.uri, per_s=plan.dials_per_s)
    await asyncio.sleep(SETTLE_S)
    churned, unlike = await asyncio.gather(_coming_and_going(plan, players), _changing(plan, players.good))
    since_ns = time.monotonic_ns()
    churning = asyncio.create_task(_coming_and_going(plan, players))
    await asyncio.sleep(max(plan.seconds, speech_s(players) + SETTLE_S))
    until_ns = time.monotonic_ns()
    here = [caller for caller in players.good if caller.in_call]  # of the others it is said that they are not
    problems = unlike + _failures(players) + everybody_hears_everybody(here, since_ns, unheard=_unheard(players))
    rows = [
        Row(caller.report(until_ns), hears(caller, players.good, since_ns)) for caller in players.all if caller.calls
    ]
    samples = {caller.name: caller.heard() for caller in players.all if caller.calls}
    outcome = Outcome(rows, problems, arrivals, _sum(churned, await churning), samples=samples)
    if plan.bound_s:
        await _leaving(plan, players, outcome)
    return outcome


async def _coming_and_going(plan: Plan, players: Cast) -> Tally:
    if not plan.churn_per_s:
        return Tally()
    half = plan.seconds / 2
    return await churn(
        players.churners, plan.uri, calls_per_s=plan.churn_per_s, hold_s=plan.stay_s, seconds=half, seed=plan.seed
    )


async def _changing(plan: Plan, good: list[Caller]) -> list[str]:
    """The last of them goes on hold and comes back; the talkers take other keys. Returns what did not go well."""
    problems = []
    try:
        if plan.hold:
            await good[-1].hold()
            await asyncio.sleep(plan.seconds / 4)
            await good[-1].resume()
        for caller in good if plan.rekey else []:
            if caller.options.hz and caller.options.security == "sdes":
                await caller.rekey_own()
    except SipError as error:
        problems.append(f"a change in the call was refused: {error}")
    await asyncio.sleep(SETTLE_S if plan.hold or plan.rekey else 0)
    return problems


async def _leaving(plan: Plan, players: Cast, outcome: Outcome) -> None:
    """The last one hangs up; after the bound it must not read what its neighbour is sent, nor may any churner."""
    keyed = [caller for caller in players.good if caller.options.security == "sdes"]
    if len(keyed) < 2:
        return
    tap, leaver = keyed[-2:]
    outcome.control_reads = leaver.reads(tap.arrived_packets)
    await leaver.hang_up()
    came = len(tap.arrived_packets)
    await asyncio.sleep(plan.bound_s + SETTLE_S)
    if len(tap.arrived_packets) == came:
        outcome.problems.append(f"{tap.name} got no packet after {leaver.name} had left: nothing is proved")
    outcome.problems += keeps_out([leaver, *players.churners], tap, bound_s=plan.bound_s)


def _failures(players: Cast) -> list[str]:
    return [
        f"{caller.name} is not in the call: {caller.call.ended or 'it never came up'}"
        for caller in players.good
        if not caller.in_call
    ]


def _unheard(players: Cast) -> list[Caller]:
    """Nobody can hear them, for what they send is not under their keys."""
    return [one for one in players.bad if one.options.habits.clear_media or one.options.habits.wrong_key]


def _sum(one: Tally, other: Tally) -> Tally:
    return Tally(
        one.dialled + other.dialled,
        one.answered + other.answered,
        one.failures + other.failures,
        one.set_up_ms + other.set_up_ms,
    )
