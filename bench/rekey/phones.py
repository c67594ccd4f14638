"""Phones of a rehearsal: callers in a thread of their own, so that their CPU is told from that of the focus.

Knows: scripted callers. Must never know: keys, or the focus.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Mapping
from typing import Any, Final, TypeVar

from bench.callers.caller import Caller
from bench.callers.habits import Habits
from bench.callers.lines import Lines
from mixer.secret import Secret

_T = TypeVar("_T")
_SETTLE_S: Final = 0.3
_SILENT: Final = Habits(says_nothing=True)


class Phones:
    """Callers in one room, on hold. Called from the focus's thread."""

    def __init__(self, psks: Mapping[str, Secret]) -> None:
        """`psks`: by SIP URI; who has one takes keys by MIKEY."""
        self._psks = psks
        self._room = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="phones", daemon=True)
        self._lines: Lines
        self._callers: list[Caller] = []
        self._made = 0

    def __len__(self) -> int:
        return len(self._callers)

    async def open(self, room: str, members: int) -> None:
        """Have so many dial in."""
        self._room = room
        self._thread.start()
        self._lines = await self._there(Lines.open())
        await self._there(self._join(members))

    async def close(self) -> None:
        """Let go of everything, without a word."""
        if not self._thread.is_alive():
            return
        await self._there(self._lines.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join)
        self._loop.close()

    async def join(self) -> None:
        """One more."""
        await self._there(self._join(1))

    async def leave(self) -> None:
        """The oldest hangs up."""
        await self._there(self._callers.pop(0).hang_up())

    def cpu_ns(self) -> int:
        """CPU that the phones have used."""
        assert self._thread.ident is not None
        return time.clock_gettime_ns(time.pthread_getcpuclockid(self._thread.ident))

    async def _join(self, members: int) -> None:
        """They dial in, wait until the focus has no more to say about keys, and go on hold."""
        newcomers = [await self._dial() for _ in range(members)]
        await asyncio.sleep(_SETTLE_S)
        for caller in newcomers:
            await caller.hold()
        self._callers += newcomers

    async def _dial(self) -> Caller:
        name = f"m{self._made}"
        self._made += 1
        psk = self._psks.get(f"sip:{name}@127.0.0.1")
        caller = await Caller.open(name, lines=self._lines, psk=psk, habits=_SILENT)
        await caller.dial(self._room)
        return caller

    async def _there(self, what: Coroutine[Any, Any, _T]) -> _T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(what, self._loop))
