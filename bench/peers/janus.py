"""Janus for the length of a measurement: only its AudioBridge, on loopback, configured in a temporary directory."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.peers import api
from bench.plan import Plan
from bench.processes import BenchError, Child, program

_START_S: Final = 20.0
_PORTS: Final = "10000-30000"
"""For RTP: below those that the kernel gives to others."""

_AT_ONCE: Final = 16
_ATTEMPTS: Final = 10


@dataclass
class Janus:
    """A running Janus, and a connection to it."""

    child: Child
    connection: api.Connection


@contextlib.asynccontextmanager
async def janus(core: int | None) -> AsyncIterator[Janus]:
    """Run it on a core, or unpinned, while the block lasts.

    Raises:
        BenchError: it is not installed, or does not come up.
    """
    binary = shutil.which("janus")
    if binary is None:
        raise BenchError("no janus on this machine to compare with: apt-get install janus")
    async with contextlib.AsyncExitStack() as stack:
        yield await _up(stack, Path(binary), core)


async def _up(stack: contextlib.AsyncExitStack, binary: Path, core: int | None) -> Janus:
    """Start it, several times if need be: in 1.1.2 the thread of the Unix socket may look whether it shall run
    before it is told so, and Janus ends."""
    last = ""
    for _ in range(_ATTEMPTS):
        async with contextlib.AsyncExitStack() as attempt:
            home = Path(attempt.enter_context(tempfile.TemporaryDirectory(prefix="mrfp-janus-")))
            configure(home, library_of(binary))
            places = {"-F": home, "-C": home / "janus.jcfg", "-L": home / "janus.log"}
            command = [str(binary), "-N", *(word for pair in places.items() for word in map(str, pair))]
            child = await attempt.enter_async_context(program("janus", core, *command))
            connection = await _connect(child, home)
            if connection is not None:
                attempt.push_async_callback(connection.close)
                await stack.enter_async_context(attempt.pop_all())
                return Janus(child, connection)
            last = _last_words(home)
    raise BenchError(f"Janus does not come up: {last}")


async def populate(running: Janus, plan: Plan, heard_at: int) -> list[int]:
    """Create the plan's conferences as rooms, and let all legs join; returns where each is to send.

    Raises:
        JanusError: if it refuses any.
    """
    owner = await running.connection.attach()
    for room in range(plan.conferences):
        await running.connection.call(owner, api.create(room + 1, plan))
    rooms = plan.conference()

    async def enter(leg: int) -> int:
        handle = await running.connection.attach()
        return api.port_of(await running.connection.call(handle, api.join(int(rooms[leg]) + 1, leg, plan, heard_at)))

    ports: list[int] = []
    for first in range(0, plan.legs, _AT_ONCE):
        some = range(first, min(first + _AT_ONCE, plan.legs))
        ports += await asyncio.gather(*map(enter, some))
    return ports


def library_of(binary: Path) -> Path:
    """The directory with its plugins and transports.

    Raises:
        BenchError: if it is not where distributions put it.
    """
    root = binary.resolve().parent.parent
    for place in (*sorted(root.glob("lib/*/janus")), root / "lib" / "janus"):
        if (place / "plugins" / "libjanus_audiobridge.so").exists():
            return place
    raise BenchError(f"{binary} has no AudioBridge under {root}/lib: apt-get install --reinstall janus")


def configure(home: Path, library: Path) -> None:
    """Write what Janus reads, and link the one plugin and the one transport that it may load."""
    for kind, name in (("plugins", "libjanus_audiobridge.so"), ("transports", "libjanus_pfunix.so")):
        (home / kind).mkdir()
        (home / kind / name).symlink_to(library / kind / name)
    for empty in ("events", "loggers"):
        (home / empty).mkdir()
    (home / "janus.jcfg").write_text(_general(home))
    (home / "janus.transport.pfunix.jcfg").write_text(
        'general: {\n  enabled = true\n  json = "compact"\n  type = "SOCK_SEQPACKET"\n'
        f'  path = "{home / "janus.sock"}"\n}}\n'
    )
    (home / "janus.plugin.audiobridge.jcfg").write_text(
        f'general: {{\n  rtp_port_range = "{_PORTS}"\n  local_ip = "127.0.0.1"\n  events = false\n}}\n'
    )


def _general(home: Path) -> str:
    return f"""\
general: {{
  configs_folder = "{home}"
  plugins_folder = "{home / "plugins"}"
  transports_folder = "{home / "transports"}"
  events_folder = "{home / "events"}"
  loggers_folder = "{home / "loggers"}"
  interface = "127.0.0.1"
  debug_level = 1
  session_timeout = 0
  protected_folders = []
}}
nat: {{
  ice_enforce_list = "lo"
}}
"""


async def _connect(child: Child, home: Path) -> api.Connection | None:
    """A connection to it, None if it ended before there was one or takes too long."""
    deadline = time.monotonic() + _START_S
    while child.process.returncode is None and time.monotonic() < deadline:
        connection = api.Connection()
        try:
            await connection.open(home / "janus.sock")
            return connection
        except OSError:
            await connection.close()
            await asyncio.sleep(0.05)
    return None


def _last_words(home: Path) -> str:
    """The last lines of its log."""
    log = home / "janus.log"
    return " / ".join(log.read_text(errors="replace").splitlines()[-3:]) if log.exists() else "and has written no log"
