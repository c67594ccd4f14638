"""Errands: what is asked of the KMS beside everything else, so that it holds nothing up.

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

    def run(self, errand: Awaitable[None]) -> None:
        """Have something done; a refusal is logged, and that is all."""

        async def done() -> None:
            try:
                await errand
            except ControlError as error:
                _log.warning("kms_refused", conference=self._conference, reason=str(error))

        task = asyncio.create_task(done())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give up what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("rekey")
