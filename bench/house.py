"""A house for calls: mixer, KMS and focus as daemons on loopback, while a block lasts.

Knows: how they are configured to find each other. Must never know: who calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.processes import GENERATOR_CORE, MEASURED_CORE, BenchError, Child, Daemon, child, daemon, swallow

HOST: Final = "127.0.0.1"
_START_S: Final = 20.0


@dataclass(frozen=True)
class House:
    """What runs."""

    mixer: Daemon
    kms: Child
    focus: Child
    sip_port: int
    """UDP and TCP."""

    def uri(self, room: str) -> str:
        """What to dial."""
        return f"sip:{room}@{HOST}:{self.sip_port}"


@contextlib.asynccontextmanager
async def house(tables: str = "", *, legs: int = 256) -> AsyncIterator[House]:
    """Run all three. `tables`: TOML for the focus beyond where the others are, such as `[default_room]`."""
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mrfp-house-")))
        mixer = await stack.enter_async_context(daemon(legs=legs))
        kms = await _daemon(stack, "kms", MEASURED_CORE, folder, _kms(folder))
        port = _free_port()
        focus = await _daemon(stack, "focus", GENERATOR_CORE, folder, _focus(folder, mixer.address, port) + tables)
        await _listening(folder / "kms.sock", kms)
        await _listening((HOST, port), focus)
        yield House(mixer, kms, focus, port)


async def _daemon(stack: contextlib.AsyncExitStack, word: str, core: int, folder: Path, config: str) -> Child:
    path = folder / f"{word}.toml"
    path.write_text(config)
    running = await stack.enter_async_context(child(word, core, "-m", "control", word, "--config", str(path)))
    silent = asyncio.create_task(swallow(running))
    stack.callback(silent.cancel)
    return running


def _kms(folder: Path) -> str:
    return f"""\
[listen]
socket = "{folder / "kms.sock"}"

[state]
directory = "{folder}"

[log]
level = "warning"
"""


def _focus(folder: Path, mixer: str, port: int) -> str:
    return f"""\
[sip]
host = "{HOST}"
udp_port = {port}
tcp_port = {port}

[mixer]
address = "{mixer}"
media_host = "{HOST}"

[keys]
kms = "unix:{folder / "kms.sock"}"

[control]
socket = "{folder / "focus.sock"}"

[log]
level = "warning"

"""


def _free_port() -> int:
    """A port that is free for UDP and for TCP, a moment ago."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
            tcp.bind((HOST, 0))
            port: int = tcp.getsockname()[1]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, contextlib.suppress(OSError):
                udp.bind((HOST, port))
                return port


async def _listening(address: Path | tuple[str, int], server: Child) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            if isinstance(address, Path):
                _, writer = await asyncio.open_unix_connection(str(address))
            else:
                _, writer = await asyncio.open_connection(*address)
        except OSError as error:
            if server.process.returncode is not None or time.monotonic() > deadline:
                raise BenchError(f"the {server.name} does not come up: {error}") from None
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
