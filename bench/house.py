"""A house for calls: mixer, KMS and focus as daemons on loopback, while a block lasts.

Knows: how they are configured to find each other, and on which cores they run. Must never know: who calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.processes import GENERATOR_CORE, MEASURED_CORE, NICE, BenchError, Child, Daemon, child, daemon, swallow

HOST: Final = "127.0.0.1"
_START_S: Final = 20.0


@dataclass(frozen=True)
class Cores:
    """Which core each runs on, and how much focus and KMS let others go first."""

    mixer: int = MEASURED_CORE
    focus: int = GENERATOR_CORE
    kms: int = MEASURED_CORE
    nice: int = NICE
    """Of focus and KMS."""


@dataclass(frozen=True)
class House:
    """What runs."""

    mixer: Daemon
    kms: Child
    focus: Child
    sip_port: int
    """UDP and TCP."""

    @property
    def address(self) -> tuple[str, int]:
        """Where SIP is taken."""
        return HOST, self.sip_port

    @property
    def children(self) -> dict[str, Child]:
        """All three, by name."""
        return {"focus": self.focus, "kms": self.kms, "mixer": self.mixer.child}

    def uri(self, room: str) -> str:
        """What to dial."""
        return f"sip:{room}@{HOST}:{self.sip_port}"


@contextlib.asynccontextmanager
async def house(
    tables: str = "", *, sip: str = "", legs: int = 256, cores: Cores | None = None
) -> AsyncIterator[House]:
    """Run all three.

    Args:
        tables: TOML for the focus beyond where the others are, such as `[default_room]`.
        sip: lines for its `[sip]` table.

    Raises:
        BenchError: if one does not come up.
    """
    cores = cores or Cores()
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mrfp-house-")))
        mixer = await stack.enter_async_context(daemon(legs=legs, core=cores.mixer))
        keys, address = await stack.enter_async_context(kms(folder, core=cores.kms, nice=cores.nice))
        number, door = _free_port(), folder / "focus.sock"
        config = _focus(mixer.address, address, door, number, sip) + tables
        focus = await stack.enter_async_context(_service("focus", config, door, cores.focus, cores.nice))
        yield House(mixer, keys, focus, number)


@contextlib.asynccontextmanager
async def kms(folder: Path, *, core: int = MEASURED_CORE, nice: int = NICE) -> AsyncIterator[tuple[Child, str]]:
    """Run `mrfp kms` with its files in a folder; the address of its socket is the second."""
    door = folder / "kms.sock"
    config = f'[listen]\nsocket = "{door}"\n\n[state]\ndirectory = "{folder / "state"}"\n\n[log]\nlevel = "warning"\n'
    async with _service("kms", config, door, core, nice) as one:
        yield one, f"unix:{door}"


@contextlib.asynccontextmanager
async def _service(word: str, config: str, door: Path, core: int, nice: int) -> AsyncIterator[Child]:
    path = door.with_name(f"{word}.toml")
    path.write_text(config)
    async with child(word, core, "-m", "control", word, "--config", str(path), nice=nice) as one:
        silent = asyncio.create_task(swallow(one))
        try:
            await _up(one, door)
            yield one
        finally:
            silent.cancel()


def _focus(mixer: str, keys: str, door: Path, number: int, sip: str) -> str:
    return f"""\
[sip]
host = "{HOST}"
udp_port = {number}
tcp_port = {number}
{sip}

[mixer]
address = "{mixer}"
media_host = "{HOST}"

[keys]
kms = "{keys}"

[control]
socket = "{door}"

[log]
level = "warning"

"""


async def _up(one: Child, door: Path) -> None:
    """Its own socket is the last thing that a daemon opens."""
    deadline = time.monotonic() + _START_S
    while not os.path.exists(door):  # noqa: ASYNC240, PTH110 - a look at a socket, before anything is measured
        if one.process.returncode is not None or time.monotonic() > deadline:
            raise BenchError(f"the {one.name} does not come up: start it by hand to see why")
        await asyncio.sleep(0.05)


def _free_port() -> int:
    """A port that is free for UDP and for TCP, a moment ago."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
            tcp.bind((HOST, 0))
            port: int = tcp.getsockname()[1]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, contextlib.suppress(OSError):
                udp.bind((HOST, port))
                return port
