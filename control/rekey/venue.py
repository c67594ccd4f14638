"""The venue: one conference on a mixer, as something that is shown, made and destroyed.

Knows: the mixer's words for that, and which refusals are none. Must never know: members, keys, or when.
"""

from __future__ import annotations

from control.client import Disconnected, MixerClient
from control.errors import ControlError
from control.messages import NodeInfo
from mixer import port


class Venue:
    """A conference on a mixer that may go and come back. Every word may raise `ControlError`."""

    def __init__(self, mixer: MixerClient, create: port.ConferenceCreate) -> None:
        """`create`: how it is made."""
        self._mixer, self._create, self._conference = mixer, create, create.conference

    async def boot(self) -> str:
        """Which life of the mixer this is."""
        return (await self._mixer.call(NodeInfo())).boot_id

    async def reach(self) -> str:
        """Connect anew; returns which life of the mixer that is."""
        await self._mixer.close()
        await self._mixer.connect()
        return await self.boot()

    async def listen(self) -> None:
        """Be told of its keys."""
        await self._mixer.subscribe(("key_expired", "key_switched"), conference=self._conference)

    async def shown(self) -> port.ConferenceStatus | None:
        """The conference, unless somebody else has destroyed it."""
        try:
            return await self._mixer.call(port.ConferenceShow(conference=self._conference))
        except ControlError as error:
            if error.refusal is not port.Refusal.UNKNOWN_CONFERENCE:
                raise
            return None

    async def make(self) -> None:
        """Empty, whatever an attempt before this one has left."""
        try:
            await self._mixer.call(self._create)
        except ControlError as error:
            if error.refusal is not port.Refusal.DUPLICATE_CONFERENCE:
                raise
            await self.destroy()
            await self._mixer.call(self._create)

    async def destroy(self) -> None:
        """With all its legs and keys. It may be gone already."""
        try:
            await self._mixer.call(port.ConferenceDestroy(conference=self._conference))
        except ControlError as error:
            if error.refusal is not port.Refusal.UNKNOWN_CONFERENCE:
                raise

    async def destroy_surely(self) -> None:
        """If the connection is broken, by another."""
        try:
            await self.destroy()
        except Disconnected:
            await self.reach()
            await self.destroy()
