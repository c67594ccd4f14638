"""The conductor: carries out what the policy wants, with a mixer, a KMS and the members. Sans-IO.

    policy --intentions--> conductor --commands--> mixer
                               |----requests----> KMS
                               |----messages----> members (MIKEY), and their acknowledgements back
               |----signals-----> members who are told keys by the signalling, and their answers back

Its owner carries commands to the mixer in order, and hands replies back by their tickets; requests may take
long, and come back in any order. Nothing here waits: every answer is an input of its own, and the policy gives
up by itself on those that never come. Time is in seconds and an argument.

The order of things is what makes it safe: a member gets a key only after the mixer holds it, a joiner gets a
ratchet step only after the mixer uses it, and who leaves is removed before anything else is done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from control.rekey import intentions as want
from control.rekey.channels import Channels
from control.rekey.findings import Findings
from control.rekey.keychain import Keychain
from control.rekey.orders import Orders
from control.rekey.policy import Policy
from control.rekey.signals import OWN, Current, Signal
from control.rekey.tickets import Counts, Joiner, NameTaken, Request, Then, Ticket
from mixer import port
from mixer.secret import Secret

__all__ = ["Conductor", "Counts", "Current", "Joiner", "NameTaken", "Request", "Signal", "Then", "Ticket"]


@dataclass(slots=True)
class _Member:
    visit: int
    """Which one of that name."""
    leg: port.LegAdd | None
    """What the mixer is to be told; None once it was."""
    apart: bool
    """The policy does not know of it."""
    cohort: int = 0
    refused: bool = False
    """The mixer would not have its leg."""


class Conductor:
    """One conference."""

    def __init__(self, policy: Policy, keychain: Keychain, *, identity: str) -> None:
        """`identity`: what the focus is called in messages to members (IDi of MIKEY)."""
        self.policy, self.keychain = policy, keychain
        self.conference = keychain.conference
        self.counts = Counts()
        self.attention: list[want.Attention] = []
        """Members that wait for a decision of the focus; drained by it."""
        self._members: dict[str, _Member] = {}
        self._orders = Orders(keychain)
        self._channels = Channels(keychain, self.counts, identity=identity.encode())
        self._requests: deque[Request] = deque()
        self._visits = 0
        self._carry: dict[type, Callable[[Any], None]] = {
            want.AddLeg: self._add_leg,
            want.RemoveLeg: self._remove_leg,
            want.Obtain: lambda wish: self._requests.append(Request(wish.cohort, wish.epoch)),
            want.Ratchet: self._ratchet,
            want.Deliver: lambda wish: self._channels.deliver(wish.cohort, wish.epoch, wish.members, wish.attempt),
            want.Activate: lambda wish: self._orders.activate(wish.cohort, wish.epoch),
            want.Abort: lambda wish: self._orders.abort(wish.cohort, wish.epoch),
            want.Retire: self._retire,
            want.Bridge: lambda wish: self._orders.bridge(wish.cohort, wish.members, wish.on),
            want.Attention: self.attention.append,
        }

    # -- who comes and goes -------------------------------------------------------------------

    def current(self) -> Current | None:
        """The key in use that one who is about to join may be told (`admission: current`), if there is one."""
        offered = self.policy.offered()
        return self._channels.current(*offered) if offered is not None else None

    def join(self, joiner: Joiner, now: float, *, holding: Current | None = None) -> None:
        """Somebody comes. `holding`: the key that it was told, as `current` had it then.

        Raises:
            NameTaken: if somebody of that name is there.
            MikeyError: if its PSK is too short.
        """
        if joiner.name in self._members:
            raise NameTaken(joiner.name)
        self._enter(joiner, joiner.leg, holding.epoch if holding is not None else OWN)
        if joiner.apart:
            self._orders.add_apart(joiner.leg, self._visits)
            return
        self.policy.join(
            joiner.name,
            ratchets=joiner.steps,
            one_key=joiner.signalled,
            holding=(holding.cohort, holding.epoch) if holding is not None else None,
            now=now,
        )
        self._conduct()
        if holding is not None and not self.policy.grouped:
            self._channels.signals.recall(self._members[joiner.name].cohort)

    def _enter(self, joiner: Joiner, leg: port.LegAdd | None, holds: int = OWN) -> None:
        self._channels.open(joiner, holds)
        self._visits += 1
        self._members[joiner.name] = _Member(self._visits, leg, joiner.apart)

    def leave(self, member: str, now: float, *, evict: bool = False) -> None:
        """Somebody goes, or is made to."""
        known = self._members.get(member)
        if known is not None and known.apart:
            self._remove_leg(want.RemoveLeg(member, bridge=False))
            return
        self.policy.leave(member, evict=evict, now=now)
        self._conduct()

    def closing(self, now: float) -> None:
        """The conference ends."""
        self.policy.closing(now)
        self._conduct()

    def close(self) -> None:
        """The focus ends: forget everybody, and wipe all keys. The mixer goes on with what it has."""
        self._requests.clear()
        self._members.clear()
        self._orders.clear()
        self._channels.clear()
        self.keychain.clear()

    # -- after a restart ----------------------------------------------------------------------

    def unconfirmed(self) -> set[str]:
        """Legs that may still be there after they were removed: the mixer has not said that they are not."""
        return self._orders.unremoved()

    def recover(
        self,
        shown: port.ConferenceStatus | None,
        joiners: Iterable[Joiner],
        now: float,
        *,
        above: int = 0,
        fresh: Iterable[str] = (),
    ) -> None:
        """Begin anew: the focus has restarted, or the mixer has (`shown` is None, and the conference made anew).

        Whom the mixer has and the focus does not know is removed; all group keys are destroyed, for nobody knows
        any more who holds them; then everybody is on own keys, and there is one rekey of every cohort.

        Args:
            shown: the conference as the mixer has it.
            joiners: who is in it. For a mixer that has restarted each needs a fresh `tx`; else those do who are among
                the `unconfirmed`: the leg that the mixer has may be that of their former visit.
            above: an epoch that the KMS has made; those to come are above it.
            fresh: who of them has come since: a leg of that name is somebody's before them.
        """
        found = Findings(shown, joiners, self.unconfirmed() | set(fresh))
        self.close()
        for name, cohort in found.strangers:
            self._orders.remove(name, cohort)
        for status in found.cohorts:
            self._orders.destroy(status)
        epochs = found.epochs()
        for joiner, cohort in found.here:
            self._enter(joiner, None, epochs.get(cohort, OWN))
            if not joiner.apart:
                self._settle(joiner.name, cohort)
        self.policy.resume(found.highest(above), found.placed(), now)
        self._conduct()
        if not self.policy.grouped:
            for cohort in epochs:
                self._channels.signals.recall(cohort)
        for joiner in found.absent:
            self.join(joiner, now)

    def _settle(self, member: str, cohort: int) -> None:
        self._members[member].cohort = cohort
        self._channels.place(member, cohort)

    # -- answers ------------------------------------------------------------------------------

    def made(self, request: Request, secret: Secret, now: float) -> None:
        """The KMS has made a key."""
        self.keychain.put(request.cohort, request.epoch, secret)
        self._orders.prepare(request.cohort, request.epoch, Then.PREPARED)

    def not_made(self, request: Request, now: float) -> None:
        """The KMS would not, or can't be reached."""
        self.policy.key_failed(request.cohort, request.epoch, now)
        self._conduct()

    def replied(self, ticket: Ticket, reply: port.Reply, now: float) -> None:
        """The mixer has done it."""
        self._orders.answered(ticket)
        if self._added(ticket) is not None and isinstance(reply, port.LegAdded):
            self._channels.hears(ticket.member, reply.stream)
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
        self._orders.answered(ticket)
        added = self._added(ticket)
        if ticket.then in (Then.PREPARED, Then.SWITCHED):
            self.keychain.forget(ticket.cohort, ticket.epoch)
            self.policy.key_failed(ticket.cohort, ticket.epoch, now)
        elif added is not None:
            added.refused = True
            self.attention.append(want.Attention(ticket.member, "the mixer refused its leg"))
            self.leave(ticket.member, now)
        elif isinstance(ticket.command, port.LegRemove) and ticket.command.bridge:
            self._orders.bridge(ticket.cohort, None, True)
        self._conduct()

    def _added(self, ticket: Ticket) -> _Member | None:
        """Whose leg a command was to add, if it is still that one who is there."""
        known = self._members.get(ticket.member) if ticket.then is Then.ADDED else None
        return known if known is not None and known.visit == ticket.visit else None

    def happened(self, event: port.Event, now: float) -> None:
        """The mixer tells. What it destroys by itself, for its age, is lost to the policy too."""
        if isinstance(event, port.KeySwitched) and event.conference == self.conference and not event.leg:
            self._channels.post.switched(event)
        if isinstance(event, port.KeyExpired) and event.conference == self.conference:
            self.keychain.forget(event.cohort, event.epoch)
            self.policy.key_failed(event.cohort, event.epoch, now)
            self._conduct()

    def heard(self, member: str, octets: bytes, now: float) -> bool:
        """A message from a member, which should be an acknowledgement. False if it changes nothing."""
        epoch = self._channels.post.acknowledged(member, octets)
        return epoch is not None and self._acked(member, epoch, now)

    def signalled(self, member: str, epoch: int, now: float) -> bool:
        """A member has taken what it was signalled. False if that changes nothing."""
        return self._channels.signals.taken(member, epoch) and epoch != OWN and self._acked(member, epoch, now)

    def unsignalled(self, member: str, epoch: int, now: float) -> bool:
        """A member would not take what it was signalled, or was not reached: the policy tries again, or gives it up.

        False if it was not being told that. Its own key is not tried again, so the focus is asked.
        """
        known = self._channels.signals.refused(member, epoch)
        if known and epoch == OWN:
            self.attention.append(want.Attention(member, "would not go back to its own key; it hears nothing"))
        return known

    def _acked(self, member: str, epoch: int, now: float) -> bool:
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
        return self._orders.drain()

    def requests(self) -> list[Request]:
        """Keys for the KMS to make, since the last call."""
        asked = list(self._requests)
        self._requests.clear()
        return asked

    def messages(self) -> list[tuple[str, bytes]]:
        """(member, octets), since the last call."""
        return self._channels.post.outgoing()

    def signals(self) -> list[Signal]:
        """Keys to be signalled, since the last call."""
        return self._channels.signals.outgoing()

    # -- intentions ---------------------------------------------------------------------------

    def _conduct(self) -> None:
        for intention in self.policy.intentions():
            self._carry[type(intention)](intention)

    def _add_leg(self, wish: want.AddLeg) -> None:
        known = self._members[wish.member]
        self._settle(wish.member, wish.cohort)
        if known.leg is not None:
            self._orders.add(known.leg, wish.cohort, known.visit, bridged=wish.bridged)
            known.leg = None

    def _remove_leg(self, wish: want.RemoveLeg) -> None:
        known = self._members.pop(wish.member)
        self._channels.close(wish.member)
        if not known.refused:
            self._orders.remove(wish.member, known.cohort, bridge=wish.bridge)
        elif wish.bridge:
            self._orders.bridge(known.cohort, None, True)

    def _retire(self, wish: want.Retire) -> None:
        self._orders.retire(wish.cohort, wish.epoch)
        self._channels.signals.recall(wish.cohort)

    def _ratchet(self, wish: want.Ratchet) -> None:
        self.keychain.derive(wish.cohort, wish.epoch)
        self._orders.prepare(wish.cohort, wish.epoch, Then.NOTHING)
        self._orders.activate(wish.cohort, wish.epoch)
