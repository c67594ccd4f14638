"""Arrivals: who waits until the mixer has added its leg.

Knows: names, and what the mixer said. Must never know: commands or their order.
"""

from __future__ import annotations

import asyncio

from mixer import port


class Arrivals:
    """Of one conference."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[port.LegAdded]] = {}

    def expect(self, member: str) -> asyncio.Future[port.LegAdded]:
        """What to wait for. It fails with `ControlError` if the mixer will not have the leg."""
        future: asyncio.Future[port.LegAdded] = asyncio.get_running_loop().create_future()
        self._waiting[member] = future
        return future

    def forget(self, member: str) -> None:
        """Nobody waits any more."""
        self._waiting.pop(member, None)

    def answered(self, command: port.Command, answer: port.Reply | Exception) -> None:
        """The mixer has done a command, or will not."""
        future = self._waiting.pop(command.leg, None) if isinstance(command, port.LegAdd) else None
        if future is None or future.done():
            return
        if isinstance(answer, port.LegAdded):
            future.set_result(answer)
        elif isinstance(answer, Exception):
            future.set_exception(answer)
