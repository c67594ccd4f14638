"""A conductor with a mixer and a KMS that agree to everything, and real members; the clock is virtual."""

from __future__ import annotations

import gc
from dataclasses import dataclass, field

import msgspec

from control.member import Member
from control.rekey.conductor import Conductor, Joiner, Ticket
from control.rekey.keychain import Keychain
from control.rekey.policy import Policy
from control.rekey.settings import RekeySettings
from mixer import port
from mixer.secret import Secret


def stream(roc: int = 0, ssrc: int = 77) -> port.StreamPosition:
    return port.StreamPosition(ssrc=ssrc, roc=roc, seq=1, payload_type=0)


@dataclass
class Stage:
    """A conductor whose mixer and KMS say yes to everything, once they are asked to."""

    conductor: Conductor = field(init=False)
    members: dict[str, Member] = field(default_factory=dict)
    sent: list[tuple[str, bytes]] = field(default_factory=list)
    now: float = 0.0
    keys: int = 0

    def __post_init__(self) -> None:
        settings = msgspec.convert({"mode": "group", "cohort_target": 0, "t_leave_min": 0.1}, RekeySettings)
        keychain = Keychain("c", "AES_CM_128_HMAC_SHA1_80")
        self.conductor = Conductor(Policy(settings), keychain, identity="focus")

    def joiner(self, name: str, psk: int = 1) -> Joiner:
        self.keys += 1
        key = port.Key(secret=Secret(self.keys.to_bytes(30)), mki=f"8000{self.keys:04x}")
        return Joiner(port.LegAdd(conference="c", leg=name, tx=key, remove_on_timeout=True), Secret(bytes([psk]) * 16))

    def join(self, name: str, psk: int = 1) -> None:
        self.members[name] = Member(name, Secret(bytes([psk]) * 16), focus="focus", conference="c")
        self.conductor.join(self.joiner(name, psk), self.now)

    def answer(self, ticket: Ticket) -> None:
        reply: port.Reply = port.Done()
        if isinstance(ticket.command, port.LegAdd):
            reply = port.LegAdded(leg=ticket.member, payload_type=0, stream=stream())
        self.conductor.replied(ticket, reply, self.now)

    def work(self, *, acks: bool = True) -> list[Ticket]:
        """Until nothing is left; returns what was asked of the mixer."""
        asked: list[Ticket] = []
        for _ in range(100):
            tickets = self.conductor.tickets()
            for ticket in tickets:
                self.answer(ticket)
            requests = self.conductor.requests()
            for request in requests:
                self.conductor.made(request, Secret(request.epoch.to_bytes(32)), self.now)
            messages = self.conductor.messages()
            self.sent += messages
            for name, octets in messages if acks else ():
                answer = self.members[name].receive(octets, now=self.now)
                if answer is not None:
                    self.conductor.heard(name, answer, self.now)
            asked += tickets
            if not tickets and not requests and not messages:
                return asked
        raise AssertionError("it never comes to rest")

    def run(self, seconds: float, *, acks: bool = True) -> list[Ticket]:
        asked = self.work(acks=acks)
        until = self.now + seconds
        while (due := self.conductor.due()) is not None and due <= until:
            self.now = due
            self.conductor.advance(self.now)
            asked += self.work(acks=acks)
        self.now = until
        return asked


def settled(*names: str) -> Stage:
    stage = Stage()
    for name in names:
        stage.join(name)
    stage.run(1.0)
    assert all(stage.members[name].epoch for name in names)
    return stage


def reachable(root: object) -> list[object]:
    """Everything that hangs on an object."""
    found: dict[int, object] = {}
    queue = [root]
    while queue:
        thing = queue.pop()
        if id(thing) in found or isinstance(thing, type) or type(thing).__name__ in ("module", "function"):
            continue
        found[id(thing)] = thing
        queue += gc.get_referents(thing)
    return list(found.values())
