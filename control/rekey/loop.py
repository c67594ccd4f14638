"""The loop: one connection to the mixer for as long as it holds. Commands out, replies and events in, and time.

Knows: what is on its way, and what to wait for. Must never know: what becomes of a conference whose connection has
broken (`driver`), or where keys come from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from control.client import Disconnected, MixerClient
from control.errors import ControlError
from control.rekey.arrivals import Arrivals
from control.rekey.conductor import Conductor
from control.rekey.pipeline import Pipeline
from mixer import port


class Loop:
    """Of one conference."""

    def __init__(
        self, conductor: Conductor, mixer: MixerClient, arrivals: Arrivals, *, flush: Callable[[], None]
    ) -> None:
        """`flush` sends on what the conductor has for others than the mixer."""
        self.changed = asyncio.Condition()
        """Notified whenever something was carried out."""
        self._conductor, self._mixer, self._arrivals, self._flush = conductor, mixer, arrivals, flush
        self._work = asyncio.Event()

    def wake(self) -> None:
        """There is something to do."""
        self._work.set()

    async def run(self, over: Callable[[], str | None]) -> None:
        """Go on until `over` says something: nothing, to return; or why the connection is of no use any more.

        Raises:
            Disconnected: with that reason, or because the connection broke.
        """
        hearing = asyncio.create_task(self._hear_events())
        pipeline = Pipeline(self._mixer)
        reason: str | None = None
        try:
            while not hearing.done() and (reason := over()) is None:
                if self._take(pipeline):
                    async with self.changed:
                        self.changed.notify_all()
                self._conductor.advance(now())
                self._flush()
                pipeline.send(self._conductor.tickets())
                self._work.clear()
                await self._wait(hearing, pipeline)
        finally:
            hearing.cancel()
            heard, _ = await asyncio.gather(hearing, pipeline.close(), return_exceptions=True)
        if isinstance(heard, Exception):
            raise heard  # a fault of ours: not to be taken for the end of a connection
        if reason != "":
            raise Disconnected(reason or "the mixer tells nothing any more")

    async def _wait(self, hearing: asyncio.Task[None], pipeline: Pipeline) -> None:
        """Until there is something to do."""
        due = self._conductor.due()
        work = asyncio.create_task(self._work.wait())
        await asyncio.wait(
            {work, hearing, *pipeline.next()},
            timeout=None if due is None else max(0.0, due - now()),
            return_when=asyncio.FIRST_COMPLETED,
        )
        work.cancel()

    def _take(self, pipeline: Pipeline) -> bool:
        """Hand on the replies that have come; false if none has."""
        taken = False
        for ticket, outcome in pipeline.outcomes():
            taken = True
            if isinstance(outcome, ControlError):
                _log.warning("command_refused", command=type(ticket.command).__name__, reason=str(outcome))
                if outcome.refusal is port.Refusal.UNKNOWN_CONFERENCE:
                    raise Disconnected("the conference is gone")
                self._conductor.refused(ticket, now())
            else:
                self._conductor.replied(ticket, outcome, now())
            self._arrivals.answered(ticket.command, outcome)
            self._flush()
        return taken

    async def _hear_events(self) -> None:
        async for event in self._mixer.events():
            if isinstance(event, port.Event):
                self._conductor.happened(event, now())
                self._flush()


def now() -> float:
    """The loop's clock, s."""
    return asyncio.get_running_loop().time()


_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("rekey")
