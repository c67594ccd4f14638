"""Calls become commands of the mixer, one at a time, with a breath between.

Knows: which method asks the mixer for what. Must never know: sockets or lines.

Commands of all controllers pass through one turnstile. After each the event loop runs once, so that
a burst of a thousand joins is a thousand small pauses for the tick instead of a long one. Commands that wait
for a disk go round it: nobody else need wait for that disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol, cast

import msgspec

from control import envelope
from control.keywrap import KeyWrapError, Wrapper
from control.messages import Audit, AuditedConference, AuditedLeg, NodeAudit, NodeDrain, NodeInfo, NodeStatus
from mixer import port


class Mixer(Protocol):
    """What control needs of a mixer. `mixer.service.Service` is one; tests have a fake."""

    async def apply(self, command: port.Command) -> port.Reply:
        """Run a command between ticks. Raises `port.PortError` if it is refused."""
        ...

    def subscribe(self, callback: Callable[[port.Event], None]) -> Callable[[], None]:
        """Have every event handed over; the result ends that."""
        ...

    def info(self) -> Mapping[str, object]:
        """The facts of `NodeStatus`, as plain values."""
        ...

    async def drain(self) -> None:
        """Say goodbye to every leg and refuse new ones."""
        ...


class Director:
    """Runs calls against one mixer."""

    def __init__(
        self, mixer: Mixer, *, keks: Mapping[str, Wrapper] | None = None, require_wrapped: bool = False
    ) -> None:
        """`keks`: key-encryption keys by name. `require_wrapped`: refuse keys in clear."""
        self._mixer = mixer
        self._keks = keks or {}
        self._require_wrapped = require_wrapped
        self._turnstile = asyncio.Lock()
        self._draining = False
        self.faults = 0
        """Requests that ended in an error of our own."""

    @property
    def mixer(self) -> Mixer:
        return self._mixer

    async def run(self, params: msgspec.Struct) -> msgspec.Struct:
        """Do what a call asks.

        Raises:
            port.PortError: if the mixer refuses; nothing has changed then.
        """
        if isinstance(params, NodeInfo):
            return self.status()
        if isinstance(params, NodeAudit):
            return await self._audit()
        if isinstance(params, NodeDrain):
            await self.drain()
            return port.Done()
        return await self._apply(cast(port.Command, params))

    def status(self) -> NodeStatus:
        """The mixer's facts, as of now."""
        info = self._mixer.info()
        known = {name: info[name] for name in NodeStatus.__struct_fields__ if name in info}
        known["draining"] = bool(known.get("draining")) or self._draining
        return msgspec.convert(known, NodeStatus, strict=False)

    async def drain(self) -> None:
        """Send the legs away and take no new ones."""
        self._draining = True
        await self._mixer.drain()

    async def _apply(self, command: port.Command) -> port.Reply:
        if isinstance(command, port.PlayStart | port.RecordStart):
            return await self._mixer.apply(command)
        async with self._turnstile:
            try:
                return await self._mixer.apply(self._unsealed(command))
            finally:
                await asyncio.sleep(0)

    def _unsealed(self, command: port.Command) -> port.Command:
        """The command with its keys in clear; the mixer knows of no other."""
        if not envelope.has_keys(command):
            return command
        boot = str(self._mixer.info()["boot_id"])
        try:
            return envelope.unseal(command, self._keks, boot, required=self._require_wrapped)
        except KeyWrapError as error:
            raise port.PortError(port.Refusal.BAD_KEY, str(error)) from None

    async def _audit(self) -> Audit:
        names = cast(port.ConferenceNames, await self._apply(port.ConferenceList()))
        conferences: list[AuditedConference] = []
        for name in names.conferences:
            try:
                shown = await self._apply(port.ConferenceShow(conference=name))
            except port.PortError as gone:
                if gone.refusal is not port.Refusal.UNKNOWN_CONFERENCE:
                    raise
                continue  # destroyed by somebody else since the list was made
            conferences.append(_audited(cast(port.ConferenceStatus, shown)))
        status = self.status()
        return Audit(boot_id=status.boot_id, frame=status.frame, draining=status.draining, conferences=conferences)


def _audited(shown: port.ConferenceStatus) -> AuditedConference:
    return AuditedConference(
        conference=shown.conference,
        rate=shown.rate,
        keying=shown.keying,
        style=shown.style,
        cohorts=shown.cohorts,
        streams=shown.streams,
        legs=[_audited_leg(leg) for leg in shown.legs],
    )


def _audited_leg(leg: port.LegStatus) -> AuditedLeg:
    return AuditedLeg(
        leg=leg.leg,
        codec=leg.codec,
        direction=leg.direction,
        keying=leg.keying,
        suite=leg.suite,
        cohort=leg.cohort,
        epoch=leg.epoch,
        address=leg.address,
        ssrc=leg.ssrc,
        muted=leg.muted,
    )
