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
from control.rekey.policy import Policy, Present
from control.rekey.settings import RekeySettings, Style
from tests.control.rekey.mixer import CohortKeys, Leg, ModelMixer
from tests.control.rekey.people import Network, Person

SLACK = 1e-9


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
        self.mixer = ModelMixer()
        self.people: dict[str, Person] = {}
        self.gone: list[Person] = []
        self.listening: list[Person] = []
        """Of those who are gone, who can still decrypt something."""
        self.exposures: list[Exposure] = []
        self.first_used: dict[int, dict[int, float]] = {}
        """By generation and step, when a leg first heard it."""
        self.attentions: list[str] = []
        self._random = random.Random(seed)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    # -- What happens ------------------------------------------------------------------------

    def join(
        self, *names: str, ratchets: bool = True, one_key: bool = False, holding: tuple[int, int] | None = None
    ) -> None:
        """`holding`: cohort and epoch of a key that they were told before they came."""
        for name in names:
            person = self.people[name] = Person(name, self.now, ratchets=ratchets, one_key=one_key)
            if holding is not None:
                person.take(holding[1])
            self.policy.join(name, ratchets=ratchets, one_key=one_key, holding=holding, now=self.now)
            self._carry_out()

    def leave(self, *names: str, evict: bool = False) -> None:
        for name in names:
            person = self.people.pop(name)
            person.left = person.heard = self.now
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
        self._events.clear()
        self.mixer.restart(empty=mixer)
        if not mixer:
            self.exposures += self.policy.exposures()
            self.policy = Policy(settings or self.settings, style=style)
            for person in self.gone:
                person.forgotten = True
        for person in self.people.values():
            person.said.clear()
        here = [
            Present(name, one.ratchets, self.legs[name].cohort, one.one_key)
            for name, one in self.people.items()
            if name in self.legs
        ]
        self.policy.resume(self.mixer.highest_obtained, here, self.now)
        for name in self.people.keys() - self.legs.keys():
            one = self.people[name]
            self.policy.join(name, ratchets=one.ratchets, one_key=one.one_key, now=self.now)
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
            self.people[name].say(epoch)
        self._carry_out()
        return taken

    # -- What is seen ------------------------------------------------------------------------

    def epoch_heard_by(self, name: str) -> int | None:
        """The epoch of the next packet to a leg; None for its own key."""
        return self.mixer.heard_by(name)

    @property
    def legs(self) -> dict[str, Leg]:
        return self.mixer.legs

    @property
    def keys(self) -> dict[int, CohortKeys]:
        return self.mixer.keys

    @property
    def highest_obtained(self) -> int:
        return self.mixer.highest_obtained

    def said(self, kind: type[Intention]) -> list[Intention]:
        return [intention for _, intention in self.log if isinstance(intention, kind)]

    def times(self, kind: type[Intention]) -> list[float]:
        return [time for time, intention in self.log if isinstance(intention, kind)]

    def messages(self) -> int:
        return sum(len(said.members) for _, said in self.log if isinstance(said, Deliver))

    def ignored(self) -> dict[str, int]:
        """Inputs that changed nothing, by reason."""
        return self.policy.facts(self.now).ignored

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
                assert any(seconds <= value + SLACK <= seconds + answers + 2 * SLACK for value in known), "accounts"

    def check_hands(self) -> None:
        """Who holds one key, and is sent what is under a group key, holds that key, or the one to come."""
        for name, person in self.people.items():
            if person.one_key and self.epoch_heard_by(name) is not None:
                assert person.hand in self.keys[person.cohort].generations(), f"{name} took another key after it"

    # -- What is done ------------------------------------------------------------------------

    def _carry_out(self) -> None:
        for intention in self.policy.intentions():
            self.log.append((self.now, intention))
            self._apply(intention)
        self.exposures += self.policy.exposures()
        self._watch()

    def _apply(self, said: Intention) -> None:
        mixer = self.mixer
        match said:
            case AddLeg(member, cohort, bridged):
                mixer.add(member, cohort, bridged)
                self.people[member].cohort = cohort
            case RemoveLeg(member, bridge):
                mixer.remove(member, bridge)
            case Bridge(cohort, None, on):
                assert on, "a whole cohort is never taken off its own keys unseen"
                mixer.bridge_all(cohort)
            case Bridge(cohort, members, on):
                assert members
                mixer.bridge(cohort, members, on)
            case Deliver(cohort, epoch, members, attempt):
                self._deliver(cohort, epoch, members, attempt)
            case Attention(member, _):
                assert member in self.people
                self.attentions.append(member)
            case Obtain() | Activate() | Ratchet() | Abort() | Retire():
                self._change_key(said)

    def _change_key(self, said: Obtain | Activate | Ratchet | Abort | Retire) -> None:
        mixer, network = self.mixer, self.network
        match said:
            case Obtain(cohort, epoch):
                mixer.ask(cohort, epoch)
                fails = self._random.random() < network.kms_fails
                self._later(network.kms, partial(self._obtained, cohort, epoch, fails))
            case Activate(cohort, epoch) | Ratchet(cohort, epoch):
                fails = self._random.random() < network.mixer_fails
                self._later(network.mixer / 2, partial(self._switch, cohort, epoch, fails))
            case Abort(cohort, epoch):
                mixer.abort(cohort, epoch)
            case Retire(cohort, epoch):
                mixer.retire(cohort, epoch)

    def _obtained(self, cohort: int, epoch: int, fails: bool) -> None:
        self.mixer.prepare(cohort, epoch, made=not fails)
        (self.policy.key_failed if fails else self.policy.key_ready)(cohort, epoch, self.now)

    def _switch(self, cohort: int, epoch: int, fails: bool) -> None:
        if fails:
            self._later(self.network.mixer / 2, lambda: self.policy.key_failed(cohort, epoch, self.now))
        elif self.mixer.switch(cohort, epoch):
            self._later(self.network.mixer / 2, lambda: self.policy.switched(cohort, epoch, self.now))

    # -- Members -----------------------------------------------------------------------------

    def _deliver(self, cohort: int, epoch: int, members: tuple[str, ...], attempt: int) -> None:
        assert members
        assert len(set(members)) == len(members)
        assert attempt >= 1
        generation, step = generation_of(epoch), step_of(epoch)
        assert generation in self.keys[cohort].generations(), "sent, though the mixer does not have it"
        for name in members:
            assert name in self.people, "I4: sent to one who is not a member"
            person = self.people[name]
            assert person.cohort == cohort, "I4: sent to another cohort"
            used = [time for at, time in self.first_used.get(generation, {}).items() if at >= step]
            free = self.settings.admission == "current"
            assert free or all(time >= person.joined - SLACK for time in used), "I3: it could decrypt what was before"
            person.sent[generation] = min(step, person.sent.get(generation, step))
            lost = self._random.random() < self.network.loss or name in self.network.deaf
            if not lost:
                arrives = max(self.now, person.busy) + self.network.rtt * (0.5 + self._random.random())
                person.busy = arrives if person.one_key else 0.0
                self._later(arrives - self.now, partial(self._acked, person, epoch))

    def _acked(self, person: Person, epoch: int) -> None:
        person.hand = generation_of(epoch)
        if self.people.get(person.name) is person:
            self.ack(person.name, epoch)
        else:
            assert not self.policy.acked(person.name, epoch, self.now) or person.name in self.people

    # -- The watch ---------------------------------------------------------------------------

    def _watch(self) -> None:
        used: dict[int, int] = {}
        for name, leg in self.legs.items():
            epoch = self.mixer.heard_by(name)
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
        return keys is not None and not keys.generations().isdisjoint(person.sent)

    def _later(self, seconds: float, event: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (self.now + seconds, self._count, event))


def running(
    settings: RekeySettings | None = None,
    count: int = 8,
    *,
    ratchets: bool = True,
    style: Style = "mki",
    network: Network | None = None,
) -> Stage:
    """A conference under group keys, some time after its last rekey, with an empty log."""
    stage = Stage(settings, style=style, network=network)
    stage.join(*[f"m{number}" for number in range(count)], ratchets=ratchets)
    stage.run(10)
    assert all(stage.epoch_heard_by(name) for name in stage.people)
    stage.log.clear()
    return stage
