"""The conductor: carries out what the policy wants, with a mixer, a KMS and the members. Sans-IO.

    policy --intentions--> conductor --commands--> mixer
                               |----requests----> KMS
                               |----messages----> members (MIKEY), and their acknowledgements back

Its owner carries commands to the mixer in order, and hands replies back by their tickets; requests may take
long, and come back in any order. Nothing here waits: every answer is an input of its own, and the policy gives
up by itself on those that never come. Time is in seconds and an argument.

The order of things is what makes it safe: a member gets a key only after the mixer holds it, a joiner gets a
ratchet step only after the mixer uses it, and who leaves is removed before anything else is done.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

import msgspec

from control.mikey.errors import MikeyError
from control.mikey.psk import Sender
from control.rekey import intentions as want
from control.rekey.epochs import generation_of
from control.rekey.keychain import Keychain
from control.rekey.policy import Policy
from mixer import port
from mixer.secret import Secret


@dataclass(frozen=True, slots=True)
class Joiner:
    """Who comes: its leg as the mixer is to be told, and how keys reach it.

    `leg` needs `tx`, its own key: everybody begins on it. Cohort and bridge are filled in here, and the mixer removes
    no leg by itself: one that is missing would make it refuse every list of legs that names it.
    """

    leg: port.LegAdd
    psk: Secret
    """Pre-shared with the focus, for MIKEY."""
    ratchets: bool = True

    @property
    def name(self) -> str:
        return self.leg.leg


class NameTaken(ValueError):
    """Somebody of that name is in the conference: let it leave first, or choose another name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} is in the conference already; let it leave first, or choose another name")


@dataclass(frozen=True, slots=True)
class Request:
    """A key that the KMS is to make. Answer with `made` or `not_made`."""

    cohort: int
    epoch: int


class Then(Enum):
    """What the reply to a command means."""

    NOTHING = auto()
    ADDED = auto()
    PREPARED = auto()
    SWITCHED = auto()


@dataclass(frozen=True, slots=True)
class Ticket:
    """A command for the mixer, and what its reply is for. Answer with `replied` or `refused`."""

    command: port.Command
    then: Then = Then.NOTHING
    cohort: int = 0
    epoch: int = 0
    member: str = ""
    visit: int = 0
    """Which one of that name: it may have left and come again meanwhile."""


@dataclass(slots=True)
class _Member:
    ratchets: bool
    sender: Sender
    visit: int
    cohort: int = 0
    refused: bool = False
    """The mixer would not have its leg."""
    stream: port.StreamPosition | None = None
    """What it hears, as the mixer told when its leg was added."""
    message: bytes = b""
    """The push on its way, to be sent again as it is; empty when it has arrived."""
    pushed: tuple[int, int] = (0, 0)
    """Its epoch and its timestamp."""


@dataclass(slots=True)
class Counts:
    """What was done, cumulative."""

    messages: int = 0
    octets: int = 0
    acks: int = 0
    bad_acks: int = 0
    """Forged, replayed, malformed, or from nobody we know."""
    refusals: int = 0
    """Commands that the mixer refused."""


MAX_LEGS: Final = 480
"""Legs named in one command: a line of the control protocol holds 65,536 octets, and a name takes up to 131."""


class Conductor:
    """One conference."""

    def __init__(self, policy: Policy, keychain: Keychain, *, identity: str) -> None:
        """`identity`: what the focus is called in messages to members (IDi of MIKEY)."""
        self.policy, self.keychain = policy, keychain
        self.conference = keychain.conference
        self.counts = Counts()
        self.attention: list[want.Attention] = []
        """Members that wait for a decision of the focus; drained by it."""
        self._identity = identity.encode()
        self._members: dict[str, _Member] = {}
        self._joiners: dict[str, Joiner] = {}
        self._tickets: deque[Ticket] = deque()
        self._requests: deque[Request] = deque()
        self._messages: deque[tuple[str, bytes]] = deque()
        self._timestamp = self._visits = 0
        self._positions: dict[int, dict[int, port.StreamPosition]] = {}
        """Where the streams of a cohort, by SSRC, stood at its last switch."""
        self._unremoved: Counter[str] = Counter()
        """Legs whose removal the mixer has not confirmed."""
        self._carry: dict[type, Callable[[Any], None]] = {
            want.AddLeg: self._add_leg,
            want.RemoveLeg: self._remove_leg,
            want.Obtain: self._obtain,
            want.Ratchet: self._ratchet,
            want.Deliver: self._deliver,
            want.Activate: self._activate,
            want.Abort: self._abort,
            want.Retire: self._retire,
            want.Bridge: self._bridge,
            want.Attention: self.attention.append,
        }

    # -- who comes and goes -------------------------------------------------------------------

    def join(self, joiner: Joiner, now: float) -> None:
        """Somebody comes.

        Raises:
            NameTaken: if somebody of that name is there.
            MikeyError: if its PSK is too short.
        """
        if joiner.name in self._members:
            raise NameTaken(joiner.name)
        self._members[joiner.name] = self._member(joiner)
        self._joiners[joiner.name] = joiner
        self.policy.join(joiner.name, ratchets=joiner.ratchets, now=now)
        self._conduct()

    def _member(self, joiner: Joiner) -> _Member:
        sender = Sender(
            joiner.psk,
            identity=self._identity,
            peer=joiner.name.encode(),
            csb_id=self.keychain.csb_id,
            rand=self.keychain.rand,
        )
        self._visits += 1
        return _Member(joiner.ratchets, sender, self._visits)

    def leave(self, member: str, now: float, *, evict: bool = False) -> None:
        """Somebody goes, or is made to."""
        self.policy.leave(member, evict=evict, now=now)
        self._conduct()

    def closing(self, now: float) -> None:
        """The conference ends."""
        self.policy.closing(now)
        self._conduct()

    def unconfirmed(self) -> set[str]:
        """Legs that may still be there after they were removed: the mixer has not said that they are not."""
        return set(self._unremoved)

    def recover(
        self, shown: port.ConferenceStatus | None, joiners: Iterable[Joiner], now: float, *, above: int = 0
    ) -> None:
        """Begin anew: the focus has restarted, or the mixer has (`shown` is None, and the conference made anew).

        Whom the mixer has and the focus does not know is removed; all group keys are destroyed, for nobody knows
        any more who holds them; then everybody is on own keys, and there is one rekey of every cohort.

        Args:
            shown: the conference as the mixer has it.
            joiners: who is in it. For a mixer that has restarted each needs a fresh `tx`; else those do who are among
                the `unconfirmed`: the leg that the mixer has may be that of their former visit.
            above: an epoch that the KMS has made; those to come are above it.
        """
        former = set() if shown is None else self.unconfirmed()
        self._forget()
        present = {joiner.name: joiner for joiner in joiners}
        legs = {leg.leg: leg for leg in shown.legs} if shown else {}
        for name in (legs.keys() - present.keys()) | (legs.keys() & former):
            del legs[name]
            self._unremoved[name] += 1
            self._tickets.append(Ticket(port.LegRemove(leg=name), member=name))
        for cohort in shown.cohorts if shown else ():
            self._destroy_keys(cohort)
        here = [name for name in present if name in legs]
        for name in here:
            self._members[name] = self._member(present[name])
            self._members[name].cohort = legs[name].cohort
        cohorts = shown.cohorts if shown else []
        highest = generation_of(max([above, *(cohort.highest for cohort in cohorts)]))
        self.policy.resume(highest, [(name, present[name].ratchets, legs[name].cohort) for name in here], now)
        self._conduct()
        for name in present.keys() - legs.keys():
            self.join(present[name], now)

    def _forget(self) -> None:
        for queue in (self._tickets, self._requests, self._messages):
            queue.clear()
        self._members.clear()
        self._joiners.clear()
        self._positions.clear()
        self._unremoved.clear()
        self.keychain.clear()

    def close(self) -> None:
        """The focus ends: forget everybody, and wipe all keys. The mixer goes on with what it has."""
        self._forget()

    def _destroy_keys(self, cohort: port.CohortStatus) -> None:
        for epoch in cohort.prepared:
            self._abort(want.Abort(cohort.cohort, epoch))
        if cohort.epoch:
            self._retire(want.Retire(cohort.cohort, cohort.epoch))
        else:
            self._bridge(want.Bridge(cohort.cohort, None, True))

    # -- answers ------------------------------------------------------------------------------

    def made(self, request: Request, secret: Secret, now: float) -> None:
        """The KMS has made a key."""
        self.keychain.put(request.cohort, request.epoch, secret)
        self._prepare(request.cohort, request.epoch, Then.PREPARED)

    def not_made(self, request: Request, now: float) -> None:
        """The KMS would not, or can't be reached."""
        self.policy.key_failed(request.cohort, request.epoch, now)
        self._conduct()

    def replied(self, ticket: Ticket, reply: port.Reply, now: float) -> None:
        """The mixer has done it."""
        added = self._added(ticket)
        self._confirm(ticket)
        if added is not None and isinstance(reply, port.LegAdded):
            added.stream = reply.stream
        elif ticket.then is Then.PREPARED:
            self.policy.key_ready(ticket.cohort, ticket.epoch, now)
        elif ticket.then is Then.SWITCHED:
            self.keychain.keep_only(ticket.cohort, ticket.epoch)
            self.policy.switched(ticket.cohort, ticket.epoch, now)
        self._conduct()

    def refused(self, ticket: Ticket, now: float) -> None:
        """The mixer would not. For a key that is a failure; for the rest the leg or the epoch is gone already.

        Whose leg it refuses is in no conference, and leaves at once: it must not be named beside others.
        """
        self.counts.refusals += 1
        added = self._added(ticket)
        self._confirm(ticket)
        if ticket.then in (Then.PREPARED, Then.SWITCHED):
            self.keychain.forget(ticket.cohort, ticket.epoch)
            self.policy.key_failed(ticket.cohort, ticket.epoch, now)
        elif added is not None:
            added.refused = True
            self.attention.append(want.Attention(ticket.member, "the mixer refused its leg"))
            self.policy.leave(ticket.member, now=now)
        elif isinstance(ticket.command, port.LegRemove) and ticket.command.bridge:
            self._bridge(want.Bridge(ticket.cohort, None, True))
        self._conduct()

    def _added(self, ticket: Ticket) -> _Member | None:
        """Whose leg a command was to add, if it is still that one who is there."""
        known = self._members.get(ticket.member) if ticket.then is Then.ADDED else None
        return known if known is not None and known.visit == ticket.visit else None

    def _confirm(self, ticket: Ticket) -> None:
        if isinstance(ticket.command, port.LegRemove):
            self._unremoved[ticket.member] -= 1
            if self._unremoved[ticket.member] <= 0:
                del self._unremoved[ticket.member]

    def happened(self, event: port.Event, now: float) -> None:
        """The mixer tells. What it destroys by itself, for its age, is lost to the policy too.

        Where streams stood at a switch is what later pushes tell: for one who begins then, or lost count.
        """
        if isinstance(event, port.KeySwitched) and event.conference == self.conference and not event.leg:
            self._positions[event.cohort] = {position.ssrc: position for position in event.streams}
        if isinstance(event, port.KeyExpired) and event.conference == self.conference:
            self.keychain.forget(event.cohort, event.epoch)
            self.policy.key_failed(event.cohort, event.epoch, now)
            self._conduct()

    def heard(self, member: str, octets: bytes, now: float) -> bool:
        """A message from a member, which should be an acknowledgement. False if it changes nothing."""
        known = self._members.get(member)
        try:
            if known is None:
                raise MikeyError("nobody of that name is in the conference")
            timestamp = known.sender.acknowledged(octets)
        except MikeyError:
            self.counts.bad_acks += 1
            return False
        epoch, expected = known.pushed
        if timestamp != expected:
            self.counts.bad_acks += 1
            return False
        self.counts.acks += 1
        known.message = b""
        useful = self.policy.acked(member, epoch, now)
        self._conduct()
        return useful

    def advance(self, now: float) -> None:
        """Time passes."""
        self.policy.advance(now)
        self._conduct()

    def due(self) -> float | None:
        """When to call `advance` next."""
        return self.policy.due()

    # -- what is to be carried out ------------------------------------------------------------

    def tickets(self) -> list[Ticket]:
        """Commands for the mixer, in order, since the last call."""
        return _drain(self._tickets)

    def requests(self) -> list[Request]:
        """Keys for the KMS to make, since the last call."""
        return _drain(self._requests)

    def messages(self) -> list[tuple[str, bytes]]:
        """(member, octets), since the last call."""
        return _drain(self._messages)

    # -- intentions ---------------------------------------------------------------------------

    def _conduct(self) -> None:
        for intention in self.policy.intentions():
            self._carry[type(intention)](intention)

    def _add_leg(self, wish: want.AddLeg) -> None:
        joiner = self._joiners.pop(wish.member, None)
        if joiner is None:
            return
        leg = msgspec.structs.replace(
            joiner.leg,
            conference=self.conference,
            keying="group",
            cohort=wish.cohort,
            bridged=True,
            remove_on_timeout=False,
        )
        known = self._members[wish.member]
        known.cohort = wish.cohort
        self._tickets.append(Ticket(leg, Then.ADDED, wish.cohort, member=wish.member, visit=known.visit))

    def _remove_leg(self, wish: want.RemoveLeg) -> None:
        known = self._members.pop(wish.member)
        if self._messages:
            self._messages = deque(message for message in self._messages if message[0] != wish.member)
        if not known.refused:
            self._unremoved[wish.member] += 1
            command = port.LegRemove(leg=wish.member, bridge=wish.bridge)
            self._tickets.append(Ticket(command, cohort=known.cohort, member=wish.member))
        elif wish.bridge:
            self._bridge(want.Bridge(known.cohort, None, True))

    def _obtain(self, wish: want.Obtain) -> None:
        self._requests.append(Request(wish.cohort, wish.epoch))

    def _ratchet(self, wish: want.Ratchet) -> None:
        self.keychain.derive(wish.cohort, wish.epoch)
        self._prepare(wish.cohort, wish.epoch, Then.NOTHING)
        self._activate(want.Activate(wish.cohort, wish.epoch))

    def _prepare(self, cohort: int, epoch: int, then: Then) -> None:
        key = self.keychain.key(cohort, epoch)
        command = port.KeyPrepare(conference=self.conference, cohort=cohort, key=key)
        self._tickets.append(Ticket(command, then, cohort, epoch))

    def _activate(self, wish: want.Activate) -> None:
        command = port.KeyActivate(conference=self.conference, cohort=wish.cohort, epoch=wish.epoch)
        self._tickets.append(Ticket(command, Then.SWITCHED, wish.cohort, wish.epoch))

    def _abort(self, wish: want.Abort) -> None:
        self.keychain.forget(wish.cohort, wish.epoch)
        self._tickets.append(Ticket(port.KeyAbort(conference=self.conference, cohort=wish.cohort, epoch=wish.epoch)))

    def _retire(self, wish: want.Retire) -> None:
        """Which step of the ratchet the mixer is at may not be known: it refuses the other."""
        for epoch in self.keychain.steps(wish.cohort, wish.epoch) or [wish.epoch]:
            self.keychain.forget(wish.cohort, epoch)
            command = port.KeyRetire(conference=self.conference, cohort=wish.cohort, epoch=epoch)
            self._tickets.append(Ticket(command, cohort=wish.cohort, epoch=epoch))

    def _bridge(self, wish: want.Bridge) -> None:
        names = wish.members
        for at in range(0, len(names or ()) or 1, MAX_LEGS):
            some = None if names is None else names[at : at + MAX_LEGS]
            command = port.KeyBridge(conference=self.conference, cohort=wish.cohort, legs=some, on=wish.on)
            self._tickets.append(Ticket(command))

    def _deliver(self, wish: want.Deliver) -> None:
        """Send a key. What is sent again is sent as it was, and its acknowledgement is the same."""
        if not self.keychain.holds(wish.cohort, wish.epoch):
            return
        for name in wish.members:
            member = self._members[name]
            if member.pushed[0] != wish.epoch or wish.attempt == 1 or not member.message:
                self._timestamp += 1
                push = self.keychain.push(wish.cohort, wish.epoch, self._heard_by(member), ratchets=member.ratchets)
                member.message = member.sender.push(push, timestamp=self._timestamp)
                member.pushed = (wish.epoch, self._timestamp)
            self.counts.messages += 1
            self.counts.octets += len(member.message)
            self._messages.append((name, member.message))

    def _heard_by(self, member: _Member) -> list[port.StreamPosition]:
        """The stream that a member hears, where it was last known to stand."""
        if member.stream is None:
            return []
        switched = self._positions.get(member.cohort, {}).get(member.stream.ssrc, member.stream)
        return [max(member.stream, switched, key=lambda position: (position.roc, position.seq))]


def _drain(queue: deque[Any]) -> list[Any]:
    drained = list(queue)
    queue.clear()
    return drained
