"""A typed client of the KMS, for conference systems and for members.

    async with KmsClient("unix:/run/mrfp/kms.sock") as kms:
        await kms.register("room", ["alice", "bob"])
        made = await kms.create_epoch("room", epoch=1)

A refusal is a `ControlError` whose `refusal` is one of `control.kms.errors.Refusal`; `retry_after_s` says
when to ask again if it came too fast. If the connection breaks (`Disconnected`), `connect` again: a KMS
with the same `boot_id` still knows everything, and `create_epoch` gives the same key again; one with
another has forgotten all conferences, and wants epochs above those it made.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import msgspec

from control.dialler import Client, Disconnected
from control.errors import ControlError
from control.kms import messages
from control.kms.errors import Refusal
from control.kms.messages import KMS, Kind
from mixer.suites import SuiteName

__all__ = ["ControlError", "Disconnected", "KmsClient", "Refusal"]


class KmsClient(Client):
    """One connection to a KMS; use it as an async context manager. Every call raises `ControlError` if refused."""

    def __init__(
        self,
        address: str,
        *,
        certificate: Path | None = None,
        key: Path | None = None,
        authority: Path | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        """`address` is `unix:/path` or `tls://host:port`; the latter needs the three PEM files."""
        super().__init__(
            KMS, address, certificate=certificate, key=key, authority=authority, timeout_s=timeout_s, backlog=1
        )

    async def info(self) -> messages.KmsStatus:
        """How the KMS is doing, and which life of it this is."""
        return cast(messages.KmsStatus, await self._ask(messages.KmsInfo()))

    async def register(self, conference: str, members: Iterable[str] = ()) -> None:
        """Make a conference known, and own it."""
        await self._ask(messages.ConferenceRegister(conference=conference, members=tuple(members)))

    async def close_conference(self, conference: str) -> None:
        """End a conference; its keys are wiped."""
        await self._ask(messages.ConferenceClose(conference=conference))

    async def admit(self, conference: str, member: str) -> None:
        """Let a member have epochs made from now on."""
        await self._ask(messages.MemberAdmit(conference=conference, member=member))

    async def expel(self, conference: str, member: str) -> None:
        """Let a member have no key any more."""
        await self._ask(messages.MemberExpel(conference=conference, member=member))

    async def create_epoch(
        self,
        conference: str,
        *,
        epoch: int,
        cohort: int = 0,
        suite: SuiteName = "AES_CM_128_HMAC_SHA1_80",
        kind: Kind = "secret",
    ) -> messages.EpochKey:
        """Have a key made; the same call again gives the same key as long as it is kept."""
        asked = messages.EpochCreate(conference=conference, cohort=cohort, epoch=epoch, suite=suite, kind=kind)
        return cast(messages.EpochKey, await self._ask(asked))

    async def fetch_epoch(self, conference: str, *, epoch: int, cohort: int = 0) -> messages.EpochKey:
        """Get a key as a member."""
        asked = messages.EpochFetch(conference=conference, cohort=cohort, epoch=epoch)
        return cast(messages.EpochKey, await self._ask(asked))

    async def forget_epoch(self, conference: str, *, epoch: int, cohort: int = 0) -> None:
        """Have a key wiped before its time."""
        await self._ask(messages.EpochForget(conference=conference, cohort=cohort, epoch=epoch))

    async def mikey(self, octets: bytes) -> bytes:
        """Hand over a MIKEY-TICKET message, and return the answer."""
        asked = messages.MikeyExchange(message=base64.b64encode(octets).decode("ascii"))
        return base64.b64decode(cast(messages.MikeyAnswer, await self._ask(asked)).message)

    async def audit(self, first: int = 0, limit: int = 100) -> messages.AuditLines:
        """Read audit lines from number `first` on; the newest if it is 0."""
        return cast(messages.AuditLines, await self._ask(messages.AuditTail(first=first, limit=limit)))

    async def _ask(self, params: msgspec.Struct) -> msgspec.Struct:
        return await self.request(KMS.method_of[type(params)], params)
