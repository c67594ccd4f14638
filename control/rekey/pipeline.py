"""Commands on their way to the mixer: they leave in order without waiting for each other's replies.

Knows: what was sent and is not answered. Must never know: what a command or its reply means.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from typing import cast

import msgspec

from control.client import Disconnected, MixerClient
from control.errors import ControlError
from control.rekey.tickets import Ticket
from mixer import port


class Pipeline:
    """What is under way on one connection."""

    def __init__(self, mixer: MixerClient) -> None:
        self._mixer = mixer
        self._calls: deque[tuple[Ticket, asyncio.Task[msgspec.Struct]]] = deque()

    def send(self, tickets: Iterable[Ticket]) -> None:
        """Have commands carried out, after those before."""
        for ticket in tickets:
            self._calls.append((ticket, asyncio.create_task(self._mixer.call(ticket.command))))

    def next(self) -> list[asyncio.Task[msgspec.Struct]]:
        """The call to be answered next, to wait for."""
        return [self._calls[0][1]] if self._calls else []

    def outcomes(self) -> Iterator[tuple[Ticket, port.Reply | ControlError]]:
        """The replies and refusals that have come, in the order of the commands. Raises `Disconnected`."""
        while self._calls and self._calls[0][1].done():
            ticket, call = self._calls.popleft()
            try:
                outcome: port.Reply | ControlError = cast(port.Reply, call.result())
            except Disconnected:
                raise
            except ControlError as error:
                outcome = error
            yield ticket, outcome

    async def close(self) -> None:
        """Wait for no reply any more."""
        calls = [call for _, call in self._calls]
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
