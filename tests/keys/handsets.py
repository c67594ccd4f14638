"""Plain SDES phones on the virtual clock: each holds one key, which a re-INVITE takes the place of.

The way of a re-INVITE: a while to the phone, which forgets its key and has the new one from then on; as long until
its answer is here. One at a time for each phone, as SIP has it (RFC 3261 section 14.1).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from control.rekey.signals import Signal
from mixer.port import Key
from tests import naive
from tests.keys.ear import Ear
from tests.mixer.net import MS
from tests.reference.srtp import Context, Refused


@dataclass
class Handset(Ear):
    """A phone with one key in its hand."""

    hand: Context | None = None
    takes: bool = True
    """False: it says 200 OK to a key, and goes on with the one it has."""
    took: list[int] = field(default_factory=list)
    """When it took keys, in ns."""
    missed: list[int] = field(default_factory=list)
    """When RTP came that it could not read, in ns."""

    def take(self, key: Key, now_ns: int) -> None:
        """This key, and no other."""
        if self.takes or self.hand is None:
            self.hand = Context(key.suite, key.secret.reveal(), mki=bytes.fromhex(key.mki))
            self.took.append(now_ns)

    def receive(self, octets: bytes, at_ns: int) -> None:
        before = len(self.refused)
        super().receive(octets, at_ns)
        if len(self.refused) > before and naive.kind_of(octets) == "rtp":
            self.missed.append(at_ns)

    def _open(self, octets: bytes, rtcp: bool) -> tuple[str, bytes] | None:
        if self.hand is None:
            return None
        try:
            return "", self.hand.unprotect_rtcp(octets) if rtcp else self.hand.unprotect(octets)
        except Refused:
            return None


@dataclass
class Line:
    """The dialog with one phone."""

    phone: Handset
    queue: deque[Signal] = field(default_factory=deque)
    answer: tuple[int, bool] | None = None
    """When what is under way is answered, and whether with 200 OK."""
    arrives: int | None = None
    """When what is under way is at the phone."""


class Exchange:
    """The signalling with all phones."""

    def __init__(self, answered: Callable[[str, int, bool], None], way_ms: float = 30.0) -> None:
        self._answered = answered
        self.way_ns = int(way_ms * MS)
        self.lines: dict[str, Line] = {}
        self.dead: set[str] = set()
        """Phones that never answer, and take nothing."""
        self.stubborn: set[str] = set()
        """Phones that refuse whatever they are asked (488)."""
        self.signals: list[Signal] = []
        """All that was ever signalled."""

    def signal(self, signal: Signal) -> None:
        self.signals.append(signal)
        self.lines[signal.member].queue.append(signal)

    def step(self, now_ns: int) -> None:
        """What is due by now."""
        for name, line in list(self.lines.items()):
            if name not in self.dead:
                self._step(name, line, now_ns)

    def _step(self, name: str, line: Line, now_ns: int) -> None:
        if line.arrives is not None and now_ns >= line.arrives:
            line.arrives = None
            line.answer = now_ns + self.way_ns, name not in self.stubborn
            if name not in self.stubborn:
                line.phone.take(line.queue[0].key, now_ns)
        if line.answer is not None and now_ns >= line.answer[0]:
            done, good = line.queue.popleft(), line.answer[1]
            line.answer = None
            self._answered(name, done.epoch, good)
        if line.queue and line.arrives is None and line.answer is None:
            line.arrives = now_ns + self.way_ns
