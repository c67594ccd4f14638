"""One room: a conference on the mixer, the calls in it, and the driver that keys them.

Knows: who is in it, and how keys reach them. Must never know: SIP requests, or who may enter; who comes here has been
let in.

The driver (`control.rekey.driver`) decides who gets which key and when; a room is its carrier: a key for an SDES phone
goes as a re-INVITE, one for an endpoint that speaks MIKEY as an INFO (RFC 6086), and what they say goes back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
import structlog

from control.errors import ControlError
from control.focus import media
from control.focus.call import Call
from control.focus.complaints import Complaints
from control.focus.errands import Errands
from control.focus.house import Ended, Full, House
from control.focus.keypad import Way
from control.focus.roll import Roll
from control.focus.settings import RoomSettings
from control.rekey.conductor import Conductor
from control.rekey.driver import Driver
from control.rekey.keychain import Keychain, Limits
from control.rekey.policy import Policy
from control.rekey.signals import Current, Signal
from control.rekey.tickets import Joiner
from control.sdp.agreed import Agreed
from control.sip.errors import SipError
from mixer import port
from mixer.port import Direction

MIKEY: Final = "application/mikey"
PACKAGE: Final = "mrfp-key"
"""The Info-Package of key messages (RFC 6086)."""


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
        self.driver = self._new_driver()
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
            carrier=self,
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
        return self.driver.admit() if self._house.following.may_follow(call, self.settings) else None

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
            added = await self.driver.enter(self._joiner(call, own), holding=holding)
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

    def _joiner(self, call: Call, held: port.Key | None) -> Joiner:
        assert call.agreed is not None
        silence_s, follows = self._house.settings.media.silence_s, self._house.following.may_follow(call, self.settings)
        leg = media.leg(call.name, self.name, call.agreed, held, apart=not follows, silence_s=silence_s)
        leg = msgspec.structs.replace(leg, direction=_direction(call, call.agreed), alone=call.waiting)
        return Joiner(leg=leg, psk=call.psk, ratchets=call.psk is not None, follows=follows)

    # -- keys, as the driver's carrier --------------------------------------------------------

    def signal(self, signal: Signal) -> None:
        """Carry a key to an SDES phone."""
        call = self.calls.get(signal.member)
        if call is not None:
            self._errands.run(self._rekey(call, signal))

    def send(self, member: str, octets: bytes) -> None:
        """Carry a MIKEY message."""
        call = self.calls.get(member)
        if call is not None:
            self._errands.run(self._inform(call, octets))

    async def _rekey(self, call: Call, signal: Signal) -> None:
        if await call.rekey(signal.key):
            await self._expect(call)
            self.driver.signalled(call.name, signal.epoch)
        else:
            self.driver.unsignalled(call.name, signal.epoch)

    async def _inform(self, call: Call, octets: bytes) -> None:
        if call.dialog is None:
            return
        headers = (("Info-Package", PACKAGE), ("Content-Disposition", "Info-Package"))
        try:
            response = await call.dialog.request("INFO", headers=headers, body=octets, content_type=MIKEY)
        except SipError as error:
            _log.warning("key_not_carried", leg=call.name, reason=str(error))
            return
        self.informed(call, MIKEY if response.body else "", response.body)

    def informed(self, call: Call, content: str, octets: bytes) -> None:
        """An INFO of a phone, or what it answered to one of ours: its word that it has a key, or nothing to us."""
        if content.partition(";")[0].strip().lower() == MIKEY:
            self.driver.heard(call.name, octets)

    async def modify(self, call: Call) -> None:
        """What was agreed on in a running call has changed: tell the mixer.

        Raises:
            ControlError: if it will not.
        """
        agreed = call.agreed
        assert agreed is not None
        silence_s = 0.0 if call.on_hold else media.timeout(agreed.direction, self._house.settings.media.silence_s)
        change = port.LegModify(
            leg=call.name,
            direction=_direction(call, agreed),
            mute=call.on_hold and not self.settings.hold_music,
            alone=call.waiting,
            remote=agreed.remote,
            timeout_s=silence_s,
        )
        await self._expect(call)  # first: the phone may be sending under its new key already
        await self._house.trunk.client.call(change)
        self.tell(call)

    async def _expect(self, call: Call) -> None:
        """A phone may send under keys of its own that are new."""
        for key in call.fresh_keys():
            command = port.KeyPrepare(conference=self.name, leg=call.name, direction="rx", key=key)
            try:
                await self._house.trunk.client.call(command)
            except ControlError as error:
                _log.warning("key_refused", leg=call.name, reason=str(error))

    async def _renew(self, names: Iterable[str]) -> list[Joiner]:
        """The mixer has lost its legs: each phone that can take one is given a fresh key, the others are lost."""
        calls = [self.calls[name] for name in names if name in self.calls]
        joiners = await asyncio.gather(*(self._renewed(call) for call in calls))
        return [joiner for joiner in joiners if joiner is not None]

    async def _renewed(self, call: Call) -> Joiner | None:
        if call.held is not None and self._house.following.takes_another(call):
            key = port.Key(suite=call.held.suite, secret=media.fresh_key(call.held.suite), mki=call.held.mki)
            if await call.rekey(key):
                call.fresh_keys()  # the new leg begins on them
                return self._joiner(call, key)
        self.complaints.operator.dismiss(call, "the mixer has restarted")
        return None


def prompt_of(call: Call) -> str:
    """What the mixer calls that which is played to one who waits."""
    return f"pin-{call.name}"


def _direction(call: Call, agreed: Agreed) -> Direction:
    """Of its leg now: who has still to show where it is is sent nothing."""
    return media.hushed(agreed.direction) if call.hushed else agreed.direction


_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("focus")
