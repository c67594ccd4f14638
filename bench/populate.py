"""Populate: a plan's conferences and legs, asked of a mixer over its control socket."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from bench.plan import LEVEL_ID, Plan
from bench.processes import Daemon
from mixer import port
from mixer.secret import Secret

_CHUNK: Final = 256
"""Legs added without waiting for a reply."""


async def populate(mixer: Daemon, plan: Plan, heard_at: int) -> None:
    """Create the plan's conferences and legs; their packets go to `heard_at` at each leg's address."""
    for number in range(plan.conferences):
        await mixer.client.call(_conference(plan, number))
    conference = plan.conference()
    commands = [_leg(plan, leg, int(conference[leg]), heard_at) for leg in range(plan.legs)]
    for first in range(0, plan.legs, _CHUNK):
        await asyncio.gather(*(mixer.client.call(command) for command in commands[first : first + _CHUNK]))


def _conference(plan: Plan, number: int) -> port.ConferenceCreate:
    return port.ConferenceCreate(
        conference=f"conference-{number}",
        rate=plan.mix_rate,  # type: ignore[arg-type]
        keying=plan.keying,
        style=plan.style,
        key=_key(plan, plan.group_key(number), "group") if plan.keying == "group" else None,
        uplink_key=(
            _key(plan, plan.group_uplink_key(number), "group uplink", plan.roc) if plan.uplink == "group" else None
        ),
        max_talkers=_most_talkers(plan),
    )


def _most_talkers(plan: Plan) -> int:
    """Who is mixed: room for some more than those who talk, unless everybody is heard; then the loudest, who talk."""
    return max(1 if plan.quiet == "sound" else 8, plan.talkers)


def _leg(plan: Plan, leg: int, conference: int, heard_at: int) -> port.LegAdd:
    own = not plan.clear and (plan.keying == "unique" or plan.style == "mki")
    return port.LegAdd(
        conference=f"conference-{conference}",
        leg=f"leg-{leg}",
        codec=plan.codec,  # type: ignore[arg-type]
        opus=port.Opus(bitrate=plan.bitrate, complexity=plan.complexity) if plan.codec == "opus" else None,
        level_in=LEVEL_ID if plan.quiet == "level127" else None,
        clear=plan.clear,
        rx=_key(plan, plan.rx_key(leg), "rx", plan.roc) if plan.uplink == "unique" and not plan.clear else None,
        tx=_key(plan, plan.tx_key(leg), "tx") if own else None,
        uplink=plan.uplink,
        ssrc=plan.ssrc(leg),
        remote=f"{plan.address(leg)}:{heard_at}",
    )


def _key(plan: Plan, secret: bytes, kind: Any, roc: int = 0) -> port.Key:
    return port.Key(suite=plan.suite, secret=Secret(secret), mki=plan.mki_of(kind).hex(), roc=roc)
