"""The driver: a conductor in the world. The mixer's control socket, the KMS, the key channel and the clock.

    driver = Driver(conductor, mixer, keys, renew=renew)
    await driver.open(host="0.0.0.0")
    async with asyncio.TaskGroup() as group:
        group.create_task(driver.run())
        driver.join(joiner, address)

Everything that decides is in `policy` and `conductor`; here things are only carried. Commands go to the mixer in
order, as many on their way as there are; a key that the KMS takes long for holds nothing up. When the connection
to the mixer breaks, conferences go on without us; we connect again, ask what there is, and begin anew with it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Final, Protocol, cast

import structlog

from control.client import Disconnected, MixerClient
from control.errors import ControlError
from control.kms.client import KmsClient
from control.messages import NodeInfo
from control.rekey.conductor import Conductor, Joiner, Request, Ticket
from control.rekey.courier import Address, Courier
from mixer import port
from mixer.secret import Secret
from mixer.suites import SuiteName

RETRY_S: Final = 0.5
"""From one attempt to reach the mixer to the next."""


class KeySource(Protocol):
    """Who makes group keys: the KMS."""

    async def make(self, conference: str, cohort: int, epoch: int, suite: SuiteName) -> Secret:
        """The secret of a generation, 32 octets. Raises `ControlError` if there is none."""
        ...

    async def admit(self, conference: str, member: str) -> None:
        """A member may have keys made from now on. Raises `ControlError` if it may not."""
        ...

    async def expel(self, conference: str, member: str) -> None:
        """A member may have none any more. Raises `ControlError`."""
        ...


class KmsKeys:
    """A `KeySource` that is a `mrfp kms`. Connects when it is needed, and again after a failure."""

    def __init__(self, client: KmsClient) -> None:
        self._client = client
        self._registered: set[str] = set()
        """Conferences that this connection has made known; empty without one."""
        self._lock = asyncio.Lock()

    async def make(self, conference: str, cohort: int, epoch: int, suite: SuiteName) -> Secret:
        async with self._ready(conference) as kms:
            made = await kms.create_epoch(conference, epoch=epoch, cohort=cohort, suite=suite, kind="secret")
            return made.secret

    async def admit(self, conference: str, member: str) -> None:
        async with self._ready(conference) as kms:
            await kms.admit(conference, member)

    async def expel(self, conference: str, member: str) -> None:
        async with self._ready(conference) as kms:
            await kms.expel(conference, member)

    @contextlib.asynccontextmanager
    async def _ready(self, conference: str) -> AsyncIterator[KmsClient]:
        try:
            async with self._lock:
                if not self._registered:
                    await self._client.connect()
                if conference not in self._registered:
                    await self._client.register(conference)
                    self._registered.add(conference)
            yield self._client
        except Disconnected:
            self._registered.clear()
            await self._client.close()
            raise


Renew = Callable[[Iterable[str]], Awaitable[list[Joiner]]]
"""Signals fresh keys to members whose legs are gone with a mixer, and returns them as they join again."""


class Driver:
    """Drives one conference."""

    def __init__(self, conductor: Conductor, mixer: MixerClient, keys: KeySource, *, renew: Renew) -> None:
        """`mixer`: a client of its own, connected; the conference is on it already."""
        self.conductor = conductor
        self.courier = Courier(self._hear)
        self.changed = asyncio.Condition()
        """Notified whenever something was carried out, for those who wait for a state."""
        self._mixer, self._keys, self._renew = mixer, keys, renew
        self._joiners: dict[str, Joiner] = {}
        self._boot = ""
        self._work = asyncio.Event()
        self._errands: set[asyncio.Task[None]] = set()

    async def open(self, host: str = "0.0.0.0", number: int = 0) -> Address:
        """Open the key channel; returns its address. Raises `OSError`."""
        return await self.courier.open(host, number)

    async def run(self) -> None:
        """Drive until cancelled."""
        self._boot = (await self._mixer.call(NodeInfo())).boot_id
        await self._listen()
        try:
            while True:
                try:
                    await self._drive()
                except Disconnected as lost:
                    _log.warning("mixer_lost", conference=self.conductor.conference, reason=str(lost))
                    await self._recover()
        finally:
            for errand in self._errands:
                errand.cancel()
            self.courier.close()

    # -- who comes and goes -------------------------------------------------------------------

    def join(self, joiner: Joiner, address: Address) -> None:
        """A member comes; `address`: where it takes key messages."""
        self._joiners[joiner.name] = joiner
        self.courier.know(joiner.name, address)
        self._run_errand(self._keys.admit(self.conductor.conference, joiner.name))
        self.conductor.join(joiner, self._now())
        self._flush()

    def leave(self, member: str, *, evict: bool = False) -> None:
        """A member goes."""
        self._joiners.pop(member, None)
        self.conductor.leave(member, self._now(), evict=evict)
        self.courier.forget(member)
        self._run_errand(self._keys.expel(self.conductor.conference, member))
        self._flush()

    def closing(self) -> None:
        """The conference ends."""
        self.conductor.closing(self._now())
        self._flush()

    # -- the loop -----------------------------------------------------------------------------

    async def _drive(self) -> None:
        """Carry commands to the mixer, and keep time."""
        hearing = asyncio.create_task(self._hear_events())
        try:
            while not hearing.done():
                self.conductor.advance(self._now())
                self._flush()
                tickets = self.conductor.tickets()
                if tickets:
                    await self._carry(tickets)
                    continue
                self._work.clear()
                due = self.conductor.due()
                wait = asyncio.create_task(self._work.wait())
                await asyncio.wait(
                    {wait, hearing},
                    timeout=None if due is None else max(0.0, due - self._now()),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                wait.cancel()
        finally:
            hearing.cancel()
        raise Disconnected("the mixer tells nothing any more")

    async def _carry(self, tickets: list[Ticket]) -> None:
        """Commands leave in order without waiting for each other's replies, which come in the same order."""
        calls = [asyncio.create_task(self._mixer.call(ticket.command)) for ticket in tickets]
        try:
            for ticket, call in zip(tickets, calls, strict=True):
                try:
                    reply = await call
                except Disconnected:
                    raise
                except ControlError as error:
                    _log.warning("command_refused", command=type(ticket.command).__name__, reason=str(error))
                    self.conductor.refused(ticket, self._now())
                else:
                    self.conductor.replied(ticket, cast(port.Reply, reply), self._now())
                self._flush()
        finally:
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        async with self.changed:
            self.changed.notify_all()

    async def _hear_events(self) -> None:
        async for event in self._mixer.events():
            if isinstance(event, port.Event):
                self.conductor.happened(event, self._now())
                self._flush()

    async def _listen(self) -> None:
        await self._mixer.subscribe(("key_expired", "key_switched"), conference=self.conductor.conference)

    async def _recover(self) -> None:
        """Reach the mixer again, whichever life of it, and begin anew with what it has."""
        while True:
            await self._mixer.close()
            try:
                await self._mixer.connect()
                boot = (await self._mixer.call(NodeInfo())).boot_id
                await self._begin_anew(boot)
                await self._listen()
                return
            except Disconnected:
                await asyncio.sleep(RETRY_S)

    async def _begin_anew(self, boot: str) -> None:
        name = self.conductor.conference
        shown = None
        if boot == self._boot:
            shown = await self._mixer.call(port.ConferenceShow(conference=name))
        else:
            style: port.SwitchStyle = "mki" if self.conductor.keychain.named else "ssrc"
            await self._mixer.call(port.ConferenceCreate(conference=name, keying="group", style=style))
            self._joiners = {joiner.name: joiner for joiner in await self._renew(list(self._joiners))}
        self._boot = boot
        self.conductor.recover(shown, self._joiners.values(), self._now())
        self._flush()

    # -- what leaves --------------------------------------------------------------------------

    def _hear(self, member: str, octets: bytes) -> None:
        self.conductor.heard(member, octets, self._now())
        self._flush()

    def _flush(self) -> None:
        """Send what is to be sent, ask for what is wanted; commands wait for their turn."""
        for name, octets in self.conductor.messages():
            self.courier.send(name, octets)
        for request in self.conductor.requests():
            self._run_errand(self._obtain(request))
        self._work.set()

    async def _obtain(self, request: Request) -> None:
        conductor, suite = self.conductor, self.conductor.keychain.suite
        try:
            secret = await self._keys.make(conductor.conference, request.cohort, request.epoch, suite)
        except ControlError as error:
            _log.warning("no_key", conference=conductor.conference, epoch=request.epoch, reason=str(error))
            conductor.not_made(request, self._now())
        else:
            conductor.made(request, secret, self._now())
        self._flush()

    def _run_errand(self, errand: Awaitable[None]) -> None:
        """Have something done at the KMS beside everything else."""

        async def run() -> None:
            try:
                await errand
            except ControlError as error:
                _log.warning("kms_refused", conference=self.conductor.conference, reason=str(error))

        task = asyncio.create_task(run())
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("rekey")
