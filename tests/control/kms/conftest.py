"""A KMS on a clock of the test's own, with and without doors."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from control.connection import Limits
from control.kms.audit import Audit
from control.kms.callers import Roles
from control.kms.client import KmsClient
from control.kms.desk import KmsDesk
from control.kms.floors import MemoryFloors
from control.kms.limits import Rate, RateLimits
from control.kms.messages import KMS
from control.kms.registry import Bounds, Registry
from control.kms.service import KmsService
from control.listen import Peer
from control.server import Server
from tests.control.conftest import Raw, hang_up, until

FOCUS = Peer(names=frozenset(("focus",)))
OTHER = Peer(names=frozenset(("other",)))
ALICE = Peer(names=frozenset(("alice",)))
BOB = Peer(names=frozenset(("bob",)))
AUDITOR = Peer(names=frozenset(("auditor",)))
AMPLE = Rate(1000.0, 1_000_000)
BOOT = "b00t"
WALL = 1_800_000_000.0


@dataclass
class World:
    """One service, and what it stands on."""

    now: float = 100.0
    made: list[bytes] = field(default_factory=list)
    """Every octet string that was drawn for a key."""
    floors: MemoryFloors = field(default_factory=MemoryFloors)
    service: KmsService = field(init=False)

    def fresh(self, length: int) -> bytes:
        self.made.append(secrets.token_bytes(length))
        return self.made[-1]

    def open(
        self,
        *,
        audit: Path | None = None,
        systems: tuple[str, ...] = ("focus", "other"),
        rates: tuple[Rate, Rate, Rate] = (AMPLE, AMPLE, AMPLE),
        bounds: Bounds | None = None,
    ) -> World:
        self.service = KmsService(
            Registry(self.floors, bounds, self.fresh),
            Audit(BOOT, audit),
            Roles(systems, ("auditor",)),
            RateLimits(*rates),
            boot_id=BOOT,
            monotonic=lambda: self.now,
            wall=lambda: WALL + self.now,
        )
        return self

    def desk(self, peer: Peer = FOCUS) -> KmsDesk:
        return KmsDesk(self.service, peer)


@pytest.fixture
def world() -> World:
    return World().open()


class KmsHouse:
    """One KMS behind a Unix socket, on which the test says who is who."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.world = World().open(systems=("uid:1",))
        self.uids: list[int] = []
        """Of the peers that the server has not looked at yet."""
        self.stack = AsyncExitStack()

    async def open(self) -> None:
        self.server = Server(
            KMS,
            self.world.desk,
            allowed_uids=(1, 2, 3),
            limits=Limits(per_peer=4),
            peer_uid=lambda _: self.uids.pop(),
        )
        await self.server.listen_unix(self.path)
        self.stack.push_async_callback(self.server.stop)

    async def client(self, uid: int = 1, **options: Any) -> KmsClient:
        client = KmsClient(f"unix:{self.path}", **options)
        await self.connect(client, uid)
        self.stack.push_async_callback(client.close)
        return client

    async def connect(self, client: KmsClient, uid: int = 1) -> None:
        self.uids.append(uid)
        await client.connect()
        await until(lambda: not self.uids)

    async def raw(self, uid: int = 1) -> Raw:
        self.uids.append(uid)
        reader, writer = await asyncio.open_unix_connection(str(self.path), limit=1 << 24)
        self.stack.push_async_callback(hang_up, writer)
        await until(lambda: not self.uids)
        return Raw(reader, writer)


@pytest.fixture
async def kms(tmp_path: Path) -> AsyncIterator[KmsHouse]:
    house = KmsHouse(tmp_path / "run" / "kms.sock")
    await house.open()
    yield house
    await house.stack.aclose()
