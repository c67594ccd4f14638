"""Errands of the focus: what nobody waits for, and what is counted if it goes wrong.

Knows: coroutines under way, and which errors are no fault of ours. Must never know: what they are about.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from control.errors import ControlError
from control.focus.identity import Refused
from control.sip.errors import SipError


@dataclass(slots=True)
class Faults:
    """Errors of our own that reached an outer edge."""

    count: int = 0


class Errands:
    """Coroutines with nobody to wait for them."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def run(self, errand: Awaitable[None], failed: Callable[[], object] = lambda: None) -> None:
        """Have something done. A refusal is logged, and that is all; `failed` is called after it, or after a fault."""
        task = asyncio.create_task(self._done(errand, failed))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _done(self, errand: Awaitable[None], failed: Callable[[], object]) -> None:
        try:
            await errand
        except (Refused, SipError, ControlError) as error:
            _log.info("errand_ended", reason=str(error))
            failed()
        except Exception:  # noqa: BLE001 - the outermost edge: one errand must not end the focus
            self._faults.count += 1
            _log.exception("fault", faults=self._faults.count)
            failed()


_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("focus")
