"""Looking at a mixer again and again without becoming a burden to it.

Knows: what to ask, how often, and how to turn counters into rates. `mrfp top` draws it.
One look costs the mixer one `conference.show` of the chosen conference and a few of the others in
turn, however many there are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from control.client import ControlError, Disconnected, MixerClient
from control.messages import NodeInfo, NodeStatus
from mixer import port
from mixer.port import Refusal

OTHERS: Final = 16
"""Conferences looked at in one look, besides the chosen one."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen."""

    status: NodeStatus
    conferences: dict[str, port.ConferenceStatus | None] = field(default_factory=dict)
    """By name; None where it has not been looked at yet."""
    encodes_per_tick: float = 0.0
    encrypts_per_tick: float = 0.0
    sent_per_tick: float = 0.0


class Watcher:
    """Looks at one mixer."""

    def __init__(self, client: MixerClient) -> None:
        self._client = client
        self._before: NodeStatus | None = None
        self._seen: dict[str, port.ConferenceStatus] = {}
        self._turn = 0

    async def look(self, chosen: str | None = None) -> Look:
        """See how the mixer is, the `chosen` conference for certain and the others in turn.

        Raises:
            Disconnected: if the mixer does not answer.
        """
        status = await self._client.call(NodeInfo())
        names = (await self._client.call(port.ConferenceList())).conferences
        for name in self._pick(names, chosen):
            await self._show(name)
        self._seen = {name: seen for name, seen in self._seen.items() if name in set(names)}
        before, self._before = self._before, status
        if before is None or before.boot_id != status.boot_id or before.frame >= status.frame:
            before = None
        return Look(
            status=status,
            conferences={name: self._seen.get(name) for name in names},
            encodes_per_tick=_rate(status, before, "encodes"),
            encrypts_per_tick=_rate(status, before, "encrypts"),
            sent_per_tick=_rate(status, before, "packets_sent"),
        )

    def _pick(self, names: list[str], chosen: str | None) -> list[str]:
        if not names:
            return []
        start = self._turn % len(names)
        self._turn = start + OTHERS
        picked = (names[start:] + names[:start])[:OTHERS]
        return picked if chosen in picked or chosen not in names else [*picked, chosen]

    async def _show(self, name: str) -> None:
        try:
            self._seen[name] = await self._client.call(port.ConferenceShow(conference=name))
        except Disconnected:
            raise
        except ControlError as error:
            if error.refusal is not Refusal.UNKNOWN_CONFERENCE:  # else destroyed between two questions
                raise


def _rate(status: NodeStatus, before: NodeStatus | None, counter: str) -> float:
    """A counter's growth a tick, since the last look or since the start."""
    frames = status.frame - (before.frame if before else 0)
    grown = getattr(status, counter) - (getattr(before, counter) if before else 0)
    return grown / frames if frames else 0.0
