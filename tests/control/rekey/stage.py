"""A conference around the policy: a model mixer, a KMS, members on a lossy network, one virtual clock.

The mixer holds for every leg its cohort, whether it is on its own key, and thereby the key of every
packet. The stage remembers who was ever sent what, whether or not it arrived, and watches after every
event (a packet may go out at any time):

    I2  who left can decrypt its cohort no longer than `bound` says, and the policy's own account agrees
    I3  nobody is sent a key under which anything was sent before it joined, steps that follow included
    I4  who is sent a key is a member, of the cohort of the key
    I6  nobody hears a group key without having acknowledged it, or an earlier step of it
    I7  epochs rise; what was aborted is never used
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from control.rekey.epochs import generation_of, step_of
from control.rekey.intentions import (
    Abort,
    Activate,
    AddLeg,
    Attention,
    Bridge,
    Deliver,
    Exposure,
    Intention,
    Obtain,
    Ratchet,
    RemoveLeg,
    Retire,
)
from control.rekey.policy import Policy
from control.rekey.settings import RekeySettings, Style

SLACK = 1e-9


@dataclass(slots=True)
class Leg:
    """A leg of the mixer."""

    cohort: int
    bridged: bool = True


@dataclass(slots=True)
class CohortKeys:
    """What the mixer holds for a cohort."""

    active: int | None = None
    prepared: set[int] = field(default_factory=set)
    highest: int = 0
    asked: int | None = None
    """The KMS has been asked for it."""


@dataclass(slots=True)
class Person:
    """One who is, or was, a member. A name that comes back is another person."""

    name: str
    joined: float
    cohort: int = -1
    sent: dict[int, int] = field(default_factory=dict)
    """By generation, the lowest step that it was sent."""
    said: dict[int, int] = field(default_factory=dict)
    """By generation, the highest step that it acknowledged, and the policy took."""
    left: float | None = None
    evicted: bool = False
    heard: float = 0.0
    """Until when it could decrypt what its cohort was sent after it left."""
    hears: bool = False
    """It still can."""
    ratchets: bool = True
    forgotten: bool = False
    """The focus restarted after it left: nobody keeps its account."""

    def can_decrypt(self, epoch: int | None) -> bool:
        first = None if epoch is None else self.sent.get(generation_of(epoch))
        return first is not None and epoch is not None and first <= step_of(epoch)


@dataclass(slots=True)
class Network:
    """How long things take, in seconds, and what is lost."""

    kms: float = 0.01
    mixer: float = 0.02
    rtt: float = 0.1
    loss: float = 0.0
    kms_fails: float = 0.0
    mixer_fails: float = 0.0
    deaf: set[str] = field(default_factory=set)
    """Members who never acknowledge anything."""


class Stage:
    """Drives a policy, carries its intentions out, and watches the invariants."""

    def __init__(
        self,
        settings: RekeySettings | None = None,
        *,
        style: Style = "mki",
        network: Network | None = None,
        seed: int = 0,
        policy: Policy | None = None,
    ) -> None:
        self.settings = settings or RekeySettings(mode="group")
        self.policy = policy or Policy(self.settings, style=style)
        self.network = network or Network()
        self.now = 0.0
        self.log: list[tuple[float, Intention]] = []
        self.legs: dict[str, Leg] = {}
        self.keys: dict[int, CohortKeys] = {}
        self.people: dict[str, Person] = {}
        self.gone: list[Person] = []
        self.listening: list[Person] = []
        """Of those who are gone, who can still decrypt something."""
        self.exposures: list[Exposure] = []
        self.first_used: dict[int, dict[int, float]] = {}
        """By generation and step, when a leg first heard it."""
        self.obtained: set[int] = set()
        self.aborted: set[int] = set()
        self.highest_obtained = 0
        self.attentions: list[str] = []
        self.dirty: set[int] = set()
        self._random = random.Random(seed)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    # -- What happens ------------------------------------------------------------------------

    def join(self, *names: str, ratchets: bool = True) -> None:
        for name in names:
            self.people[name] = Person(name, self.now, ratchets=ratchets)
            self.policy.join(name, ratchets=ratchets, now=self.now)
            self._carry_out()

    def leave(self, *names: str, evict: bool = False) -> None:
        for name in names:
            person = self.people.pop(name)
            person.left, person.evicted, person.heard = self.now, evict, self.now
            self.gone.append(person)
            self.listening.append(person)
            self.policy.leave(name, evict=evict, now=self.now)
            self._carry_out()
            assert name not in self.legs, "the leg goes in the same call"

    def close(self) -> None:
        self.policy.closing(self.now)
        self._carry_out()

    def restart(self, *, mixer: bool, settings: RekeySettings | None = None, style: Style = "mki") -> None:
        """The mixer comes back empty, or the focus as a new policy beside the old mixer."""
        highest = self.highest_obtained
        self._events.clear()
        if mixer:
            self.legs.clear()
            self.keys.clear()
        else:
            self.exposures += self.policy.exposures()
            self.policy = Policy(settings or self.settings, style=style)
            for person in self.gone:
                person.forgotten = True
        for person in self.people.values():
            person.said.clear()
        for leg in self.legs.values():
            leg.bridged = True
        for keys in self.keys.values():
            keys.prepared.clear()
            keys.active = keys.asked = None
        here = [(name, one.ratchets, self.legs[name].cohort) for name, one in self.people.items() if name in self.legs]
        self.policy.resume(highest, here, self.now)
        for name in self.people.keys() - self.legs.keys():
            self.policy.join(name, ratchets=self.people[name].ratchets, now=self.now)
        self._carry_out()

    def expire(self, cohort: int) -> None:
        """The mixer destroys an active key because of its age, and says so."""
        epoch, self.keys[cohort].active = self.keys[cohort].active, None
        assert epoch is not None
        self.policy.key_failed(cohort, epoch, self.now)
        self._carry_out()

    def run(self, seconds: float) -> None:
        """Let time pass: events and alarms in their order."""
        end = self.now + seconds
        while True:
            due = self.policy.due()
            event = self._events[0][0] if self._events else None
            times = [time for time in (due, event) if time is not None]
            if not times or min(times) > end:
                break
            self.now = max(self.now, min(times))
            if event is not None and event <= self.now:
                heapq.heappop(self._events)[2]()
            else:
                self.policy.advance(self.now)
                later = self.policy.due()
                assert later is None or later > self.now, "an alarm that rings for ever"
            self._carry_out()
        self.now = end

    def ack(self, name: str, epoch: int) -> bool:
        taken = self.policy.acked(name, epoch, self.now)
        if taken:
            said = self.people[name].said
            said[generation_of(epoch)] = max(said.get(generation_of(epoch), 0), step_of(epoch))
        self._carry_out()
        return taken

    # -- What is seen ------------------------------------------------------------------------

    def epoch_heard_by(self, name: str) -> int | None:
        """The epoch of the next packet to a leg; None for its own key."""
        leg = self.legs[name]
        return None if leg.bridged else self.keys[leg.cohort].active

    def said(self, kind: type[Intention]) -> list[Intention]:
        return [intention for _, intention in self.log if isinstance(intention, kind)]

    def times(self, kind: type[Intention]) -> list[float]:
        return [time for time, intention in self.log if isinstance(intention, kind)]

    def messages(self) -> int:
        return sum(len(said.members) for _, said in self.log if isinstance(said, Deliver))

    def bound(self, evicted: bool = False) -> float:
        """F of invariant I2 without a bridge: a leave just after a key was sent waits for that one and the next."""
        settings, network = self.settings, self.network
        wait = settings.ack_timeout_evict if evicted else settings.ack_timeout
        size = settings.cohort_target or len(self.people) + len(self.gone)
        way = network.kms + size * settings.delivery_s + network.mixer
        return max(0.0 if evicted else settings.t_leave_min, way + settings.ack_timeout) + way + wait

    def check_exposures(self, bound: float, answers: float = 0.02) -> None:
        """I2: nobody who left listened longer than that, and the policy knows how long each did.

        It learns of a switch by the mixer's answer: `answers` seconds later at most.
        """
        told: dict[str, list[float]] = {}
        for exposure in self.exposures:
            told.setdefault(exposure.member, []).append(exposure.seconds)
        for person in self.gone:
            assert person.left is not None
            assert not person.hears, f"I13: the leave of {person.name} was never covered"
            seconds = person.heard - person.left
            assert seconds <= bound + SLACK, f"I2: {person.name} listened for {seconds} s"
            known = told.get(person.name, [])
            if seconds > SLACK and not person.forgotten:
                assert any(seconds <= value + SLACK <= seconds + answers + 2 * SLACK for value in known)

    # -- The mixer ---------------------------------------------------------------------------

    def _carry_out(self) -> None:
        for intention in self.policy.intentions():
            self.log.append((self.now, intention))
            self._apply(intention)
        self.exposures += self.policy.exposures()
        self._watch()

    def _apply(self, said: Intention) -> None:
        match said:
            case AddLeg(member, cohort):
                self.legs[member] = Leg(cohort)
                self.people[member].cohort = cohort
                self.keys.setdefault(cohort, CohortKeys())
            case RemoveLeg(member, bridge):
                leg = self.legs.pop(member)
                if bridge:
                    self._bridge_all(leg.cohort)
            case Bridge(cohort, None, on):
                assert on, "a whole cohort is never taken off its own keys unseen"
                self._bridge_all(cohort)
            case Bridge(cohort, members, on):
                assert members is not None
                for member in members:
                    assert self.legs[member].cohort == cohort
                    assert self.legs[member].bridged is not on, "a bridge that changes nothing"
                    self.legs[member].bridged = on
            case Deliver(cohort, epoch, members, attempt):
                self._deliver(cohort, epoch, members, attempt)
            case Attention(member, _):
                assert member in self.people
                self.attentions.append(member)
            case Obtain() | Activate() | Ratchet() | Abort() | Retire():
                self._change_key(said)

    def _change_key(self, said: Obtain | Activate | Ratchet | Abort | Retire) -> None:
        keys = self.keys[said.cohort]
        network = self.network
        self.dirty.add(said.cohort)
        match said:
            case Obtain(_, epoch):
                assert step_of(epoch) == 0
                assert generation_of(epoch) > self.highest_obtained, "I7: a generation twice"
                assert keys.asked is None, "I13: a backlog of epochs"
                assert not keys.prepared, "I13: a backlog of epochs"
                self.highest_obtained, keys.asked = generation_of(epoch), epoch
                fails = self._random.random() < network.kms_fails
                self._later(network.kms, partial(self._obtained, said.cohort, epoch, fails))
            case Activate(_, epoch) | Ratchet(_, epoch):
                fails = self._random.random() < network.mixer_fails
                self._later(network.mixer / 2, partial(self._switch, said.cohort, epoch, fails))
            case Abort(_, epoch):
                if keys.active == epoch:
                    self._assert_bridged(said.cohort)
                    keys.active = None
                self.aborted.add(epoch)
                keys.asked = None if keys.asked == epoch else keys.asked
                keys.prepared.discard(epoch)
            case Retire(_, epoch):
                assert keys.active is None or generation_of(keys.active) == generation_of(epoch)
                self._assert_bridged(said.cohort)
                keys.active = None

    def _assert_bridged(self, cohort: int) -> None:
        assert all(leg.bridged for leg in self.legs.values() if leg.cohort == cohort), "I5: a key taken away in use"

    def _bridge_all(self, cohort: int) -> None:
        for leg in self.legs.values():
            if leg.cohort == cohort:
                leg.bridged = True

    def _obtained(self, cohort: int, epoch: int, fails: bool) -> None:
        keys = self.keys[cohort]
        keys.asked = None if keys.asked == epoch else keys.asked
        if fails:
            self.policy.key_failed(cohort, epoch, self.now)
        else:
            self.obtained.add(epoch)
            keys.prepared.add(epoch)
            self.policy.key_ready(cohort, epoch, self.now)

    def _switch(self, cohort: int, epoch: int, fails: bool) -> None:
        keys = self.keys[cohort]
        if fails:
            self._later(self.network.mixer / 2, partial(self.policy.key_failed, cohort, epoch), timed=True)
            return
        if step_of(epoch) and keys.active != epoch - 1:
            return  # the answer to the step before it came too late, and the key was replaced
        assert epoch not in self.aborted, "I7: an aborted epoch is used"
        if step_of(epoch) == 0:
            assert epoch in keys.prepared, "I7: activated before it was there"
            keys.prepared.discard(epoch)
        assert epoch > keys.highest, "I7: epochs rise"
        keys.active = keys.highest = epoch
        self._later(self.network.mixer / 2, partial(self.policy.switched, cohort, epoch), timed=True)

    # -- Members -----------------------------------------------------------------------------

    def _deliver(self, cohort: int, epoch: int, members: tuple[str, ...], attempt: int) -> None:
        assert members
        assert len(set(members)) == len(members)
        assert attempt >= 1
        generation, step = generation_of(epoch), step_of(epoch)
        keys = self.keys[cohort]
        held = {generation_of(held) for held in [*keys.prepared, keys.active] if held}
        assert generation in held, "sent, though the mixer does not have it"
        for name in members:
            assert name in self.people, "I4: sent to one who is not a member"
            person = self.people[name]
            assert person.cohort == cohort, "I4: sent to another cohort"
            used = [time for at, time in self.first_used.get(generation, {}).items() if at >= step]
            assert all(time >= person.joined - SLACK for time in used), "I3: it could decrypt what was before it"
            person.sent[generation] = min(step, person.sent.get(generation, step))
            lost = self._random.random() < self.network.loss or name in self.network.deaf
            if not lost:
                self._later(self.network.rtt * (0.5 + self._random.random()), partial(self._acked, person, epoch))

    def _acked(self, person: Person, epoch: int) -> None:
        if self.people.get(person.name) is person:
            self.ack(person.name, epoch)
        else:
            assert not self.policy.acked(person.name, epoch, self.now) or person.name in self.people

    # -- The watch ---------------------------------------------------------------------------

    def _watch(self) -> None:
        used: dict[int, int] = {}
        for name, leg in self.legs.items():
            epoch = None if leg.bridged else self.keys[leg.cohort].active
            if epoch is None:
                continue
            used[leg.cohort] = epoch
            said = self.people[name].said.get(generation_of(epoch))
            assert said is not None, "I6: it never acknowledged this key"
            assert said <= step_of(epoch), "I6: it acknowledged a later step"
        for epoch in used.values():
            self.first_used.setdefault(generation_of(epoch), {}).setdefault(step_of(epoch), self.now)
        still = []
        for person in self.listening:
            assert person.left is not None
            if person.hears:
                person.heard = self.now
            person.hears = person.can_decrypt(used.get(person.cohort))
            if person.hears or self._may_hear_again(person):
                still.append(person)
        self.listening = still

    def _may_hear_again(self, person: Person) -> bool:
        """One of its keys is in use or may come into use."""
        keys = self.keys.get(person.cohort)
        if keys is None:
            return False
        live = {generation_of(epoch) for epoch in [*keys.prepared, *([keys.active] if keys.active else [])]}
        return bool(live & set(person.sent))

    def _later(self, seconds: float, event: Callable[..., None], *, timed: bool = False) -> None:
        self._count += 1
        when = self.now + seconds
        call = (lambda: event(self.now)) if timed else event
        heapq.heappush(self._events, (when, self._count, call))
