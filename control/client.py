"""A typed client of the control protocol, for programs.

    async with MixerClient("unix:/run/mrfp/control.sock") as mixer:
        await mixer.call(port.ConferenceCreate(conference="room"))
        added = await mixer.call(port.LegAdd(conference="room", leg="alice", rx=key, tx=other))

Calls may overlap: each waits for its own reply. Events come through `events()`, on the same connection.
Keys in commands go out, to the mixer they belong to; wrapped, if it was given a
key-encryption key that the mixer has too:

    MixerClient("unix:/run/mrfp/control.sock", kek=kekfile.choose(Path("/etc/mrfp/keks"), "focus"))
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import overload

import msgspec

from control import envelope, messages
from control.dialler import Client, Disconnected
from control.errors import INVALID_PARAMS, ControlError
from control.keywrap import KeyWrapError, Wrapper
from control.protocol import MIXER
from mixer import port

__all__ = ["ControlError", "Disconnected", "MixerClient"]

Plain = (
    port.ConferenceCreate
    | port.ConferenceModify
    | port.ConferenceDestroy
    | port.LegModify
    | port.LegDial
    | port.KeyPrepare
    | port.KeyActivate
    | port.KeyRetire
    | port.KeyAbort
    | port.KeyBridge
    | port.PlayStart
    | port.PlayStop
    | port.RecordStart
    | port.RecordStop
    | messages.NodeDrain
    | messages.EventsSubscribe
    | messages.EventsUnsubscribe
)
"""Requests that are answered `Done`."""


class MixerClient(Client):
    """One connection to a mixer; use it as an async context manager."""

    def __init__(
        self,
        address: str,
        *,
        certificate: Path | None = None,
        key: Path | None = None,
        authority: Path | None = None,
        timeout_s: float = 30.0,
        backlog: int = 4096,
        kek: Wrapper | None = None,
    ) -> None:
        """`address` is `unix:/path` or `tls://host:port`; the latter needs the three PEM files.

        A call that gets no reply within `timeout_s` fails. `backlog` events wait to be iterated. With a `kek`
        every key in every command is sent wrapped under it, for the life of the mixer that we are connected to.
        """
        super().__init__(
            MIXER,
            address,
            certificate=certificate,
            key=key,
            authority=authority,
            timeout_s=timeout_s,
            backlog=backlog,
        )
        self._kek = kek
        self._boot = ""
        """Life of the mixer that keys are wrapped for: the one at the other end of this connection."""

    async def connect(self) -> None:
        """Connect, or connect again after `close`.

        Raises:
            Disconnected: with the reason, if that fails.
            ControlError: if keys are to be wrapped and the mixer does not say which life of it this is.
        """
        await super().connect()
        if self._kek is not None:
            try:
                self._boot = (await self.node_info()).boot_id
            except BaseException:
                await self.close()
                raise

    @overload
    async def call(self, command: Plain) -> port.Done: ...
    @overload
    async def call(self, command: port.ConferenceShow) -> port.ConferenceStatus: ...
    @overload
    async def call(self, command: port.ConferenceList) -> port.ConferenceNames: ...
    @overload
    async def call(self, command: port.LegAdd) -> port.LegAdded: ...
    @overload
    async def call(self, command: port.LegRemove) -> port.LegStatus: ...
    @overload
    async def call(self, command: port.ConferenceLevels) -> port.Levels: ...
    @overload
    async def call(self, command: messages.NodeInfo) -> messages.NodeStatus: ...
    @overload
    async def call(self, command: messages.NodeAudit) -> messages.Audit: ...

    async def call(self, command: msgspec.Struct) -> msgspec.Struct:
        """Have the mixer do something, and return its reply.

        Raises:
            ControlError: if it refuses; nothing has changed then.
            Disconnected: if there is no connection, or it broke, or there was no reply in time.
        """
        return await self.request(MIXER.method_of[type(command)], command)

    async def node_info(self) -> messages.NodeStatus:
        """What the mixer is, and how it is doing."""
        return await self.call(messages.NodeInfo())

    async def subscribe(self, events: Sequence[messages.EventName] = (), conference: str | None = None) -> None:
        """Have events collected for `events()` from now on."""
        await self.call(messages.EventsSubscribe(events=tuple(events), conference=conference))

    async def events(
        self, events: Sequence[messages.EventName] | None = None, conference: str | None = None
    ) -> AsyncIterator[port.Event | messages.Missed]:
        """Events as they come, and `Missed` where some were lost; ends with the connection.

        Subscribes first if told which `events` (`()` for all) or which `conference`; after
        `subscribe` neither is needed.
        """
        if events is not None or conference is not None:
            await self.subscribe(events or (), conference)
        while (event := await self._backlog.next()) is not None:
            yield event

    def _outgoing(self, params: msgspec.Struct) -> msgspec.Struct:
        if self._kek is None:
            return params
        try:
            return envelope.seal(params, self._kek, self._boot)
        except KeyWrapError as error:
            raise ControlError(INVALID_PARAMS, str(error)) from None
