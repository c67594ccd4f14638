"""The stack that is measured: `mrfp serve`, `mrfp kms` and `mrfp focus`, each a process of its own.

Knows: their configuration. Must never know: who will call.
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
from typing import Final, Literal, TypeAlias

from bench.processes import GENERATOR_CORE, MEASURED_CORE, BenchError, Child, Daemon, child, daemon, swallow

Keying: TypeAlias = Literal["unique", "group"]
Layout: TypeAlias = Literal["shared", "split"]
"""`shared`: focus, KMS and mixer on one core; `split`: the mixer on that of the generator."""
HOST: Final = "127.0.0.1"
_START_S: Final = 20.0
_BEHIND: Final = -5
"""Nice value of focus and KMS: before all else on the machine, but behind media, as one would run them."""


@dataclass(frozen=True)
class Stack:
    """Three daemons that run."""

    mixer: Daemon
    children: dict[str, Child]
    """`mixer`, `kms` and `focus`."""
    address: tuple[str, int]
    """SIP, over UDP."""


@contextlib.asynccontextmanager
async def stack(keying: Keying, layout: Layout, *, legs: int = 8192) -> AsyncIterator[Stack]:
    """Run all three while the block lasts.

    Raises:
        BenchError: if one does not come up.
    """
    media_core = MEASURED_CORE if layout == "shared" else GENERATOR_CORE
    async with contextlib.AsyncExitStack() as opened:
        home = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="mrfp-calls-")))
        mixer = await opened.enter_async_context(daemon(legs=legs, core=media_core))
        keys, kms_address = await opened.enter_async_context(kms(home))
        number, door, config = _free_port(), home / "focus.sock", home / "focus.toml"
        config.write_text(_focus(mixer.address, kms_address, door, number, keying))
        focus = await opened.enter_async_context(_service("focus", config, door))
        yield Stack(mixer, {"focus": focus, "kms": keys, "mixer": mixer.child}, (HOST, number))


@contextlib.asynccontextmanager
async def kms(home: Path) -> AsyncIterator[tuple[Child, str]]:
    """Run `mrfp kms` with its files in `home`; the address of its socket is the second."""
    door, config = home / "kms.sock", home / "kms.toml"
    config.write_text(_kms(home, door))
    async with _service("kms", config, door) as one:
        yield one, f"unix:{door}"


@contextlib.asynccontextmanager
async def _service(name: str, config: Path, door: Path) -> AsyncIterator[Child]:
    async with child(name, MEASURED_CORE, "-m", "control", name, "--config", str(config), nice=_BEHIND) as one:
        silent = asyncio.create_task(swallow(one))
        try:
            await _up(one, door)
            yield one
        finally:
            silent.cancel()


def _kms(home: Path, door: Path) -> str:
    return f'[listen]\nsocket = "{door}"\n\n[state]\ndirectory = "{home / "state"}"\n\n[log]\nlevel = "warning"\n'


def _focus(mixer: str, keys: str, door: Path, number: int, keying: Keying) -> str:
    """All callers come from one address, as if through a trunk: what one source may have is raised."""
    return f"""\
[sip]
host = "{HOST}"
udp_port = {number}
tcp_port = -1
max_transactions = 100000
max_transactions_per_source = 100000
max_pending_per_source = 2000

[mixer]
address = "{mixer}"

[keys]
kms = "{keys}"

[control]
socket = "{door}"

[default_room]
keying = "{keying}"

[log]
level = "warning"
"""


async def _up(one: Child, door: Path) -> None:
    deadline = time.monotonic() + _START_S
    while not os.path.exists(door):  # noqa: ASYNC240, PTH110 - a look at a socket, before anything is measured
        if one.process.returncode is not None or time.monotonic() > deadline:
            raise BenchError(f"the {one.name} does not come up: start it by hand to see why")
        await asyncio.sleep(0.05)


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, 0))
        number: int = probe.getsockname()[1]
        return number
