"""The driver: a conductor in the world. The mixer's control socket, the KMS, the key channel and the clock.

    driver = Driver(conductor, mixer, keys, renew=renew)
    await driver.open(host="0.0.0.0")
    async with asyncio.TaskGroup() as group:
        group.create_task(driver.run())
        driver.join(joiner, address)

Everything that decides is in `policy` and `conductor`; here things are only carried. Commands go to the mixer in
order, as many on their way as there are; a key that the KMS takes long for, or a reply of the mixer, holds nothing
up. When the connection to the mixer breaks, conferences go on without us; we connect again, ask what there is, and
begin anew with it. So we do if the conference is gone, or the KMS has made epochs that we do not know of; and from
the first if this focus has restarted, and the conference lived on (`adopt`).

Keys go to members over UDP (`courier`), unless the owner has a `carrier` of its own: then it hands answers back by
`heard`, `signalled` and `unsignalled`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from enum import Enum, auto
from functools import partial
from typing import Final

import structlog

from control.client import Disconnected, MixerClient
from control.errors import ControlError
from control.rekey.arrivals import Arrivals
from control.rekey.carrier import Carrier
from control.rekey.conductor import Conductor, Current, Joiner, Request
from control.rekey.courier import Address, Courier
from control.rekey.errands import Errands
from control.rekey.intentions import Attention
from control.rekey.keysource import EpochsMade, KeySource, KmsKeys
from control.rekey.loop import Loop, now
from control.rekey.register import Register, Renew
from control.rekey.venue import Venue
from mixer import port

__all__ = ["Carrier", "Driver", "KeySource", "KmsKeys", "Renew"]

RETRY_S: Final = 0.5
"""From one attempt to reach the mixer to the next."""
ENTER_S: Final = 5.0
"""So long may the mixer take to add a leg."""


class _End(Enum):
    """How a driver is to end."""

    STOP = auto()
    """The mixer goes on with the conference."""
    CLOSE = auto()
    """The conference is no more."""


class Driver:
    """Drives one conference."""

    def __init__(
        self,
        conductor: Conductor,
        mixer: MixerClient,
        keys: KeySource,
        *,
        renew: Renew,
        carrier: Carrier | None = None,
        create: port.ConferenceCreate | None = None,
        attend: Callable[[Attention], None] | None = None,
    ) -> None:
        """`mixer`: a client of its own, connected; the conference is on it already, unless `adopt` is called.

        Args:
            carrier: UDP if omitted.
            create: how the conference is made when it has to be, with group keying.
            attend: told of members that need a decision; else they wait in `conductor.attention`.
        """
        self.conductor = conductor
        self.courier = Courier(self.heard)
        self._carrier: Carrier = carrier or self.courier
        self._keys = keys
        self._attend = attend
        self._venue = Venue(mixer, create or _plain(conductor))
        self._register = Register(renew)
        self._arrivals = Arrivals()
        self._loop = Loop(conductor, mixer, self._arrivals, flush=self._flush)
        self.changed = self._loop.changed
        """Notified whenever something was carried out, for those who wait for a state."""
        self._begun = asyncio.Event()
        self._end: _End | None = None
        self._boot = ""
        """Life of the mixer that has the conference."""
        self._above, self._behind = 0, False
        """The highest epoch that the KMS refused to go below; we are not above it yet."""
        self._errands = Errands(conductor.conference)

    async def open(self, host: str = "0.0.0.0", number: int = 0) -> Address:
        """Open the key channel over UDP; returns its address. Raises `OSError`."""
        return await self.courier.open(host, number)

    def adopt(self, joiners: Iterable[Joiner] = ()) -> None:
        """This focus has restarted: before `run`, say who of the conference is known to it.

        The mixer's other legs are removed, and all its group keys of the conference destroyed. If it has none of that
        name, it is made.
        """
        self._register.adopt(joiners)

    async def run(self) -> None:
        """Drive until cancelled, stopped, or the conference is closed; all keys here are wiped then.

        Raises:
            ControlError: if the mixer cannot be reached to begin with.
        """
        try:
            await self._begin()
            while self._end is None:
                try:
                    await self._loop.run(self._over)
                except Disconnected as lost:
                    _log.warning("mixer_lost", conference=self.conductor.conference, reason=str(lost))
                    await self._recover()
            if self._end is _End.CLOSE:
                await self._close_conference()
        finally:
            self.courier.close()
            self.conductor.close()
            await self._errands.close()

    async def begun(self) -> None:
        """Return when the conference is there."""
        await self._begun.wait()

    def stop(self) -> None:
        """Let `run` return. The mixer goes on with the conference."""
        self._end = self._end or _End.STOP
        self._loop.wake()

    def close_conference(self) -> None:
        """Let `run` destroy the conference on the mixer, tell the KMS, and return."""
        self._end = _End.CLOSE
        self._loop.wake()

    # -- who comes and goes -------------------------------------------------------------------

    def admit(self) -> Current | None:
        """The key in use, to be told to one who is about to join (`admission: current`), if there is one."""
        return self.conductor.current()

    def join(self, joiner: Joiner, address: Address | None = None, *, holding: Current | None = None) -> None:
        """A member comes.

        Args:
            address: where it takes key messages over UDP.
            holding: the key that it was told, as `admit` had it then.

        Raises:
            NameTaken: if somebody of that name is there.
            MikeyError: if its PSK is too short.
        """
        self.conductor.join(joiner, now(), holding=holding)
        self._register.enter(joiner)
        if address is not None:
            self.courier.know(joiner.name, address)
        self._errands.run(self._keys.admit(self.conductor.conference, joiner.name))
        self._flush()

    async def enter(self, joiner: Joiner, *, holding: Current | None = None) -> port.LegAdded:
        """A member comes (`join`); returns when the mixer has added its leg.

        Raises:
            ControlError: if the mixer will not have it, or cannot be reached now; it has left again then.
            NameTaken, MikeyError: as `join` does.
        """
        self.join(joiner, holding=holding)  # first: if the name is taken, another may wait under it
        added = self._arrivals.expect(joiner.name)
        try:
            async with asyncio.timeout(ENTER_S):
                return await added
        except TimeoutError:
            self.leave(joiner.name)
            raise Disconnected("the mixer does not answer now") from None
        except BaseException:  # if nobody waits any more, nobody would take it out either
            self.leave(joiner.name)
            raise
        finally:
            self._arrivals.forget(joiner.name)

    def leave(self, member: str, *, evict: bool = False) -> None:
        """A member goes. One whose leg the mixer refused (`Attention`) goes this way too."""
        self._register.strike(member)
        self.conductor.leave(member, now(), evict=evict)
        self.courier.forget(member)
        self._errands.run(self._keys.expel(self.conductor.conference, member))
        self._flush()

    def closing(self) -> None:
        """The conference ends."""
        self.conductor.closing(now())
        self._flush()

    # -- answers of members -------------------------------------------------------------------

    def heard(self, member: str, octets: bytes) -> None:
        """A MIKEY message came from a member."""
        self.conductor.heard(member, octets, now())
        self._flush()

    def signalled(self, member: str, epoch: int) -> None:
        """A member has taken the key that it was signalled."""
        self.conductor.signalled(member, epoch, now())
        self._flush()

    def unsignalled(self, member: str, epoch: int) -> None:
        """A member would not take it, or was not reached."""
        self.conductor.unsignalled(member, epoch, now())
        self._flush()

    # -- begin, begin anew, end ----------------------------------------------------------------

    async def _begin(self) -> None:
        self._boot = await self._venue.boot()
        if self._register.adopted is not None:
            for name in self._register.adopted:
                self._errands.run(self._keys.admit(self.conductor.conference, name))
            await self._begin_anew(self._boot)
            self._register.adopted = None
        await self._venue.listen()
        self._begun.set()

    def _over(self) -> str | None:
        """Why the loop is to end; nothing if it just is to, None if it goes on."""
        if self._end is not None:
            return ""
        return "the KMS has gone ahead of us" if self._behind else None

    async def _recover(self) -> None:
        """Reach the mixer again, whichever life of it, and begin anew with what it has. Goes on until it has."""
        failure = ""
        while self._end is None:
            try:
                await self._begin_anew(await self._venue.reach())
                await self._venue.listen()
            except ControlError as error:
                if str(error) != failure:  # it is tried twice a second: once is enough to be told
                    failure = str(error)
                    _log.warning("not_recovered", conference=self.conductor.conference, reason=failure)
                await asyncio.sleep(RETRY_S)
            else:
                if failure:
                    _log.info("recovered", conference=self.conductor.conference)
                return

    async def _begin_anew(self, boot: str) -> None:
        shown = await self._venue.shown() if boot == self._boot else None
        if shown is None:
            self._boot = ""  # until all is done: what was made must not pass for ours if this is interrupted
            await self._venue.make()
        known = self._register.names()
        for name in await self._register.refresh(known if shown is None else self.conductor.unconfirmed()):
            self.leave(name)
        self._boot, self._behind = boot, False
        here = self._register.joiners()
        fresh = {joiner.name for joiner in here} - known
        self.conductor.recover(shown, here, now(), above=self._above, fresh=fresh)
        self._flush()

    async def _close_conference(self) -> None:
        """The mixer may be gone, and the conference with it: the KMS is told in any case."""
        conference = self.conductor.conference
        await self._errands.close()
        for step in (self._venue.destroy_surely, partial(self._keys.close, conference)):
            try:
                await step()
            except ControlError as error:
                _log.warning("not_closed", conference=conference, reason=str(error))

    # -- what leaves --------------------------------------------------------------------------

    def _flush(self) -> None:
        """Send what is to be sent, ask for what is wanted; commands wait for their turn."""
        for name, octets in self.conductor.messages():
            self._carrier.send(name, octets)
        for signal in self.conductor.signals():
            self._carrier.signal(signal)
        for request in self.conductor.requests():
            self._errands.run(self._obtain(request))
        while self._attend is not None and self.conductor.attention:
            self._attend(self.conductor.attention.pop(0))
        self._loop.wake()

    async def _obtain(self, request: Request) -> None:
        conductor, suite = self.conductor, self.conductor.keychain.suite
        try:
            secret = await self._keys.make(conductor.conference, request.cohort, request.epoch, suite)
        except ControlError as error:
            if isinstance(error, EpochsMade) and error.floor > self._above:
                self._above, self._behind = error.floor, True
            _log.warning("no_key", conference=conductor.conference, epoch=request.epoch, reason=str(error))
            conductor.not_made(request, now())
        else:
            conductor.made(request, secret, now())
        self._flush()


def _plain(conductor: Conductor) -> port.ConferenceCreate:
    style: port.SwitchStyle = "mki" if conductor.keychain.named else "ssrc"
    return port.ConferenceCreate(conference=conductor.conference, keying="group", style=style)


_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("rekey")
