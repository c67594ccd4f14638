"""What it costs the focus to deliver one key to one member and have it acknowledged, channel by channel.

Knows: the focus's own code, a socket on loopback, and members to answer it. Must never know: media.

    mikey      measured: `Conductor`, `Courier` and `Policy` as they are, MIKEY-PSK over UDP
    compact    measured, but a model: `compact`, with the same courier
    info       assumed: a SIP INFO with the key in its body
    reinvite   assumed: a SIP re-INVITE with new keys in SDP

What members do is timed apart: a focus does not pay for it. Of the assumed channels nothing is measured here; the
figures are those of a SIP stack in C or better, and are to be replaced when there is a SIP focus to measure.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import secrets
import statistics
from collections.abc import Callable, Iterator
from time import thread_time_ns
from typing import Final, Literal

import msgspec

from bench.rekey import compact
from bench.rekey.cpu import Cpu, spread
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
_BURST: Final = 256
"""Acknowledgements that wait in the socket at a time."""
UDP_IP: Final = 28
"""Octets of the headers around a datagram."""


class ChannelError(Exception):
    """The measurement cannot be made; the message says why."""


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """One way to deliver keys."""

    name: str
    text: str
    how: Literal["measured", "model", "assumed"]
    focus: Cpu
    """c_msg: of the focus, for one delivery with its acknowledgement."""
    member: Cpu | None = None
    """Of the member."""
    octets: int
    """Of the message, headers down to IP included."""
    answer_octets: int
    parts: dict[str, float] = {}
    """Where the focus's microseconds go."""


ASSUMED: Final = (
    Channel(
        name="info",
        text="SIP INFO, key in the body",
        how="assumed",
        focus=Cpu(500.0),
        octets=500 + UDP_IP,
        answer_octets=300 + UDP_IP,
    ),
    Channel(
        name="reinvite",
        text="SIP re-INVITE, key in SDP",
        how="assumed",
        focus=Cpu(2000.0),
        octets=1500 + UDP_IP,
        answer_octets=1300 + UDP_IP,
    ),
)
"""See the module: [A] of the reference, not measured."""


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
        self._acks = 0

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
        with _timed(took, "make"):
            self.conductor.leave(gone, self.now)
            self._answer_all()
            messages = self.conductor.messages()
        for name, _ in messages:
            self.courier.know(name, self._crowd.address(self._number[name]))
        with _timed(took, "send"):
            for name, octets in messages:
                self.courier.send(name, octets)
        arrived = [octets for _, octets, _ in self._crowd.receive()]
        if arrived != [octets for _, octets in messages]:
            raise ChannelError("loopback lost a message; raise net.core.rmem_max and measure again")
        with _timed(took, "member"):
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
            with _timed(took, "hear"):
                await _spin(functools.partial(self._has_heard, min(at + _BURST, len(names))))
        with _timed(took, "hear"):
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

    def _has_heard(self, count: int) -> bool:
        return self._acks >= count

    def _heard(self, member: str, octets: bytes) -> None:
        self.conductor.heard(member, octets, self.now)
        self._acks += 1


async def _spin(done: Callable[[], bool]) -> None:
    """Let the loop read what waits in its sockets; nothing is waited for that is not there."""
    while not done():
        await asyncio.sleep(0)


@contextlib.contextmanager
def _timed(took: dict[str, float], part: str) -> Iterator[None]:
    begin = thread_time_ns()
    yield
    took[part] = took.get(part, 0.0) + (thread_time_ns() - begin) / 1000


async def mikey(members: int = 256, *, rekeys: int = 9, ratchets: bool = True) -> Channel:
    """The focus as it is.

    Raises:
        ChannelError: if loopback loses a message.
    """
    stage = Stage(members, ratchets=ratchets)
    await stage.open()
    try:
        await stage.rekey()
        runs = [await stage.rekey() for _ in range(rekeys)]
    finally:
        stage.close()
    parts = {part: round(statistics.median(run[part] for run in runs), 2) for part in ("make", "send", "hear")}
    kind = "" if ratchets else ", members who cannot ratchet"
    return Channel(
        name="mikey" if ratchets else "mikey-tek",
        text=f"MIKEY-PSK over UDP{kind}",
        how="measured",
        focus=spread([run["make"] + run["send"] + run["hear"] for run in runs]),
        member=spread([run["member"] for run in runs]),
        octets=stage.octets[0],
        answer_octets=stage.octets[1],
        parts=parts,
    )


async def thin(members: int = 256, *, rekeys: int = 9) -> Channel:
    """The model of a compact channel, through the same courier."""
    crowd, acked = Crowd(), [0]
    focus = {f"m{number}": compact.End(secrets.token_bytes(16), f"m{number}") for number in range(members)}

    def heard(member: str, octets: bytes) -> None:
        acked[0] += focus[member].acknowledged(octets) == epoch

    courier = Courier(heard)
    address = await courier.open("127.0.0.1")
    for number, name in enumerate(focus):
        courier.know(name, crowd.address(number))
    runs = []
    try:
        for epoch in range(1, rekeys + 2):
            took: dict[str, float] = {}
            with _timed(took, "make"):
                messages = [end.push(bytes(range(32)), 7, epoch, 77, 0) for end in focus.values()]
            with _timed(took, "send"):
                for name, octets in zip(focus, messages, strict=True):
                    courier.send(name, octets)
            with _timed(took, "member"):
                answers = [end.accept(octets)[1] for end, octets in zip(focus.values(), messages, strict=True)]
            crowd.receive()
            acked[0] = 0
            for number, answer in enumerate(answers):
                crowd.send(number, answer, address)
            with _timed(took, "hear"):
                await _spin(lambda: acked[0] >= members)
            runs.append({part: used / members for part, used in took.items()})
    finally:
        courier.close()
        crowd.close()
    return _compact_channel(runs[1:])


def _compact_channel(runs: list[dict[str, float]]) -> Channel:
    return Channel(
        name="compact",
        text="compact datagram (model of an in-band channel)",
        how="model",
        focus=spread([run["make"] + run["send"] + run["hear"] for run in runs]),
        member=spread([run["member"] for run in runs]),
        octets=compact.KEY_OCTETS + UDP_IP,
        answer_octets=compact.ACK_OCTETS + UDP_IP,
        parts={part: round(statistics.median(run[part] for run in runs), 2) for part in ("make", "send", "hear")},
    )


async def channels(*, members: int = 256, rekeys: int = 9) -> list[Channel]:
    """All of them. Raises `ChannelError`."""
    measured = [
        await thin(members, rekeys=rekeys),
        await mikey(members, rekeys=rekeys),
        await mikey(members, rekeys=rekeys, ratchets=False),
    ]
    return [*measured, *ASSUMED]
