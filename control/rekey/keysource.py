"""Where group keys come from: the KMS, told who is a member, and found again whenever it was away.

Knows: conferences, their members, and what the KMS still has to be told of them. Must never know: what keys are for,
or when one is wanted.

Nobody is made a key for before the KMS knows who has left: what it was to be told and could not is told before the
next key is made, in order, or there is none (invariant I4: members may fetch keys by themselves).
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from control.errors import INTERNAL_ERROR, ControlError
from control.kms.client import Disconnected, KmsClient, Refusal
from mixer.secret import Secret
from mixer.suites import SuiteName

AT_ONCE: Final = 400
"""Members named in one request: a line holds 65,536 octets, and a name takes up to 131."""


class EpochsMade(ControlError):
    """The KMS has made higher epochs of this conference, and makes none twice: go on above `floor`."""

    def __init__(self, refused: ControlError, floor: int) -> None:
        super().__init__(refused.code, refused.message, refused.refusal, highest=floor)
        self.floor = floor


class KeySource(Protocol):
    """Who makes group keys: the KMS."""

    async def make(self, conference: str, cohort: int, epoch: int, suite: SuiteName) -> Secret:
        """The secret of a generation, 32 octets. Raises `ControlError` if there is none, `EpochsMade` if never."""
        ...

    async def admit(self, conference: str, member: str) -> None:
        """A member may have keys made from now on. Raises `ControlError` if it may not."""
        ...

    async def expel(self, conference: str, member: str) -> None:
        """A member may have none any more. Raises `ControlError`."""
        ...

    async def close(self, conference: str) -> None:
        """A conference is no more, nor are its keys. Raises `ControlError`."""
        ...


@dataclass(slots=True)
class _Conference:
    members: dict[str, None] = field(default_factory=dict)
    owed: deque[tuple[bool, str]] = field(default_factory=deque)
    """What the KMS has not been told: (admitted or else expelled, member), in order."""
    ours: bool = False
    """We have registered it in this life of ours: what the KMS knows of it, it has from us."""
    registered: bool = False
    """The KMS at the other end of this connection knows it."""


class KmsKeys:
    """A `KeySource` that is a `mrfp kms`. Connects when it is needed, and again after a failure."""

    def __init__(self, client: KmsClient) -> None:
        self._client = client
        self._conferences: dict[str, _Conference] = {}
        self._lock = asyncio.Lock()
        self._connected = False
        self._connections = 0

    async def make(self, conference: str, cohort: int, epoch: int, suite: SuiteName) -> Secret:
        number = await self._tell(conference)
        try:
            made = await self._client.create_epoch(conference, epoch=epoch, cohort=cohort, suite=suite, kind="secret")
        except Disconnected:
            await self._drop(number)
            raise
        except ControlError as error:
            self._note(conference, error)
            if error.refusal is Refusal.BAD_EPOCH and error.highest is not None:
                raise EpochsMade(error, error.highest) from None
            raise
        return made.secret

    async def admit(self, conference: str, member: str) -> None:
        known = self._of(conference)
        known.members[member] = None
        known.owed.append((True, member))
        await self._tell(conference)

    async def expel(self, conference: str, member: str) -> None:
        known = self._of(conference)
        known.members.pop(member, None)
        known.owed.append((False, member))
        await self._tell(conference)

    async def close(self, conference: str) -> None:
        self._conferences.pop(conference, None)
        async with self._lock:
            try:
                await self._connect()
                await self._client.close_conference(conference)
            except Disconnected:
                await self._forget()
                raise
            except ControlError as error:
                if error.refusal is not Refusal.NOT_AUTHORISED:  # nothing of that name is known there
                    raise

    def _of(self, conference: str) -> _Conference:
        return self._conferences.setdefault(conference, _Conference())

    async def _tell(self, conference: str) -> int:
        """Have the KMS know all that it should; returns the number of the connection."""
        known = self._of(conference)
        async with self._lock:
            try:
                await self._connect()
                if not known.registered:
                    await self._register(conference, known)
                while known.owed:
                    await self._pay(conference, known)
            except Disconnected:
                await self._forget()
                raise
            except ControlError as error:
                self._note(conference, error)
                raise
            return self._connections

    async def _connect(self) -> None:
        if not self._connected:
            await self._client.connect()
            self._connected = True

    async def _register(self, conference: str, known: _Conference) -> None:
        """Make a conference known, with its members, unless the KMS has it from us already.

        If it has it from a former life of this focus, nobody knows whom it takes for a member: it is to begin anew.
        """
        names = list(known.members)
        try:
            await self._client.register(conference, names[:AT_ONCE])
        except ControlError as error:
            if error.refusal is not Refusal.DUPLICATE_CONFERENCE:
                raise
            if known.ours:
                known.registered = True
                return
            await self._client.close_conference(conference)
            await self._client.register(conference, names[:AT_ONCE])
        known.ours = known.registered = True
        known.owed = deque((True, name) for name in names[AT_ONCE:])

    async def _pay(self, conference: str, known: _Conference) -> None:
        """Tell one thing; a refusal settles it too, unless it may be asked again."""
        admitted, member = known.owed[0]
        try:
            await (self._client.admit if admitted else self._client.expel)(conference, member)
        except Disconnected:
            raise
        except ControlError as error:
            if error.code == INTERNAL_ERROR or error.refusal in (Refusal.RATE_LIMITED, Refusal.NOT_AUTHORISED):
                raise
            if admitted or error.refusal is not Refusal.UNKNOWN_MEMBER:
                _log.warning("kms_refused", conference=conference, member=member, reason=str(error))
        known.owed.popleft()

    def _note(self, conference: str, error: ControlError) -> None:
        """It does not know the conference any more: somebody else of our name has closed it."""
        if error.refusal is Refusal.NOT_AUTHORISED:
            known = self._of(conference)
            known.registered = known.ours = False

    async def _drop(self, number: int) -> None:
        """A connection broke; others may have noticed, and have another already."""
        async with self._lock:
            if number == self._connections:
                await self._forget()

    async def _forget(self) -> None:
        self._connected = False
        self._connections += 1
        for known in self._conferences.values():
            known.registered = False
        await self._client.close()


_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("rekey")
