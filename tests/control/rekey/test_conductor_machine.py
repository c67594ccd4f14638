"""The conductor whatever comes, in whatever order: answers of mixer and KMS, acknowledgements, and time."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from control.rekey.conductor import NameTaken, Request, Ticket
from mixer import port
from mixer.secret import Secret
from tests.control.rekey.conducting import Stage, reachable

NAMES = st.sampled_from(["ann", "bob", "cat", "dan"])


class OddWorld(RuleBasedStateMachine):
    """Answers come late, twice, out of turn, or as refusals; acknowledgements are forged, replayed and swapped."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage()
        self.conductor = self.stage.conductor
        self.here: set[str] = set()
        self.tickets: list[Ticket] = []
        self.requests: list[Request] = []
        self.answers: list[tuple[str, bytes]] = []
        self.asked: set[tuple[int, int]] = set()
        self.prepared: set[tuple[int, int]] = set()

    def drain(self) -> None:
        self.tickets += self.conductor.tickets()
        new = self.conductor.requests()
        for request in new:
            assert (request.cohort, request.epoch) not in self.asked, "no epoch is asked for twice"
        self.asked |= {(request.cohort, request.epoch) for request in new}
        self.requests += new
        for name, octets in self.conductor.messages():
            assert name in self.here, "keys go to members only"
            member = self.stage.members[name]
            before = {key.mki for key in member.held()}
            answer = member.receive(octets, now=self.stage.now)
            for key in member.held():
                if key.mki not in before:
                    assert any(epoch == int.from_bytes(key.mki) for _, epoch in self.prepared), "the mixer has it"
            if answer is not None:
                self.answers.append((name, answer))

    @rule(name=NAMES)
    def join(self, name: str) -> None:
        if name in self.here:
            with pytest.raises(NameTaken):
                self.conductor.join(self.stage.joiner(name), self.stage.now)
        else:
            self.here.add(name)
            self.stage.join(name)

    @rule(name=NAMES, evict=st.booleans())
    def leave(self, name: str, evict: bool) -> None:
        self.here.discard(name)
        self.conductor.leave(name, self.stage.now, evict=evict)

    @precondition(lambda self: self.tickets)
    @rule(pick=st.integers(0, 99), fate=st.sampled_from(["done", "done", "done", "refused", "twice"]))
    def reply(self, pick: int, fate: str) -> None:
        ticket = self.tickets.pop(0 if pick < 80 else pick % len(self.tickets))
        command = ticket.command
        if fate == "refused":
            if isinstance(command, port.LegAdd):
                self.refuse_leg(ticket)
            else:
                self.conductor.refused(ticket, self.stage.now)
            return
        if isinstance(command, port.KeyPrepare):
            self.prepared.add((command.cohort, command.key.epoch))
        if isinstance(command, port.KeyActivate):  # a mixer that has activated it held it before
            self.prepared.add((command.cohort, command.epoch))
        self.stage.answer(ticket)
        if fate == "twice":
            self.stage.answer(ticket)

    def refuse_leg(self, ticket: Ticket) -> None:
        told = len(self.conductor.attention)
        self.conductor.refused(ticket, self.stage.now)
        if len(self.conductor.attention) > told:
            self.here.discard(ticket.member)

    @precondition(lambda self: self.requests)
    @rule(pick=st.integers(0, 99), fate=st.sampled_from(["made", "made", "not", "twice"]))
    def key(self, pick: int, fate: str) -> None:
        request = self.requests.pop(pick % len(self.requests))
        if fate == "not":
            self.conductor.not_made(request, self.stage.now)
            return
        for _ in range(1 + (fate == "twice")):
            self.conductor.made(request, Secret(request.epoch.to_bytes(32)), self.stage.now)

    @precondition(lambda self: self.answers)
    @rule(pick=st.integers(0, 99), name=NAMES, fate=st.sampled_from(["true", "true", "twice", "other", "forged"]))
    def acknowledge(self, pick: int, name: str, fate: str) -> None:
        sender, octets = self.answers.pop(pick % len(self.answers))
        if fate == "forged":
            octets = octets[:-1] + bytes([octets[-1] ^ 1])
        if fate == "other" and name != sender:
            assert not self.conductor.heard(name, octets, self.stage.now), "that is another's word"
            return
        heard = self.conductor.heard(sender, octets, self.stage.now)
        assert not (heard and fate == "forged")
        if fate == "twice":
            assert not self.conductor.heard(sender, octets, self.stage.now)

    @initialize(count=st.integers(0, 3))
    def begin(self, count: int) -> None:
        for name in ["ann", "bob", "cat"][:count]:
            self.join(name)
        self.well()

    @rule(wait=st.sampled_from([0.0, 0.15, 0.15, 0.4]), acks=st.booleans())
    def well(self, wait: float = 0.2, acks: bool = True) -> None:
        """For a while, everybody does what is asked; or all but the members."""
        self.drain()
        for turn in range(60):
            if self.tickets:
                self.reply(0, "done")
            elif self.requests:
                self.key(0, "made")
            elif self.answers and acks:
                sender, octets = self.answers.pop(0)
                self.conductor.heard(sender, octets, self.stage.now)
            elif turn < 50 and wait:
                self.wait(wait)
                wait = 0
            self.drain()

    @rule(name=NAMES, octets=st.binary(max_size=60))
    def nonsense(self, name: str, octets: bytes) -> None:
        assert not self.conductor.heard(name, octets, self.stage.now)

    @rule(epoch=st.integers(1, 6), cohort=st.integers(0, 1))
    def expired(self, epoch: int, cohort: int) -> None:
        event = port.KeyExpired(conference="c", cohort=cohort, epoch=epoch << 8, silenced=0)
        self.conductor.happened(event, self.stage.now)

    @rule(wait=st.sampled_from([0.0, 0.1, 1.0, 6.0, 400.0]))
    def wait(self, wait: float) -> None:
        self.stage.now += wait
        self.conductor.advance(self.stage.now)

    @rule()
    def restart(self) -> None:
        """The mixer: what it had to say is lost, what the KMS has is not."""
        self.tickets.clear()
        self.conductor.recover(None, [self.stage.joiner(name) for name in self.here], self.stage.now)

    @invariant()
    def sound(self) -> None:
        self.drain()
        held = [value for value in reachable(self.conductor.keychain) if isinstance(value, Secret)]
        assert len(held) <= 2 + len(self.tickets) + len(self.requests)
        counts = self.conductor.counts
        assert counts.acks <= counts.messages


TestOddWorld = OddWorld.TestCase
TestOddWorld.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
