"""The life of a daemon: logs, no core dumps, a loop, signals, and signs of life to systemd.

Knows: processes. Must never know: what the daemon does.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import structlog
import uvloop

from control import logs, process
from control.tomlfile import LogSettings

COLLECT: Final = (5_000, 5, 20)
"""Thresholds of the three generations: of what is over, at most half a million objects wait for the third."""


def live(log: LogSettings, serve: Callable[[asyncio.Event], Awaitable[None]]) -> int:
    """Run `serve` with an event that SIGTERM and SIGINT set; returns the exit status."""
    logs.configure(log.level, log.format)
    if not process.forbid_core_dumps():
        _log.warning("core_dumps_possible")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_told(serve))
    return 0


async def its_loop_comes_round() -> bool:
    """All the life there is in a daemon without a tick."""
    return True


async def stay(stop: asyncio.Event, status: str, alive: Callable[[], Awaitable[bool]] = its_loop_comes_round) -> None:
    """Tell systemd that we are ready, and how we are, until it is time to stop."""
    process.notify("READY=1", f"STATUS={status}")
    async with watched(alive):
        await stop.wait()
    process.notify("STOPPING=1")
    _log.info("stopping")


def spare_the_collector() -> None:
    """Call it once all is set up: what is there now stays, and need not be looked at again and again.

    A full collection stops everything: in a focus with 500 calls for a tenth of a second, and with Python's own
    thresholds every few seconds while calls come and go.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT)


@asynccontextmanager
async def watched(alive: Callable[[], Awaitable[bool]]) -> AsyncIterator[None]:
    """Give systemd its signs of life while `alive` says so, if it asked for them."""
    period_s = process.watchdog_s()
    if period_s is None:
        yield
        return
    task = asyncio.create_task(_reassure(alive, period_s / 2))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _until_told(serve: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(stop)


async def _reassure(alive: Callable[[], Awaitable[bool]], period_s: float) -> None:
    while True:
        if await alive():
            process.notify("WATCHDOG=1")
        await asyncio.sleep(period_s)


_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("mrfp")
