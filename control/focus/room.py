"""One room: a conference on the mixer, the calls in it, and the driver that keys them.

Knows: who is in it. Must never know: SIP requests, or who may enter; who comes here has been let in.

The driver (`control.rekey.driver`) decides who gets which key and when; `carrying` brings it there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from control.focus.call import Call
from control.focus.carrying import Carrying
from control.focus.complaints import Complaints
from control.focus.errands import Errands
from control.focus.house import Ended, Full, House
from control.focus.keypad import Way
from control.focus.legs import Legs
from control.focus.roll import Roll
from control.focus.settings import RoomSettings
from control.rekey.conductor import Conductor
from control.rekey.driver import Driver
from control.rekey.keychain import Keychain, Limits
from control.rekey.policy import Policy
from control.rekey.signals import Current
from control.rekey.tickets import Joiner
from mixer import port


class Room:
    """One conference, from its first call to its last."""

    def __init__(self, name: str, settings: RoomSettings, house: House) -> None:
        self.name, self.settings = name, settings
        self.calls: dict[str, Call] = {}
        self.identity = f"focus@{name}"
        """What the focus is called in MIKEY messages."""
        self.expected = 0
        """Calls on their way in."""
        self.closing = False
        """Nobody enters any more."""
        self.changed: Callable[[Room], None]
        """Called when somebody came, went, or is another than before."""
        self.pressed: Callable[[Call, str, Way], None]
        """Called with each key that is pressed on a phone in it."""
        self._house = house
        self._errands = Errands(house.faults)
        self.complaints = Complaints(self.calls, settings, house.settings.keys, house.following, self.tell)
        self._legs = Legs(name, settings, house)
        self.carrying = Carrying(self.calls, self._legs, self._errands)
        self.driver = self.carrying.driver = self._new_driver()
        self._driving: asyncio.Task[None] | None = None
        uri = f"sip:{name}@{house.settings.domain}"
        self.roll = Roll(
            uri, settings, self.driver.conductor.policy.keying_of, watchers=house.settings.limits.subscriptions
        )

    def _happened(self, event: port.Event) -> None:
        if isinstance(event, port.Dtmf):
            call = self.calls.get(event.leg)
            if call is not None:
                self.pressed(call, event.key, "rtp")
        else:
            self.complaints.happened(event)

    def _new_driver(self) -> Driver:
        settings, house = self.settings, self._house
        policy = Policy(settings.policy(kms=house.has_kms), style=settings.style)
        limits = Limits(max_age_s=house.settings.keys.max_age_s)
        keychain = Keychain(self.name, settings.suite, style=settings.style, limits=limits)
        create = port.ConferenceCreate(
            conference=self.name,
            rate=settings.rate,
            keying="group",
            style=settings.style,
            max_talkers=settings.max_talkers,
        )
        return Driver(
            Conductor(policy, keychain, identity=self.identity),
            house.trunk.line(self.name, self._happened),
            house.keys,
            renew=self._renew,
            carrier=self.carrying,
            create=create,
            attend=self.complaints.attend,
        )

    async def open(self) -> None:
        """Have the conference made, and driven. One of that name may be left of a former life of ours, with calls that
        nobody knows any more: they are removed, and its keys destroyed.

        Raises:
            ControlError: if the mixer will not, or cannot be reached.
        """
        self.driver.adopt()
        self._driving = asyncio.create_task(self.driver.run())
        begun = asyncio.create_task(self.driver.begun())
        try:
            await asyncio.wait({self._driving, begun}, return_when=asyncio.FIRST_COMPLETED)
            if not begun.done():
                await self._driving
        except BaseException:
            begun.cancel()
            self._driving.cancel()
            self._house.trunk.drop(self.name)
            raise

    def shut(self) -> None:
        """Nobody is to enter any more; its calls are about to be hung up."""
        self.closing = True
        self.driver.closing()

    async def close(self) -> None:
        """Remove the conference; every call in it has been hung up."""
        await self._errands.close()
        if self._driving is not None:
            self.driver.close_conference()
            await asyncio.gather(self._driving, return_exceptions=True)
        self._house.trunk.drop(self.name)

    # -- who comes and goes -------------------------------------------------------------------

    def current(self, call: Call) -> Current | None:
        """The group key that a newcomer may have at once, if the policy lets it and it could use it."""
        return self.driver.admit() if self._legs.follows(call) else None

    async def enter(self, call: Call, own: port.Key | None, holding: Current | None) -> port.LegAdded:
        """Have the mixer add the leg of a call.

        Args:
            own: its own key, that it begins on unless it was told the group's.
            holding: the group key that it was told.

        Raises:
            ControlError: if it will not, or if the call has ended meanwhile.
        """
        if self.closing or call.ending:
            raise Ended
        self.calls[call.name] = call
        try:
            added = await self.driver.enter(self._legs.joiner(call, own), holding=holding)
        except BaseException:
            self.calls.pop(call.name, None)
            raise
        if self.calls.get(call.name) is not call:
            raise Ended
        self.tell(call)
        return added

    def leave(self, call: Call, *, evict: bool = False) -> None:
        """A call is over, or is made to be."""
        if self.calls.pop(call.name, None) is not None:
            self.driver.leave(call.name, evict=evict)
            if not call.waiting:
                self.roll.drop(call, "booted" if evict else "departed")
                self.changed(self)

    def tell(self, call: Call) -> None:
        """A call is another than before: so is the roster."""
        if self.calls.get(call.name) is call and not call.waiting:
            self.roll.put(call)
            self.changed(self)

    async def admit(self, call: Call) -> None:
        """Who waited has keyed in the PIN: it hears and is heard from now on.

        Raises:
            Full: if there is no place any more.
            ControlError: if the mixer will not.
        """
        if self.full:
            raise Full
        call.waiting = False
        await self.modify(call)

    @property
    def full(self) -> bool:
        """No more calls than now may be in it. Who has still to key in a PIN takes nobody's place."""
        return sum(not call.waiting for call in self.calls.values()) + self.expected >= self.settings.members

    async def modify(self, call: Call) -> None:
        """What was agreed on in a running call has changed: tell the mixer.

        Raises:
            ControlError: if it will not.
        """
        await self._legs.modify(call)
        self.tell(call)

    async def _renew(self, names: Iterable[str]) -> list[Joiner]:
        """The mixer has lost its legs: each phone that can take one is given a fresh key, the others are lost."""
        calls = [self.calls[name] for name in names if name in self.calls]
        joiners = await asyncio.gather(*(self._renewed(call) for call in calls))
        return [joiner for joiner in joiners if joiner is not None]

    async def _renewed(self, call: Call) -> Joiner | None:
        joiner = await self._legs.renewed(call)
        if joiner is None:
            self.complaints.operator.dismiss(call, "the mixer has restarted")
        return joiner
