"""The service: an engine in the world. Sockets, the clock and the ticker live here and nowhere else.

    half a tick before, and just before a tick    empty the sockets into a batch, hand it to the engine
    every tick                                    tick, and send what it returns

Deadlines are absolute on CLOCK_MONOTONIC. A late tick is counted; after a long stall missed ticks are
run at once up to a bound, and the rest is skipped and said so. The garbage collector is frozen after the
start and runs between ticks.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import select
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import structlog

from mixer import __version__
from mixer.batch import Batch, Fanout
from mixer.config import MixerConfig
from mixer.engine import Engine
from mixer.port import (
    Command,
    ConferenceCreate,
    ConferenceDestroy,
    ConferenceShow,
    ConferenceStatus,
    Event,
    LegAdd,
    LegAdded,
    LegRemove,
    Overrun,
    PortError,
    Refusal,
    Reply,
)
from mixer.routes import FIRST_LEG_PORT
from mixer.stages import Lateness, Stages
from mixer.timer import Timer
from mixer.udp import Receiver, UdpError, UdpSocket

SMALL_BUFFER: Final = 4 << 20
"""With less receive buffer than this the sockets are emptied twice as often: 2,000 legs fill 1.5 MB in 20 ms."""
PAGE: Final = 128
"""Legs shown between two breaths."""
LEAD_NS: Final = 1_000_000
"""The sockets are emptied so long before a tick, and as long as it took last time."""
CATCH_UP: Final = 5
"""Ticks run at once after a stall; more are skipped."""
ANY_PORT_TRIES: Final = 100
BATCHES: Final = 16
"""Batches taken from the sockets in one drain at most, so that a flood can't hold up a tick."""

log = structlog.get_logger("mixer")


@dataclass(slots=True)
class _Port:
    """The sockets of one local port, one for each family."""

    sockets: dict[int, UdpSocket]
    leg: str = ""

    @property
    def number(self) -> int:
        return next(iter(self.sockets.values())).port

    def close(self) -> None:
        for one in self.sockets.values():
            one.close()


class Service:
    """Runs one engine.

    Raises:
        UdpError: from `start`, if the media ports can't be had.
    """

    def __init__(self, config: MixerConfig) -> None:
        self.config = config
        self.stages = Stages(time.perf_counter_ns)
        self.lateness = Lateness()
        self.engine = Engine(config, lap=self.stages.lap)
        self._receiver = Receiver(Batch())
        self._ports: dict[int, _Port] = {}
        self._ready = select.epoll()
        self._by_fd: dict[int, tuple[UdpSocket, int]] = {}
        self._subscribers: list[Callable[[Event], None]] = []
        self._timer: Timer | None = None
        self._origin_ns = 0
        self._tick_ns = config.tick_ms * 1_000_000
        self._emptied = 0
        """How often the sockets were emptied since the last tick."""
        self._emptying_ns = 0
        """How long that took last."""
        self._next_leg_port = config.leg_ports[0]
        self.faults = 0
        """Exceptions that reached the outer edge; each is a bug."""

    # -- life ---------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the media ports and begin to tick."""
        self._open_shared()
        _rehearse(self.config)
        self._origin_ns = time.monotonic_ns() + self._tick_ns
        self.engine.set_wall_clock(time.time() + (self._origin_ns - time.monotonic_ns()) / 1e9)
        self._timer = Timer()
        self._timer.set(self._origin_ns)
        asyncio.get_running_loop().add_reader(self._timer.fileno(), self._wake)
        gc.collect()
        gc.freeze()
        gc.disable()

    async def stop(self) -> None:
        """Say goodbye to every leg, send it, and close everything."""
        if self._timer is None:
            return
        self.engine.drain()
        self._tell(self.engine.events())
        self._send(self.engine.tick())
        asyncio.get_running_loop().remove_reader(self._timer.fileno())
        self._timer.close()
        self._timer = None
        for port in self._ports.values():
            port.close()
        self._ready.close()
        self.engine.close()
        gc.enable()

    async def drain(self) -> None:
        """Refuse newcomers and say goodbye to every leg."""
        self.engine.refuse_newcomers()
        for conference in self.engine.conferences():
            await self._empty(conference)
        self.engine.drain()

    @property
    def port(self) -> int:
        """The shared media port."""
        return self._ports[0].number

    def _open_shared(self) -> None:
        tries = ANY_PORT_TRIES if self.config.port == 0 else 1
        for left in reversed(range(tries)):
            port = self._open(self.config.port)
            try:
                if port.number % 2:
                    raise UdpError(f"port {port.number} is odd; RTP takes an even one and RTCP the next")
                self._ports = {0: port, 1: self._open(port.number + 1)}
                break
            except UdpError:
                port.close()
                if not left:
                    raise
        for local in (0, 1):
            self._watch(self._ports[local], local)

    def _open(self, number: int) -> _Port:
        """Sockets of both families, as configured, on one port number."""
        config, sockets = self.config, {}
        hosts = [(socket.AF_INET, config.host), (socket.AF_INET6, config.host6)]
        try:
            for family, host in hosts:
                if host:
                    one = UdpSocket(
                        family,
                        host,
                        number,
                        receive_buffer=config.receive_buffer,
                        send_buffer=config.send_buffer,
                    )
                    sockets[int(family)] = one
                    number = one.port
        except UdpError:
            for one in sockets.values():
                one.close()
            raise
        if not sockets:
            raise UdpError("neither `host` nor `host6` is set; the mixer needs one of them")
        return _Port(sockets)

    def _granted(self) -> int:
        """The receive buffer that the shared media port got, octets."""
        return min((one.granted_rcvbuf for one in self._ports[0].sockets.values()), default=0)

    def _watch(self, port: _Port, local: int) -> None:
        for one in port.sockets.values():
            self._ready.register(one.fileno(), select.EPOLLIN)
            self._by_fd[one.fileno()] = (one, local)

    def _unwatch(self, port: _Port) -> None:
        for one in port.sockets.values():
            self._ready.unregister(one.fileno())
            del self._by_fd[one.fileno()]
        port.close()

    # -- the loop -----------------------------------------------------------------------------

    def _wake(self) -> None:
        assert self._timer is not None
        self._timer.acknowledge()
        tick_is_due = time.monotonic_ns() >= self._deadline()
        # A tick begins on time because the sockets were emptied before; if that was missed, it is done first.
        if not tick_is_due or self._emptied < len(self._moments()):
            self._guard(self._empty_sockets)
        if tick_is_due:
            self._guard(self._tick)
            self._emptied = 0
        else:
            self._emptied += 1
        moments = [*self._moments(), 0]
        self._timer.set(self._deadline() - moments[min(self._emptied, len(moments) - 1)])

    def _moments(self) -> tuple[int, ...]:
        """When the sockets are emptied: nanoseconds before each tick."""
        before = min(self._tick_ns // 4, LEAD_NS + self._emptying_ns)
        if self._granted() < SMALL_BUFFER:
            return (self._tick_ns * 3 // 4, self._tick_ns // 2, before)
        return (self._tick_ns // 2, before)

    def _deadline(self) -> int:
        """When the next tick is due, CLOCK_MONOTONIC."""
        return self._origin_ns + (self.engine.frame + 1) * self._tick_ns

    def _guard(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception:  # the outer edge: a bug must not stop the clock
            self.faults += 1
            log.exception("fault in the media path", faults=self.faults)

    def _empty_sockets(self) -> None:
        """Everything that waits in the sockets goes to the engine."""
        begin = time.monotonic_ns()
        self.stages.begin()
        self._take_batches()
        self._emptying_ns = time.monotonic_ns() - begin

    def _take_batches(self) -> None:
        batch = self._receiver.batch
        for _ in range(BATCHES):
            batch.count = 0
            for fd, _events in self._ready.poll(0):
                one, local = self._by_fd[fd]
                self._receiver.fill(one, local, self._origin_ns)
            self.stages.lap("receive")
            if not batch.count:
                return
            self.engine.receive(batch)
            if batch.count < batch.rows:
                return

    def _tick(self) -> None:
        late = time.monotonic_ns() - self._deadline()
        self.lateness.note(late)
        behind = late // self._tick_ns
        if behind > CATCH_UP:
            self._skip(int(behind) - CATCH_UP)
        for _ in range(min(int(behind), CATCH_UP) + 1):
            self.stages.begin()
            self._send(self.engine.tick())
            self.stages.lap("send")
        self._tell(self.engine.events())
        if self.engine.frame % (1000 // self.config.tick_ms) == 0:
            self._keep_house()

    def _skip(self, ticks: int) -> None:
        """Give up ticks: the engine's clock stands still, and its origin moves."""
        self._origin_ns += ticks * self._tick_ns
        self.engine.set_wall_clock(time.time() + (self._origin_ns - time.monotonic_ns()) / 1e9)
        self.lateness.skipped += ticks
        self._tell([Overrun(ticks=ticks)])

    def _send(self, fanouts: list[Fanout]) -> None:
        for fanout in fanouts:
            for local, family, some in _by_socket(fanout):
                port = self._ports.get(local)
                if port and family in port.sockets:
                    port.sockets[family].send(some)

    def _keep_house(self) -> None:
        gc.collect(1)
        for local, port in list(self._ports.items()):
            if local >= FIRST_LEG_PORT and not self.engine.owns_port(port.leg, local):
                self._unwatch(self._ports.pop(local))

    # -- control ------------------------------------------------------------------------------

    async def apply(self, command: Command) -> Reply:
        """Put a command in force between two ticks.

        Raises:
            PortError: it was refused, and nothing has changed.
        """
        if isinstance(command, LegAdd) and command.own_port:
            return self._add_with_port(command)
        if isinstance(command, ConferenceDestroy):
            await self._empty(command.conference)
        if isinstance(command, ConferenceShow):
            return await self._show(command)
        reply = self.engine.apply(command)
        if isinstance(reply, LegAdded):
            reply = msgspec.structs.replace(reply, port=self.port)
        return reply

    async def _empty(self, conference: str) -> None:
        """Remove the legs of a conference in small steps: thousands at once would make a tick late."""
        for leg in self.engine.legs_of(conference):
            if self.engine.has_leg(leg):
                self.engine.apply(LegRemove(leg=leg))
            await asyncio.sleep(0)

    async def _show(self, command: ConferenceShow) -> Reply:
        """Show a large conference in small steps, for the same reason."""
        wanted = sys.maxsize if command.limit is None else command.limit
        shown: ConferenceStatus | None = None
        while True:
            done = len(shown.legs) if shown else 0
            page = msgspec.structs.replace(command, first=command.first + done, limit=min(PAGE, wanted - done))
            part = self.engine.apply(page)
            assert isinstance(part, ConferenceStatus)
            shown = msgspec.structs.replace(part, legs=[*shown.legs, *part.legs] if shown else part.legs)
            if len(part.legs) < PAGE or len(shown.legs) >= wanted:
                return shown
            await asyncio.sleep(0)

    def _add_with_port(self, command: LegAdd) -> Reply:
        port, rtcp = self._open_pair(command.leg)
        try:
            reply = self.engine.apply(command)
        except PortError:
            port.close()
            rtcp.close()
            raise
        local = self.engine.local_port_of(command.leg)
        for number, one in ((local, port), (local + 1, rtcp)):
            if number in self._ports:
                self._unwatch(self._ports.pop(number))
            self._ports[number] = one
            self._watch(one, number)
        assert isinstance(reply, LegAdded)
        return msgspec.structs.replace(reply, port=port.number)

    def _open_pair(self, leg: str) -> tuple[_Port, _Port]:
        first, last = self.config.leg_ports
        for _ in range(first, last + 1, 2):
            number = self._next_leg_port
            self._next_leg_port = number + 2 if number + 2 <= last else first
            with contextlib.suppress(UdpError):
                port = self._open(number)
                try:
                    rtcp = self._open(number + 1)
                except UdpError:
                    port.close()
                    raise
                port.leg = rtcp.leg = leg
                return port, rtcp
        raise PortError(Refusal.LIMIT, f"no free pair of ports in {first} to {last + 1}; widen `leg_ports`")

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Have a function called with every event; returns what ends it."""
        self._subscribers.append(callback)

        def unsubscribe() -> None:
            with contextlib.suppress(ValueError):
                self._subscribers.remove(callback)

        return unsubscribe

    def _tell(self, events: list[Event]) -> None:
        for event in events:
            for callback in self._subscribers[:]:
                callback(event)

    def info(self) -> dict[str, Any]:
        """State of the node, for `node.info`, metrics and `mrfp top`."""
        engine, counters = self.engine, self.engine.counters
        return {
            "version": __version__,
            "boot_id": engine.boot_id,
            "frame": engine.frame,
            "tick_ms": self.config.tick_ms,
            "draining": engine.draining,
            "legs": engine.legs_count,
            "conferences": engine.conferences_count,
            "port": self.port if 0 in self._ports else 0,
            "received": engine.tally.received,
            "accepted": engine.tally.accepted,
            "drops": engine.tally.drops(),
            "encodes": counters.encodes,
            "encrypts": counters.encrypts,
            "common_encodes": counters.common_encodes,
            "common_encrypts": counters.common_encrypts,
            "packets_sent": counters.packets_sent,
            "unsent": sum(one.unsent for port in self._ports.values() for one in port.sockets.values()),
            "late_ticks": self.lateness.late,
            "skipped_ticks": self.lateness.skipped,
            "lateness_ms": self.lateness.percentiles_ms(),
            "stages_us": self.stages.per_tick_us(engine.frame),
            "faults": self.faults,
            "granted_rcvbuf": self._granted(),
        }


def _rehearse(config: MixerConfig) -> None:
    """Mix a little in an engine that is thrown away: what Python and numpy load on first use is loaded then."""
    engine = Engine(msgspec.structs.replace(config, max_legs=8))
    engine.apply(ConferenceCreate(conference="rehearsal"))
    for leg in ("a", "b"):
        engine.apply(LegAdd(conference="rehearsal", leg=leg, clear=True, remote="127.0.0.1:9"))
    for _ in range(3):
        engine.tick()
    engine.drain()
    engine.tick()
    engine.close()


def _by_socket(fanout: Fanout) -> list[tuple[int, int, Fanout]]:
    """Split a fanout by local port and address family; nearly always it is one piece."""
    family = fanout.address[:, 0].astype(int)
    kind = fanout.local * 256 + family
    if not len(kind):
        return []
    first = int(kind[0])
    if (kind == first).all():
        return [(first >> 8, first & 255, fanout)]
    pieces = []
    for one in sorted(set(kind.tolist())):
        some = kind == one
        piece = Fanout(fanout.octets, fanout.length, fanout.packet[some], fanout.address[some], fanout.local[some])
        pieces.append((one >> 8, one & 255, piece))
    return pieces
