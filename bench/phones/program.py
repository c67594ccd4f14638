"""A foreign program as a context manager: started, stopped, its words kept."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

_PATIENCE_S = 10.0


@dataclass
class Program:
    """A running client. `log` is what it says."""

    process: asyncio.subprocess.Process
    log: Path

    def words(self) -> str:
        return self.log.read_text(errors="replace")

    async def stop(self) -> None:
        """Ask it to end, as a person would with the keyboard; insist after a while."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


@contextlib.asynccontextmanager
async def running(log: Path, *command: str) -> AsyncIterator[Program]:
    """Run a command for the time of the block."""
    with log.open("wb") as sink:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=sink, stderr=sink
        )
    program = Program(process, log)
    try:
        yield program
    finally:
        await program.stop()
