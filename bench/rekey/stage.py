"""A focus and its members without media: the focus's own code on a socket, and everybody else at once.

Knows: `Conductor`, `Courier` and `Policy`, members' ends of MIKEY, a socket on loopback. Must never know: media.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Iterator
from time import thread_time_ns
from typing import Final

from bench.rekey.crowd import Crowd
from control.member import Member
from control.rekey.conductor import Conductor, Joiner, Then
from control.rekey.courier import Courier
from control.rekey.keychain import Keychain
from control.rekey.policy import Policy
from control.rekey.settings import RekeySettings
from mixer import port
from mixer.secret import Secret

CONFERENCE: Final = "room"
SUITE: Final = "AES_CM_128_HMAC_SHA1_80"
UDP_IP: Final = 28
"""Octets of the headers around a datagram."""
_BURST: Final = 256
"""Acknowledgements that wait in the socket at a time."""


class ChannelError(Exception):
    """The measurement cannot be made; the message says why."""


class Stage:
    """A focus and its members on sockets of their own; a mixer and a KMS that say yes to everything at once."""

    def __init__(self, members: int, *, ratchets: bool = True) -> None:
        settings = RekeySettings(mode="group", cohort_target=0, bridge_max=0, t_leave_min=0.0, t_leave_closing=0.0)
        self.conductor = Conductor(Policy(settings), Keychain(CONFERENCE, SUITE), identity="focus")
        self.courier = Courier(self._heard)
        self.now = 0.0
        self.octets = (0, 0)
        """Of a push and of its acknowledgement."""
        self._members, self._ratchets = members, ratchets
        self._crowd = Crowd()
        self._number: dict[str, int] = {}
        self._endpoints: dict[str, Member] = {}
        self._acks = self._wanted = 0
        self._all_heard = asyncio.Event()

    async def open(self) -> None:
        """Let everybody in; all get their first key."""
        self._focus = await self.courier.open("127.0.0.1")
        while len(self._number) < self._members:
            self._join()
        self._settle()

    def close(self) -> None:
        self.courier.close()
        self._crowd.close()

    async def rekey(self) -> dict[str, float]:
        """One member leaves, all others get a key, another comes: microseconds of CPU for each message, by part."""
        self.now += 10.0
        gone = next(iter(self._endpoints))
        del self._endpoints[gone]
        took: dict[str, float] = {}
        with timed(took, "make"):
            self.conductor.leave(gone, self.now)
            self._answer_all()
            messages = self.conductor.messages()
        for name, _ in messages:
            self.courier.know(name, self._crowd.address(self._number[name]))
        with timed(took, "send"):
            for name, octets in messages:
                self.courier.send(name, octets)
        arrived = [octets for _, octets, _ in self._crowd.receive()]
        if arrived != [octets for _, octets in messages]:
            raise ChannelError("loopback lost a message; raise net.core.rmem_max and measure again")
        with timed(took, "member"):
            answers = [self._endpoints[name].receive(octets, now=self.now) for name, octets in messages]
        self.octets = len(arrived[0]) + UDP_IP, len(answers[0] or b"") + UDP_IP
        await self._hear([name for name, _ in messages], answers, took)
        self._join()
        self._settle()
        return {part: used / len(messages) for part, used in took.items()}

    async def _hear(self, names: list[str], answers: list[bytes | None], took: dict[str, float]) -> None:
        """The acknowledgements wait in the focus's socket, a burst at a time; it takes them."""
        self._acks = 0
        took["hear"] = 0.0
        for at in range(0, len(names), _BURST):
            for name, answer in zip(names[at : at + _BURST], answers[at : at + _BURST], strict=True):
                self._crowd.send(self._number[name], answer or b"", self._focus)
            with timed(took, "hear"):
                self._wanted = min(at + _BURST, len(names))
                await self._all_heard.wait()
                self._all_heard.clear()
        with timed(took, "hear"):
            self._answer_all()

    def _join(self) -> None:
        number = len(self._number)
        name, psk = f"m{number}", Secret(secrets.token_bytes(16))
        leg = port.LegAdd(conference=CONFERENCE, leg=name, tx=port.Key(secret=Secret(secrets.token_bytes(30))))
        self._number[name], self._endpoints[name] = number, Member(name, psk, focus="focus", conference=CONFERENCE)
        self.conductor.join(Joiner(leg, psk, self._ratchets), self.now)

    def _settle(self) -> None:
        """Time passes until everybody has the key."""
        for _ in range(4):
            self.now += 40.0
            self.conductor.advance(self.now)
            self._answer_all()
            for name, octets in self.conductor.messages():
                answer = self._endpoints[name].receive(octets, now=self.now)
                self.conductor.heard(name, answer or b"", self.now)
            self._answer_all()

    def _answer_all(self) -> None:
        """The KMS and the mixer do as they are told."""
        conductor = self.conductor
        while (requests := conductor.requests()) or (tickets := conductor.tickets()):
            if requests:
                for request in requests:
                    conductor.made(request, Secret(secrets.token_bytes(32)), self.now)
                continue
            for ticket in tickets:
                stream = port.StreamPosition(ssrc=77, roc=0, seq=1, payload_type=0)
                added = port.LegAdded(leg=ticket.member, payload_type=0, stream=stream)
                conductor.replied(ticket, added if ticket.then is Then.ADDED else port.Done(), self.now)

    def _heard(self, member: str, octets: bytes) -> None:
        self.conductor.heard(member, octets, self.now)
        self._acks += 1
        if self._acks == self._wanted:
            self._all_heard.set()


@contextlib.contextmanager
def timed(took: dict[str, float], part: str) -> Iterator[None]:
    """Add the CPU time of a block to one part, in microseconds."""
    begin = thread_time_ns()
    yield
    took[part] = took.get(part, 0.0) + (thread_time_ns() - begin) / 1000
