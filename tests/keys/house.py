"""A conference with everybody in it, on one virtual clock: an engine, its focus (policy and conductor), a KMS, and
members who have keys only by MIKEY messages over a network that loses, delays and reorders.

`House.step` is one tick. Nothing here is faked but time and the networks: the SRTP of members is that of
`tests/reference`, their keys come from `control.member`. What an adversary may keep is written down: every packet
ever sent (`room.sent`), and for each member every secret that it was ever given (`Guest.known`).
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from control.member import Member
from control.mikey import prf
from control.mikey.errors import MikeyError
from control.mikey.psk import Receiver
from control.mikey.push import Delivery
from control.rekey import ratchet
from control.rekey.conductor import Conductor, Current, Joiner, Request, Then, Ticket
from control.rekey.epochs import generation_of, mki_of, step_of
from control.rekey.keychain import Keychain, Limits
from control.rekey.policy import Policy
from control.rekey.settings import RekeySettings, Style
from mixer import port
from mixer.ledger import KeyLedger
from mixer.port import Key, PortError
from mixer.secret import Secret
from mixer.suites import SuiteName
from tests import naive
from tests.keys.ear import Ear
from tests.keys.handsets import Exchange, Handset, Line
from tests.mixer.net import MS, Net
from tests.mixer.phone import Voice
from tests.mixer.room import DEFAULT, Room, Sent
from tests.reference.srtp import Context, Stream

FOCUS = "focus"
CONFERENCE = "c"
STEPS_AHEAD = 255
"""An adversary derives every step that is left of a generation."""


@dataclass
class Guest:
    """Somebody in the conference, and what an adversary in its place would keep."""

    name: str
    member: Member
    phone: Ear
    owns: list[Key]
    """Keys of its own that it was given, the last in force."""
    recorder: Receiver
    joined: int
    """Frame in which it came."""
    psk: Secret | None
    ratchets: bool = True
    follows: bool = True
    left: int | None = None
    acked: set[int] = field(default_factory=set)
    """Epochs that the focus knows it has."""
    deliveries: list[Delivery] = field(default_factory=list)

    def known(self) -> list[Key]:
        """Every key it ever held or can derive, its own among them."""
        keys = list(self.owns)
        for delivery in self.deliveries:
            push = delivery.push
            if push.kind == "tek":
                keys.append(Key(suite=push.suite, secret=push.secret, mki=push.mki.hex()))
                continue
            secret, epoch = push.secret, push.epoch
            for number in range(epoch, min(epoch + STEPS_AHEAD, epoch | 0xFF) + 1):
                if number > epoch:
                    secret = ratchet.step(
                        secret, conference=CONFERENCE, generation=generation_of(number), step=step_of(number)
                    )
                srtp = prf.srtp_key(secret, csb_id=delivery.csb_id, cs_id=1, rand=delivery.rand, suite=push.suite)
                keys.append(Key(suite=push.suite, secret=srtp, mki=mki_of(number).hex()))
        return keys


class Kms:
    """Makes keys, after a while, unless it is down."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.down = False
        self.delay_ms = 20.0
        self.made: dict[tuple[int, int], bytes] = {}
        self.waiting: deque[tuple[int, Request]] = deque()

    def ask(self, request: Request, now_ns: int) -> None:
        self.waiting.append((now_ns + int(self.delay_ms * MS), request))

    def answers(self, now_ns: int) -> list[tuple[Request, Secret | None]]:
        """What is answered by now; None if it is down."""
        ready: list[tuple[Request, Secret | None]] = []
        while self.waiting and self.waiting[0][0] <= now_ns:
            _, request = self.waiting.popleft()
            if self.down:
                ready.append((request, None))
                continue
            octets = self.made.setdefault((request.cohort, request.epoch), self._random.randbytes(32))
            ready.append((request, Secret(octets)))
        return ready


class House:
    """One conference and everybody around it."""

    def __init__(
        self,
        *,
        style: Style = "mki",
        suite: SuiteName = DEFAULT,
        seed: int = 0,
        limits: Limits | None = None,
        keys_down: Net | None = None,
        keys_up: Net | None = None,
        ears: Net | None = None,
        max_legs: int = 64,
        rekey: dict[str, Any] | None = None,
    ) -> None:
        """`keys_down`, `keys_up`: the network of key messages, from the focus and to it."""
        self.style: Style = style
        self.suite = suite
        self.limits = limits
        self.settings = msgspec.convert({"mode": "group", "cohort_target": 0} | (rekey or {}), RekeySettings)
        self.ledger = KeyLedger()
        """Outlives a mixer, as its file does."""
        self.room = Room(seed=seed, max_legs=max_legs, ears=ears, ledger=self.ledger)
        self.kms = Kms(seed)
        self.down, self.up = keys_down or Net(seed + 1), keys_up or Net(seed + 2)
        self.guests: dict[str, Guest] = {}
        self.past: list[Guest] = []
        """Who has left."""
        self.refusals: list[PortError] = []
        self.exchange = Exchange(self.answered)
        self.group_keys: list[Key] = []
        """All that the mixer was ever given."""
        self.before: Callable[[Ticket], bool] = lambda ticket: True
        """Asked before each command of the focus; False loses it, and all that follow, as a crash would."""
        self._random = random.Random(seed + 3)
        self._events = 0
        self._signals = 0
        self.conductor = self.new_focus()
        self.room.apply(port.ConferenceCreate(conference=CONFERENCE, keying="group", style=style))

    def new_focus(self) -> Conductor:
        """A focus that knows nothing yet."""
        keychain = Keychain(CONFERENCE, self.suite, style=self.style, limits=self.limits or Limits(None, None))
        return Conductor(Policy(self.settings, style=self.style), keychain, identity=FOCUS)

    # -- people

    def join(self, name: str, voice: Voice | None = None, *, ratchets: bool = True) -> Guest:
        """A member comes. It is told its own key by the signalling, and everything else by MIKEY."""
        psk = Secret(self._random.randbytes(16))
        address = f"192.0.2.{len(self.guests) + len(self.past) + 1}:{5000 + len(self.guests) + len(self.past)}"
        member = Member(name, psk, focus=FOCUS, conference=CONFERENCE)
        phone = Ear(
            name,
            address,
            self._random.randrange(1, 1 << 32),
            voice=voice,
            member=member,
            named=self.style == "mki",
            now=self.now,
        )
        recorder = Receiver(psk, identity=name.encode(), peer=FOCUS.encode())
        guest = Guest(name, member, phone, [], recorder, self.room.frame, psk, ratchets)
        self.guests[name] = guest
        self.conductor.join(self.signal(guest), self.now())
        self.work()
        if self.room.engine.has_leg(name):
            phone.born_ns = self.room.now_ns
            self.room.phones[name] = phone
        return guest

    def signal(self, guest: Guest) -> Joiner:
        """The signalling between focus and member: the leg gets keys of its own, which both then know."""
        name, phone, room = guest.name, guest.phone, self.room
        mki = (0x8000_0000 | self._random.getrandbits(31)).to_bytes(4)
        named = mki.hex() if self.style == "mki" else ""
        self._signals += 1
        own, rx = room.key(f"own:{self._signals}", self.suite, mki=named), room.key(f"rx:{self._signals}")
        guest.member.own(mki, own.secret, self.suite)
        guest.owns.append(own)
        phone.uplink = Context(rx.suite, rx.secret.reveal())
        leg = port.LegAdd(conference=CONFERENCE, leg=name, rx=rx, tx=own, ssrc=phone.ssrc, remote=phone.address)
        return Joiner(leg, guest.psk, guest.ratchets, guest.follows)

    def dial(
        self, name: str, voice: Voice | None = None, *, follows: bool = True, holding: Current | None = None
    ) -> Handset:
        """A plain phone comes: it holds one key, its own or the one that it was told in the answer to its offer."""
        address = f"192.0.2.{len(self.guests) + len(self.past) + 1}:{5000 + len(self.guests) + len(self.past)}"
        member = Member(name, Secret(bytes(16)), focus=FOCUS, conference=CONFERENCE)
        phone = Handset(name, address, self._random.randrange(1, 1 << 32), voice=voice, member=member)
        recorder = Receiver(Secret(bytes(16)), identity=name.encode(), peer=FOCUS.encode())
        guest = Guest(name, member, phone, [], recorder, self.room.frame, None, False, follows)
        self.guests[name] = guest
        self.exchange.lines[name] = Line(phone)
        joiner = self.signal(guest)
        told = holding.key if holding is not None else guest.owns[0]
        guest.owns.append(told)
        phone.take(told, self.room.now_ns)
        self.conductor.join(joiner, self.now(), holding=holding)
        self.work()
        if self.room.engine.has_leg(name):
            phone.born_ns = self.room.now_ns
            self.room.phones[name] = phone
        return phone

    def answered(self, name: str, epoch: int, good: bool) -> None:
        """A phone has answered a re-INVITE."""
        (self.conductor.signalled if good else self.conductor.unsignalled)(name, epoch, self.now())
        self.work()

    def leave(self, name: str, *, evict: bool = False) -> Guest:
        """A member goes, with everything it knows."""
        guest = self.guests.pop(name)
        guest.left = self.room.frame
        self.past.append(guest)
        self.exchange.lines.pop(name, None)
        self.room.phones.pop(name, None)
        self.conductor.leave(name, self.now(), evict=evict)
        self.work()
        return guest

    # -- time

    def now(self) -> float:
        return self.room.now_ns / 1e9

    def run(self, ms: int) -> None:
        for _ in range(ms * MS // self.room.tick_ns):
            self.step()

    def step(self) -> None:
        """One tick of everything."""
        self.swap()
        before = len(self.room.sent), self.room.engine.counters.common_encrypts
        self.room.step()
        self.check_tick(*before)
        self.conductor.advance(self.now())
        self.work()
        for guest in self.guests.values():
            guest.member.advance(now=self.now())

    def swap(self) -> None:
        """Key messages arrive, are answered, and answers arrive."""
        now_ns = self.room.now_ns
        self.exchange.step(now_ns)
        for request, secret in self.kms.answers(now_ns):
            if secret is None:
                self.conductor.not_made(request, self.now())
            else:
                self.conductor.made(request, secret, self.now())
            self.work()
        for datagram in self.down.due(now_ns):
            self.deliver(datagram.source, datagram.octets)
        for datagram in self.up.due(now_ns):
            self.acknowledge(datagram.source, datagram.octets)

    def deliver(self, name: str, octets: bytes) -> None:
        """A key message reaches a member, and whoever keeps what it learns."""
        guest = self.guests.get(name)
        if guest is None:
            for one in self.past:  # it left, and still listens
                if one.name == name:
                    self._record(one, octets)
            return
        self._record(guest, octets)
        answer = guest.member.receive(octets, now=self.now())
        if answer is not None:
            self.up.send(self.room.now_ns, answer, name)

    def acknowledge(self, name: str, octets: bytes) -> bool:
        """An answer reaches the focus."""
        acks = self.conductor.counts.acks
        useful = self.conductor.heard(name, octets, self.now())
        if self.conductor.counts.acks > acks:
            self.guests[name].acked.add(self.guests[name].member.epoch)
        self.work()
        return useful

    @staticmethod
    def _record(guest: Guest, octets: bytes) -> None:
        try:
            delivery, _ = guest.recorder.accept(octets)
        except MikeyError:
            return
        if delivery is not None:
            kept = Secret(delivery.push.secret.reveal())
            push = type(delivery.push)(
                delivery.push.sessions, delivery.push.suite, delivery.push.kind, kept, delivery.push.mki
            )
            guest.deliveries.append(Delivery(push, delivery.csb_id, delivery.rand, delivery.timestamp))

    def work(self) -> None:
        """Carry out what the focus wants, and what comes of it, until nothing is left."""
        conductor = self.conductor
        while True:
            for event in self.room.events[self._events :]:
                conductor.happened(event, self.now())
            self._events = len(self.room.events)
            tickets = conductor.tickets()
            for request in conductor.requests():
                self.kms.ask(request, self.room.now_ns)
            for name, octets in conductor.messages():
                self.down.send(self.room.now_ns, octets, name)
            for signal in conductor.signals():
                self.guests[signal.member].owns.append(signal.key)
                self.exchange.signal(signal)
            if not tickets:
                return
            for ticket in tickets:
                if not self.before(ticket):
                    return
                self._carry(conductor, ticket)

    def _carry(self, conductor: Conductor, ticket: Ticket) -> None:
        if isinstance(ticket.command, port.KeyPrepare):
            key = ticket.command.key
            self.group_keys.append(msgspec.structs.replace(key, secret=Secret(key.secret.reveal())))
        try:
            reply = self.room.apply(ticket.command)
        except PortError as error:
            self.refusals.append(error)
            conductor.refused(ticket, self.now())
            return
        finally:
            self.room.events += self.room.engine.events()
        if ticket.then is Then.ADDED and isinstance(reply, port.LegAdded):
            guest = self.guests[ticket.member]
            for context in guest.phone.contexts.values():
                context.roc = reply.stream.roc
            if self.style == "mki":
                guest.phone.streams.setdefault(reply.stream.ssrc, Stream(reply.stream.roc))
        conductor.replied(ticket, reply, self.now())

    # -- what goes wrong

    def restart_focus(self) -> None:
        """The focus was killed; another takes over that knows who is a member, and asks the mixer."""
        self.before = lambda ticket: True
        self.kms.waiting.clear()
        self.conductor = self.new_focus()
        joiners = []
        for guest in self.guests.values():
            if self.room.engine.has_leg(guest.name):
                own = guest.owns[-1 if guest.psk is not None else 0]
                leg = port.LegAdd(conference=CONFERENCE, leg=guest.name, tx=own)
                joiners.append(Joiner(leg, guest.psk, guest.ratchets, guest.follows))
            else:
                joiners.append(self.signal(guest))
                self.room.phones[guest.name] = guest.phone
        self._forget_acks()
        self.conductor.recover(self.room.show(CONFERENCE), joiners, self.now())
        self.work()

    def restart_mixer(self) -> None:
        """The mixer was killed; it comes back with nothing but its ledger, and the focus begins anew with it."""
        self.before = lambda ticket: True
        self.room.revive()
        self._events = len(self.room.events)
        self.room.apply(port.ConferenceCreate(conference=CONFERENCE, keying="group", style=self.style))
        self._forget_acks()
        for guest in self.guests.values():
            guest.phone.streams.clear()
            guest.phone.contexts.clear()
            guest.phone.born_ns, guest.phone.position = self.room.now_ns, 0
            self.room.phones[guest.name] = guest.phone
        joiners = [self.signal(guest) for guest in self.guests.values()]
        self.conductor.recover(None, joiners, self.now())
        self.work()

    def _forget_acks(self) -> None:
        for guest in self.guests.values():
            guest.acked.clear()

    # -- what is true

    def cohorts(self) -> list[port.CohortStatus]:
        return self.room.show(CONFERENCE).cohorts

    def settled(self) -> bool:
        """Everybody hears under a group key."""
        cohorts = [cohort for cohort in self.cohorts() if cohort.legs]
        return bool(cohorts) and all(cohort.epoch and not cohort.bridged for cohort in cohorts)

    def settle(self, ms: int = 5000) -> None:
        """Run until everybody hears under a group key."""
        for _ in range(ms * MS // self.room.tick_ns):
            if self.settled():
                return
            self.step()
        raise AssertionError(f"not settled: {self.cohorts()}")

    def check_tick(self, sent: int, encrypts: int) -> None:
        """I6: nobody is sent what is under a group key that it has not acknowledged. I8: one encrypt a cohort."""
        by_address = {guest.phone.address: guest for guest in self.guests.values()}
        for packet in self.room.sent[sent:]:
            guest = by_address.get(packet.address)
            epoch = self.epoch_of(packet)
            if guest is not None and epoch:
                held = {one for one in guest.acked if generation_of(one) == generation_of(epoch) and one <= epoch}
                assert held, f"I6: {guest.name} is sent epoch {epoch:#x} and has {guest.acked}"
        encrypts = self.room.engine.counters.common_encrypts - encrypts
        assert encrypts <= len([cohort for cohort in self.cohorts() if cohort.epoch]), "I8"

    def epoch_of(self, sent: Sent) -> int:
        """The group epoch of an RTP packet in style `mki`; 0 for an own key."""
        if self.style != "mki" or naive.kind_of(sent.octets) != "rtp":
            return 0
        mki = int.from_bytes(sent.octets[-14:-10])
        return 0 if mki >> 31 else mki

    def check_ears(self) -> None:
        """Nobody was sent a packet that it could not read."""
        for guest in self.guests.values():
            assert not guest.phone.refused, guest.name
