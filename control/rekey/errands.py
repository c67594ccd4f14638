"""Errands: what is done beside everything else, so that it holds nothing up.

Knows: coroutines under way. Must never know: what they are about.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import structlog

from control.errors import ControlError


class Errands:
    """Coroutines of one conference, each with nobody to wait for it."""

    def __init__(self, conference: str) -> None:
        self._conference = conference
        self._tasks: set[asyncio.Task[None]] = set()
        self.faults = 0
        """Errors of our own; each is a bug."""

    def run(self, errand: Awaitable[None]) -> None:
        """Have something done; a refusal is logged, and that is all."""

        async def done() -> None:
            try:
                await errand
            except ControlError as error:
                _log.warning("refused", conference=self._conference, reason=str(error))
            except Exception:  # noqa: BLE001 - the outermost edge of what nobody waits for
                self.faults += 1
                _log.exception("fault", conference=self._conference, faults=self.faults)

        task = asyncio.create_task(done())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give up what is under way, but for the errand that asks for it."""
        others = self._tasks - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("rekey")
