"""Processes of a measurement: the daemon, the floor and the generator, each on a core of its own.

CPU time is read from /proc for the whole process, user and system together.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Set
from dataclasses import dataclass
from pathlib import Path

from control.client import Disconnected, MixerClient

MEASURED_CORE = 0
GENERATOR_CORE = 1
_ROOT = Path(__file__).resolve().parent.parent
_START_S = 20.0
NICE = -15
"""For the measured processes and the generator, if we are allowed to."""

_LINE_LIMIT = 1 << 20


class BenchError(Exception):
    """The measurement cannot be made; the message says why."""


@dataclass
class Child:
    """A process that we started, pinned to a core if the machine has two."""

    name: str
    process: asyncio.subprocess.Process

    async def line(self, timeout_s: float) -> str:
        """Its next line of output.

        Raises:
            BenchError: if it ends or says nothing for so long.
        """
        assert self.process.stdout is not None
        try:
            line = await asyncio.wait_for(self.process.stdout.readline(), timeout_s)
        except TimeoutError:
            raise BenchError(f"the {self.name} said nothing for {timeout_s:g} s") from None
        if not line:
            raise BenchError(f"the {self.name} ended with code {await self.process.wait()}")
        return line.decode().strip()

    async def expect(self, word: str, timeout_s: float) -> str:
        """The rest of its next line, which must begin with `word`."""
        line = await self.line(timeout_s)
        if not line.startswith(word):
            raise BenchError(f"the {self.name} said {line[:80]!r}, not {word!r}")
        return line.removeprefix(word).strip()

    def tell(self, line: str) -> None:
        """Write a line to it."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")

    def cpu_ns(self) -> int:
        """CPU time it has used, all threads."""
        return cpu_ns(self.process.pid)

    def rss_kib(self) -> int:
        """Resident memory."""
        return rss_kib(self.process.pid)

    async def stop(self) -> None:
        """Ask it to end, and insist after 10 s."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), 10)
            except TimeoutError:
                self.process.kill()
                await self.process.wait()


@contextlib.asynccontextmanager
async def child(name: str, core: int, *arguments: str, nice: int = NICE) -> AsyncIterator[Child]:
    """Run `python *arguments` while the block lasts."""
    async with program(name, core, sys.executable, *arguments, nice=nice) as running:
        yield running


@contextlib.asynccontextmanager
async def program(name: str, core: int | None, *command: str, nice: int = NICE) -> AsyncIterator[Child]:
    """Run a command while the block lasts; with `core` None, on whichever core it likes.

    Raises:
        FileNotFoundError: there is no such program.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LINE_LIMIT,
        start_new_session=True,
        # One thread is what is measured; a BLAS with a pool of them would spin on the other core.
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        cwd=_ROOT,
    )
    if core is not None and (os.cpu_count() or 1) > 1 and len(os.sched_getaffinity(0)) > 1:
        os.sched_setaffinity(process.pid, {sorted(os.sched_getaffinity(0))[core]})
    _favour(process.pid, nice)
    running = Child(name, process)
    try:
        yield running
    finally:
        await running.stop()


def _favour(pid: int, nice: int) -> None:
    """Let everything else wait, if we are allowed to: a tick late because of a backup tells nothing.

    Where the kernel groups processes by session (CONFIG_SCHED_AUTOGROUP), the nice value counts only
    within the group, which has one of its own.
    """
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, pid, nice)
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(f"{nice}\n")


@dataclass
class Daemon:
    """A mixer of our own, and a controller's connection to it."""

    child: Child
    client: MixerClient
    port: int
    address: str
    """Of its control socket, for other controllers."""


@contextlib.asynccontextmanager
async def daemon(*, legs: int = 8192, core: int = MEASURED_CORE) -> AsyncIterator[Daemon]:
    """Run `mrfp serve` on loopback, on ports and a control socket of its own, while the block lasts."""
    with tempfile.TemporaryDirectory(prefix="mrfp-bench-") as name:
        directory = Path(name)
        address = f"unix:{directory / 'control.sock'}"
        config = directory / "mrfp.toml"
        config.write_text(_config(directory / "control.sock", legs))
        serve = ("-m", "control", "serve", "--config", str(config))
        async with child("daemon", core, *serve) as server:
            silent = asyncio.create_task(swallow(server))
            client = await _connect(server, address)
            try:
                info = await client.node_info()
                yield Daemon(server, client, info.port, address)
            finally:
                await client.close()
                silent.cancel()


def _config(control: Path, legs: int) -> str:
    return f"""\
[mixer]
host = "127.0.0.1"
port = 0
max_legs = {legs}
ledger = "{control.parent / "keys.ledger"}"

[control]
socket = "{control}"

[log]
level = "warning"
"""


async def _connect(server: Child, address: str) -> MixerClient:
    deadline = time.monotonic() + _START_S
    while True:
        client = MixerClient(address, timeout_s=120)
        try:
            await client.connect()
            return client
        except Disconnected as error:
            if server.process.returncode is not None or time.monotonic() > deadline:
                raise BenchError(f"the daemon does not come up: {error}") from None
            await asyncio.sleep(0.05)


async def swallow(server: Child) -> None:
    """Read what the daemon prints, so that it never waits for us."""
    assert server.process.stdout is not None
    while await server.process.stdout.read(1 << 16):
        pass


def cpu_ns(pid: int) -> int:
    """User and system time of a process, ns; to the 10 ms of /proc/PID/stat where the kernel keeps no
    finer account."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)
    except (OSError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def machine_cpu_ns() -> int:
    """CPU time that anybody has used on this machine, interrupts and stolen time included."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def rss_kib(pid: int) -> int:
    """Resident memory of a process, KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise BenchError(f"process {pid} has no memory: it has ended")


def drops(ports: Set[int], table: str = "/proc/net/udp") -> int:
    """Datagrams that the kernel threw away because one of these UDP sockets was full."""
    rows = (line.split() for line in Path(table).read_text().splitlines()[1:])
    return sum(int(row[-1]) for row in rows if int(row[1].partition(":")[2], 16) in ports)
