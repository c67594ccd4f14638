"""Two callers on loopback, for the tests of callers: Alice calls, and Bob picks up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from bench.callers.caller import Caller

ALICE_HZ, BOB_HZ = 440, 700
SAID_DB = -14.0
"""Of a tone of amplitude 0.2."""


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


async def heard(caller: Caller, packets: int) -> None:
    """Wait until it has heard so many more."""
    enough = len(caller.call.media.ear.heard_ns) + packets
    await until(lambda: len(caller.call.media.ear.heard_ns) >= enough)


@asynccontextmanager
async def pair(**options: Any) -> AsyncIterator[tuple[Caller, Caller]]:
    """Alice, and Bob who picks up; on agents of their own. `habits` are Bob's."""
    habits = {"habits": options.pop("habits")} if "habits" in options else {}
    alice = await Caller.open("alice", hz=ALICE_HZ, **options)
    bob = await Caller.open("bob", hz=BOB_HZ, **options, **habits)
    try:
        yield alice, bob
    finally:
        await alice.close()
        await bob.close()
