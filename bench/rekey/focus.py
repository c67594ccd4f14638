"""The focus of a live run: a conference system that lets members come and go, and takes the time.

Knows: `Driver`, `Conductor` and `Policy`, a KMS in a process of its own. Must never know: packets.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Final

import msgspec

from bench.processes import GENERATOR_CORE, BenchError, Daemon, child
from bench.rekey.liveplan import CONFERENCE, FOCUS, Live
from bench.rekey.watching import Watched
from control.client import Disconnected
from control.kms.client import KmsClient
from control.rekey.conductor import Joiner
from control.rekey.driver import Driver, KmsKeys
from control.rekey.keychain import Keychain
from control.rekey.policy import Policy
from control.rekey.settings import RekeySettings
from mixer import port
from mixer.secret import Secret

PATIENCE_S: Final = 30.0


class Rekey(msgspec.Struct, frozen=True, kw_only=True):
    """One leave, and the rekey that it caused. Times in ms from when the focus let the member go."""

    epoch: int
    members: int
    """Who acknowledged it before the next one left."""
    messages: int
    """Repetitions included."""
    last_ack_ms: float
    switched_ms: float
    """Until the mixer said that it uses the key."""
    heard_ms: float
    """Until the last member of the cohort heard it for the first time."""
    focus_cpu_ms: float
    """Of the focus's process until then."""


class Focus:
    """The conference system of a run."""

    def __init__(self, live: Live, driver: Driver, conductor: Watched, ports: tuple[int, int]) -> None:
        self._live, self.driver, self.conductor = live, driver, conductor
        self._media, self._keys = ports
        self.left: list[tuple[int, int, int]] = []
        self.joined: list[int] = []

    def join(self, leg: int) -> None:
        """A member comes, with keys of its own."""
        live, plan = self._live, self._live.plan()
        host = plan.address(leg)
        added = port.LegAdd(
            conference=CONFERENCE,
            leg=live.name(leg),
            rx=port.Key(suite=live.suite, secret=Secret(plan.rx_key(leg))),
            tx=port.Key(suite=live.suite, secret=Secret(plan.tx_key(leg)), mki=live.own_mki(leg).hex()),
            ssrc=plan.ssrc(leg),
            remote=f"{host}:{self._media}",
            timeout_s=0.0,
        )
        self.driver.join(Joiner(added, live.psk(leg)), (host, self._keys))

    async def until(self, done: Callable[[], bool], what: str) -> None:
        """Wait for something that the driver brings about.

        Raises:
            BenchError: if it does not come.
        """
        try:
            async with asyncio.timeout(PATIENCE_S), self.driver.changed:
                await self.driver.changed.wait_for(done)
        except TimeoutError:
            facts = self.conductor.policy.facts(asyncio.get_running_loop().time())
            raise BenchError(f"waited {PATIENCE_S:g} s for {what}: {facts}") from None

    def all_grouped(self) -> bool:
        """Everybody hears under a group key."""
        facts = self.conductor.policy.facts(asyncio.get_running_loop().time())
        return facts.bridged == 0 and facts.counts.epochs > 0

    async def leave(self, leg: int) -> Rekey:
        """A member goes; returns `gap_s` later, with what came of it.

        Raises:
            BenchError: if its cohort gets no other key.
        """
        conductor, loop = self.conductor, asyncio.get_running_loop()
        mark, cpu = conductor.mark(), time.process_time()
        left, left_ns = loop.time(), time.time_ns()
        self.driver.leave(self._live.name(leg))
        await self.until(lambda: len(conductor.switches) > mark.switches, "a rekey")
        cpu = time.process_time() - cpu
        switched, _, epoch = conductor.switches[mark.switches]
        self.left.append((leg, left_ns, left_ns + int((conductor.removed[-1] - left) * 1e9)))
        await asyncio.sleep(left + self._live.gap_s - loop.time())
        acks = [at for at, _ in conductor.acks[mark.acks :]]
        return Rekey(
            epoch=epoch,
            members=len(acks),
            messages=conductor.counts.messages - mark.messages,
            last_ack_ms=round((max(acks, default=left) - left) * 1000, 1),
            switched_ms=round((switched - left) * 1000, 1),
            heard_ms=0.0,
            focus_cpu_ms=round(cpu * 1000, 1),
        )

    async def come(self, leg: int) -> float:
        """A member comes late; returns `gap_s` later the time until it was under the group key, in ms."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        self.joined.append(leg)
        self.join(leg)
        await self.until(self.all_grouped, "a late member under the group key")
        took = loop.time() - begin
        await asyncio.sleep(self._live.gap_s - took)
        return round(took * 1000, 1)


@contextlib.asynccontextmanager
async def key_server() -> AsyncIterator[KmsClient]:
    """A KMS of our own, and a connection to it."""
    with tempfile.TemporaryDirectory(prefix="mrfp-bench-") as name:
        path = Path(name) / "kms.sock"
        words = (
            "-m",
            "control",
            "kms",
            "--socket",
            str(path),
            "--directory",
            f"{name}/state",
            "--log-level",
            "warning",
        )
        async with child("KMS", GENERATOR_CORE, *words, "--log-level", "warning") as process:
            client = KmsClient(f"unix:{path}", timeout_s=PATIENCE_S)
            deadline = time.monotonic() + PATIENCE_S
            while True:
                try:
                    await client.connect()
                    break
                except Disconnected as error:
                    if process.process.returncode is not None or time.monotonic() > deadline:
                        raise BenchError(f"the KMS does not come up: {error}") from None
                    await asyncio.sleep(0.05)
            await client.close()
            yield client
            await client.close()


@contextlib.asynccontextmanager
async def conference(live: Live, mixer: Daemon, kms: KmsClient, ports: tuple[int, int]) -> AsyncIterator[Focus]:
    """A focus that drives a fresh conference."""
    await mixer.client.call(port.ConferenceCreate(conference=CONFERENCE, keying="group", style="mki"))
    settings = RekeySettings(mode="group", cohort_target=live.cohort, bridge_max=live.bridge_max)
    conductor = Watched(Policy(settings), Keychain(CONFERENCE, live.suite), identity=FOCUS)
    driver = Driver(conductor, mixer.client, KmsKeys(kms), renew=_nobody)
    await driver.open("127.0.0.1")
    running = asyncio.create_task(driver.run())
    try:
        yield Focus(live, driver, conductor, ports)
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def _nobody(names: Iterable[str]) -> list[Joiner]:
    raise BenchError("the mixer was restarted under the measurement")
