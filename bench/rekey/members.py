"""The members: a process that is all endpoints of a live run.

    python -m bench.rekey.members           a `Live` in JSON on the first line of standard input

Speaks with its parent by lines. It prints `ready <media port> <key port>`, answers key messages from then on, begins
to talk at `go <port of the mixer>`, prints `talking` and `done`, and when it is told `judge <what happened>` opens
everything that it was ever sent, and prints a verdict.

While it runs it takes packets off its socket unopened, with the kernel's timestamps, sends what was made before, and
lets the members answer key messages, a few at a time, so that nobody's voice waits for them.
"""

from __future__ import annotations

import gc
import os
import random
import select
import sys
import time
from collections import deque
from typing import Final

import msgspec
import numpy as np

from bench import uplink
from bench.plan import TICK_NS
from bench.rekey.crowd import Crowd
from bench.rekey.judging import Capture, Happened, judge
from bench.rekey.liveplan import CONFERENCE, FOCUS, Live
from bench.rekey.replay import Message
from bench.sockets import Inbox, Loopback, Outbox
from control.member import Member

_SLICE: Final = 12
"""Key messages answered at a time: a millisecond."""
_DRAIN_MS: Final = 4
_WIDTH: Final = 256
"""Octets kept of a packet: 20 ms of G.711 with all headers, MKI and tag are fewer."""


class Lines:
    """Standard input, line by line, without waiting for any."""

    def __init__(self) -> None:
        self._rest = b""
        self.ended = False

    def wait(self) -> str:
        """The next line, however long it takes."""
        while b"\n" not in self._rest and not self.ended:
            self._read()
        return next(iter(self.waiting()), "")

    def waiting(self) -> list[str]:
        """Lines that are there; the rest stays for later."""
        *lines, self._rest = self._rest.split(b"\n")
        return [line.decode() for line in lines]

    def read(self) -> list[str]:
        """Read what is there; to be called when there is something."""
        self._read()
        return self.waiting()

    def _read(self) -> None:
        octets = os.read(sys.stdin.fileno(), 1 << 20)
        self.ended = not octets
        self._rest += octets


class Hall:
    """All endpoints."""

    def __init__(self, live: Live, lines: Lines) -> None:
        self.live, self._lines = live, lines
        self.media, self.keys = Loopback(), Crowd()
        self._plan = live.plan()
        self._random = random.Random(live.seed)
        self._members = [
            Member(live.name(leg), live.psk(leg), focus=FOCUS, conference=CONFERENCE) for leg in range(live.legs)
        ]
        self._voices = uplink.packets(live.talkers_plan())
        seconds = live.setup_s + live.talk_s + 5.0
        self._inbox = Inbox(round(live.legs * 50 * seconds), _WIDTH)
        self._messages: list[Message] = []
        self._backlog: deque[tuple[int, bytes, tuple[str, int]]] = deque()
        self._outbox: Outbox | None = None
        self._tick, self._due = 0, 0
        self._said_ns = np.zeros((self._plan.ticks, 1), np.int64)
        self._late_ns = np.zeros(self._plan.ticks, np.int64)
        self._poll = select.poll()
        for watched in (sys.stdin.fileno(), self.keys.fileno()):
            self._poll.register(watched, select.POLLIN)

    def serve(self) -> str:
        """Until told to judge: what happened, in JSON; empty if the parent is gone."""
        while True:
            self._inbox.drain(self.media.fd)
            self._talk()
            self._answer()
            for ready, _ in self._poll.poll(self._patience_ms()):
                if ready == self.keys.fileno():
                    self._backlog.extend(self.keys.receive())
                    continue
                for line in self._lines.read():
                    word, _, rest = line.partition(" ")
                    if word == "judge":
                        self._inbox.drain(self.media.fd)
                        return rest
                    self._begin(int(rest))
                if self._lines.ended:
                    return ""

    def _begin(self, mixer: int) -> None:
        self._outbox = Outbox(self._voices, self._voices.shape[2], uplink.sources(self.live.talkers_plan()), mixer)
        self._due = time.monotonic_ns() + TICK_NS
        _say("talking")

    def _talk(self) -> None:
        if self._outbox is None or self._tick >= self._plan.ticks:
            return
        late = time.monotonic_ns() - self._due
        if late >= 0:
            self._said_ns[self._tick, 0] = time.time_ns()
            self._late_ns[self._tick] = late
            self._outbox.send(self.media.fd, self._tick, 0, self._voices.shape[1])
            self._tick, self._due = self._tick + 1, self._due + TICK_NS
            if self._tick == self._plan.ticks:
                _say("done")

    def _answer(self) -> None:
        """Some members take a key message each, and acknowledge it."""
        for _ in range(min(_SLICE, len(self._backlog))):
            leg, octets, sender = self._backlog.popleft()
            if self._random.random() < self.live.loss:
                continue
            answer = self._members[leg].receive(octets, now=time.monotonic())
            self._messages.append(Message(leg, time.time_ns(), octets))
            if answer is not None and self._random.random() >= self.live.loss:
                self.keys.send(leg, answer, sender)

    def _patience_ms(self) -> int:
        if self._backlog:
            return 0
        rest = (self._due - time.monotonic_ns()) // 1_000_000 if self._outbox else _DRAIN_MS
        return max(0, min(_DRAIN_MS, rest))

    def capture(self) -> Capture:
        """Everything that came."""
        n = self._inbox.count
        return Capture(
            octets=self._inbox.octets[:n],
            length=self._inbox.length[:n],
            destination=self._inbox.destination(),
            arrival_ns=self._inbox.arrival_ns(),
            messages=self._messages,
            said_ns=self._said_ns,
            late_ms=self._late_ns / 1e6,
            overflowed=self._inbox.full,
        )


def main() -> None:
    lines = Lines()
    live = msgspec.json.decode(lines.wait(), type=Live)
    hall = Hall(live, lines)
    _say(f"ready {hall.media.port} {hall.keys.port}")
    gc.collect()
    gc.disable()
    told = hall.serve()
    gc.enable()
    if told:
        happened = msgspec.json.decode(told, type=Happened)
        _say(msgspec.json.encode(judge(live, hall.capture(), happened)).decode())


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
