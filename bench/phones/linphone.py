"""linphonec as a test's telephone: it dials or answers, plays a tone, and records what it hears.

Knows: the words of its console and of its log. Must never know: what is called.
Its SRTP is libsrtp, its SIP is belle-sip.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bench.phones.linphone_profile import Profile
from bench.phones.wav import Samples, read_wav

_PATIENCE_S: Final = 10.0


@dataclass(eq=False)
class Linphone(Profile):
    """One telephone with one line. Use it as `async with Linphone(folder, "alice") as alice`."""

    def __post_init__(self) -> None:
        self._recording = self.home / "heard.wav"
        self._read = 0
        """So much of the log is about former calls."""

    # -- calls --------------------------------------------------------------------------------

    async def dial(self, uri: str) -> None:
        """Call somebody. What the log says of former calls is forgotten."""
        self._read = len(self.log())
        self.enter(f"call {uri}")

    async def established(self, seconds: float = _PATIENCE_S) -> None:
        """Wait until a call is up."""
        await self.wait_for("LinphoneCallStreamsRunning", seconds)

    async def closed(self, seconds: float = _PATIENCE_S) -> None:
        """Wait until a call has ended; what was heard is whole then."""
        await self.wait_for("LinphoneCallReleased", seconds)

    async def answer(self) -> None:
        self.enter("answer")

    async def hang_up(self) -> None:
        self.enter("terminate")

    async def hold(self) -> None:
        self.enter("pause")

    async def resume(self) -> None:
        self.enter("resume")

    async def press(self, digits: str) -> None:
        """Send digits as RFC 4733 events."""
        for digit in digits:
            self.enter(digit)
            await asyncio.sleep(0.3)

    # -- what it tells ------------------------------------------------------------------------

    def heard(self) -> Path:
        """The file of what it decoded in all its calls; whole when the last is over."""
        assert self._recording.exists(), f"{self.name} heard no media: {self.words()}"
        return self._recording

    def samples(self) -> tuple[Samples, int]:
        """What it decoded, and the rate."""
        return read_wav(self.heard())

    async def wait_for(self, words: str, seconds: float = _PATIENCE_S) -> None:
        """Wait until these words are in its log."""
        await self._until(lambda: words in self.log()[self._read :], seconds, words)

    def log(self) -> str:
        """Its debug log: every SIP message, every change of a key."""
        path = self.home / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def words(self) -> str:
        """What it printed, and its log."""
        return self._console() + self.log()

    def enter(self, line: str) -> None:
        """Type a line at its console."""
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")

    # -- life ---------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self.write()
        command = ["linphonec", *(["-a"] if self.auto_answer else [])]
        command += ["-c", "rc", "-d", "6", "-l", "log"]
        with (self.home / "console").open("wb") as sink:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=sink,
                stderr=sink,
                cwd=self.home,
                env={"HOME": str(self.home)},
            )
        try:
            self.enter("soundcard use files")
            self.enter("play tone.wav")
            self.enter(f"record {self._recording.name}")
            await self._until(lambda: "record " in self._console(), _PATIENCE_S, "prompt")
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()
        if error is not None:
            print(f"--- linphone {self.name}\n{self.words()}")

    def _console(self) -> str:
        return (self.home / "console").read_text(errors="replace")

    async def _until(self, holds: Callable[[], bool], seconds: float, what: str) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not holds():
                    assert self._process.returncode is None, self.words()
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"no {what} of {self.name} in {seconds:g} s:\n{self.words()}") from None

    async def _stop(self) -> None:
        """Ask it to end; insist after a while."""
        if self._process.returncode is None:
            with contextlib.suppress(ConnectionError):
                self.enter("quit")
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
