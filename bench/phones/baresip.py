"""baresip as a test's telephone: it dials or answers, says a tone, and writes down what it hears.

Knows: the words of its `ctrl_tcp` module, JSON in netstrings. Must never know: what is called.
Its SIP and its SRTP are its own (libre), not belle-sip's nor libsrtp's.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from bench.phones.baresip_profile import Profile
from bench.phones.program import Program, running
from bench.phones.wav import Samples, read_wav

_PATIENCE_S: Final = 10.0
_GOODBYE_S: Final = 1.0


@dataclass(eq=False)
class Baresip(Profile):
    """One telephone with one line. Use it as `async with Baresip(folder, "alice") as alice`."""

    def __post_init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self._tokens = itertools.count(1)
        self._replies: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._stack = contextlib.AsyncExitStack()

    # -- calls --------------------------------------------------------------------------------

    async def dial(self, uri: str) -> None:
        """Call somebody, over the transport of the line: baresip appends it, even to a URI that has it.

        The events of former calls are forgotten.
        """
        self.events.clear()
        await self.command("dial", uri.partition(";transport=")[0])

    async def established(self, seconds: float = _PATIENCE_S) -> None:
        """Wait until a call is up."""
        await self.wait_for("CALL_ESTABLISHED", seconds)

    async def closed(self, seconds: float = _PATIENCE_S) -> str:
        """Wait until a call has ended. Returns the reason that baresip gives, such as "486 Busy Here"."""
        return str((await self.wait_for("CALL_CLOSED", seconds)).get("param", ""))

    async def answer(self) -> None:
        await self.command("accept")

    async def hang_up(self) -> None:
        """End the call; what was heard is whole afterwards."""
        await self.command("hangup")

    async def hold(self) -> None:
        await self.command("hold")

    async def resume(self) -> None:
        await self.command("resume")

    async def press(self, keys: str) -> None:
        """Press keys, one after another."""
        await self.command("sndcode", keys)

    # -- what it tells ------------------------------------------------------------------------

    def heard(self) -> Path:
        """The file of what it decoded in its last call; whole when the call is over. A hold ends the file."""
        files = sorted((self.home / "snd").glob("*-dec.wav"), key=lambda path: path.stat().st_mtime_ns)
        assert files, f"{self.name} heard no media: {self.words()}"
        return files[-1]

    def samples(self) -> tuple[Samples, int]:
        """What it decoded, and the rate."""
        return read_wav(self.heard())

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The events of a kind (CALL_RINGING, CALL_ESTABLISHED, CALL_MENC, CALL_RTCP, CALL_CLOSED ...)."""
        return [event for event in self.events if event.get("type") == kind]

    async def wait_for(self, kind: str, seconds: float = _PATIENCE_S) -> dict[str, Any]:
        """The first event of a kind, once it is there."""
        await self._until(lambda: bool(self.of(kind)), seconds, f"{kind} of {self.name}")
        return self.of(kind)[0]

    def words(self) -> str:
        """What it printed, every SIP message included: keys of the test in clear."""
        return self._program.words()

    async def command(self, word: str, params: str = "") -> str:
        """One of baresip's own long commands; returns what it prints for it."""
        token = str(next(self._tokens))
        request = json.dumps({"command": word, "params": params, "token": token}).encode()
        reply = self._replies[token] = asyncio.get_running_loop().create_future()
        self._writer.write(b"%d:%b," % (len(request), request))
        async with asyncio.timeout(_PATIENCE_S):
            answer = await reply
        assert answer.get("ok"), f"{self.name} will not {word}: {answer.get('data')}"
        return str(answer.get("data", ""))

    # -- life ---------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self.write()
        command = ("baresip", "-4", "-s", "-f", str(self.home))
        try:
            self._program: Program = await self._stack.enter_async_context(running(self.home / "log", *command))
            reader, self._writer = await self._connect()
            self._stack.callback(self._writer.close)
            listening = asyncio.create_task(self._listen(reader))
            self._stack.callback(listening.cancel)
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._say_goodbye()
        await self._stack.aclose()
        if error is not None:
            print(f"--- baresip {self.name}\n{self.words()}")

    async def _say_goodbye(self) -> None:
        """The first signal ends its calls, which takes an answer to each BYE; the second, of `running`, insists."""
        process = self._program.process
        with contextlib.suppress(ProcessLookupError, TimeoutError):
            process.terminate()
            async with asyncio.timeout(_GOODBYE_S):
                await process.wait()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                assert self._program.process.returncode is None, self.words()
                with contextlib.suppress(ConnectionError):
                    return await asyncio.open_connection("127.0.0.1", self.control_port)
                await asyncio.sleep(0.02)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                size = int((await reader.readuntil(b":"))[:-1])
                message = json.loads((await reader.readexactly(size + 1))[:-1])
                if message.get("event"):
                    self.events.append(message)
                elif (reply := self._replies.pop(message.get("token", ""), None)) is not None:
                    reply.set_result(message)

    async def _until(self, holds: Callable[[], bool], seconds: float, what: str) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not holds():
                    assert self._program.process.returncode is None, self.words()
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"no {what} in {seconds:g} s:\n{self.words()}") from None
