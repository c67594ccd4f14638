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
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from mixer import __version__
from mixer.batch import Batch, Fanout
from mixer.certificate import Identity, load
from mixer.codecs import available
from mixer.config import MixerConfig
from mixer.crew import Crew
from mixer.engine import Engine
from mixer.ledger import KeyLedger, LedgerError
from mixer.ledgerfile import default_path, open_ledger
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
    PlayStart,
    PortError,
    RecordStart,
    RecordStop,
    Refusal,
    Reply,
    Tone,
)
from mixer.ports import Ports
from mixer.stages import Lateness, Stages
from mixer.studio import Studio
from mixer.timer import Timer
from mixer.udp import Receiver

SMALL_BUFFER: Final = 4 << 20
"""With less receive buffer than this the sockets are emptied three times a tick: 2,000 legs fill 1.5 MB in 20 ms.
Else once is enough, and cheapest: a step of a packet's way costs as much for a hundred packets as for ten."""
PAGE: Final = 128
"""Legs shown between two breaths."""
LEAD_NS: Final = 1_000_000
"""The sockets are emptied so long before a tick, and as long as it took lately."""
FORGET: Final = 0.98
"""How much of the longest time it took is remembered at each time."""
CATCH_UP: Final = 5
"""Ticks run at once after a stall; more are skipped."""
BATCHES: Final = 16
"""Batches taken from the sockets in one drain at most, so that a flood can't hold up a tick."""

log = structlog.get_logger("mixer")


class Service:
    """Runs one engine.

    Raises:
        LedgerError: if the configured ledger can't be used.
        CertificateError: if the configured certificate can't be used.
        UdpError: from `start`, if the media ports can't be had.
    """

    def __init__(self, config: MixerConfig) -> None:
        self.config = config
        self.stages = Stages(time.perf_counter_ns)
        self.lateness = Lateness()
        self._crew = Crew(config.codec_threads)
        self.engine = Engine(
            config,
            lap=self.stages.lap,
            ledger=_ledger(config.ledger),
            identity=_identity(config),
            spread=self._crew,
        )
        self.studio = Studio(config, self.engine)
        self._receiver = Receiver(Batch())
        self._ports: Ports | None = None
        self._subscribers: list[Callable[[Event], None]] = []
        self._timer: Timer | None = None
        self._origin_ns = 0
        self._tick_ns = config.tick_ms * 1_000_000
        self._emptied = 0
        """How often the sockets were emptied since the last tick."""
        self._emptying_ns = 0
        """How long that took lately."""
        self.faults = 0
        """Exceptions that reached the outer edge; each is a bug."""

    # -- life ---------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the media ports and begin to tick."""
        self._ports = Ports(self.config)
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
        self.ports.close()
        self._tell(await self.studio.close())
        self.engine.close()
        self._crew.close()
        gc.enable()

    async def drain(self) -> None:
        """Refuse newcomers and say goodbye to every leg."""
        self.engine.refuse_newcomers()
        for conference in self.engine.conferences():
            await self._empty(conference)
        self.engine.drain()

    @property
    def ports(self) -> Ports:
        """The open media ports, once started."""
        if self._ports is None:
            raise RuntimeError("the service has not been started")
        return self._ports

    @property
    def port(self) -> int:
        """The shared media port."""
        return self.ports.shared

    # -- the loop -----------------------------------------------------------------------------

    def _wake(self) -> None:
        assert self._timer is not None
        self._timer.acknowledge()
        deadline = self._deadline()
        tick_is_due = time.monotonic_ns() >= deadline
        if tick_is_due:
            self._give_up()
        # A tick begins on time because the sockets were emptied before; if that was missed, it is done first. So it is
        # if more than one tick is due: what the later ones play has arrived since.
        if not tick_is_due or self._emptied < len(self._moments()) or self._behind() > 0:
            self._guard(self._empty_sockets)
        if tick_is_due:
            self._guard(partial(self._tick, deadline))
            self._emptied = 0
        else:
            self._emptied += 1
        moments = [*self._moments(), 0]
        self._timer.set(self._deadline() - moments[min(self._emptied, len(moments) - 1)])

    def _moments(self) -> tuple[int, ...]:
        """When the sockets are emptied: nanoseconds before each tick."""
        before = min(self._tick_ns * 2 // 5, LEAD_NS + self._emptying_ns)
        if self.ports.granted_rcvbuf < SMALL_BUFFER:
            return (self._tick_ns * 3 // 4, (self._tick_ns + before) // 2, before)
        return (before,)

    def _deadline(self) -> int:
        """When the next tick is due, CLOCK_MONOTONIC."""
        return self._origin_ns + (self.engine.frame + 1) * self._tick_ns

    def _behind(self) -> int:
        """Ticks that are due besides the next one; negative before it is due."""
        return (time.monotonic_ns() - self._deadline()) // self._tick_ns

    def _give_up(self) -> None:
        """Give up the oldest of too many ticks that are due, before anything is read: what arrived since counts from
        the new origin."""
        behind = self._behind()
        if behind > CATCH_UP:
            self._skip(behind - CATCH_UP)

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
        took = time.monotonic_ns() - begin
        self._emptying_ns = max(took, int(self._emptying_ns * FORGET))

    def _take_batches(self) -> None:
        batch = self._receiver.batch
        for _ in range(BATCHES):
            batch.count = 0
            self.ports.fill(self._receiver, self._origin_ns)
            self.stages.lap("receive")
            if not batch.count:
                return
            self.engine.receive(batch)
            if batch.count < batch.rows:
                return

    def _tick(self, deadline: int) -> None:
        self.lateness.note(time.monotonic_ns() - deadline)
        self._give_up()
        for _ in range(min(self._behind(), CATCH_UP) + 1):
            self.stages.begin()
            self._send(self.engine.tick())
            self.stages.lap("send")
            self._tell(self.studio.after_tick())
        self._tell(self.engine.events())
        if self.engine.frame % (1000 // self.config.tick_ms) == 0:
            self._keep_house()

    def _skip(self, ticks: int) -> None:
        """Give up ticks: the engine's clock stands still, and its origin moves."""
        self._origin_ns += ticks * self._tick_ns
        self.engine.skip(ticks)
        self.engine.set_wall_clock(time.time() + (self._origin_ns - time.monotonic_ns()) / 1e9)
        self.lateness.skipped += ticks
        self.studio.recorder.skip(ticks * self.config.tick_ms)
        self._tell([Overrun(ticks=ticks)])

    def _send(self, fanouts: list[Fanout]) -> None:
        for fanout in fanouts:
            self.ports.send(fanout)

    def _keep_house(self) -> None:
        gc.collect(1)
        for local, leg in self.ports.of_legs():
            if not self.engine.owns_port(leg, local):
                self.ports.drop(local)

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
        if isinstance(command, PlayStart) and command.file is not None:
            return await self.studio.play(command)
        if isinstance(command, RecordStart):
            return await self.studio.record(command)
        if isinstance(command, RecordStop):
            return self.studio.stop_recording(command)
        reply = self.engine.apply(command)
        if isinstance(reply, LegAdded):
            reply = msgspec.structs.replace(reply, port=self.port)
        return reply

    async def _empty(self, conference: str) -> None:
        """Remove the legs of a conference in small steps: thousands at once would make a tick late."""
        self.engine.part(conference)
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
        pair = self.ports.pair(command.leg)
        if pair is None:
            raise PortError(Refusal.LIMIT, "no free pair of ports left; widen `leg_ports`")
        try:
            reply = self.engine.apply(command)
        except PortError:
            for port in pair:
                port.close()
            raise
        self.ports.adopt(self.engine.local_port_of(command.leg), *pair)
        assert isinstance(reply, LegAdded)
        return msgspec.structs.replace(reply, port=pair[0].number)

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Have a function called with every event; returns what ends it."""
        self._subscribers.append(callback)

        def unsubscribe() -> None:
            with contextlib.suppress(ValueError):
                self._subscribers.remove(callback)

        return unsubscribe

    def _tell(self, events: Sequence[Event]) -> None:
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
            "bridged": engine.bridged_count,
            "group_keys": engine.group_keys_count,
            "plays": engine.plays_count,
            "records": engine.records_count,
            "record_lost_ms": self.studio.recorder.lost_ms,
            "port": self.port,
            "received": engine.tally.received,
            "accepted": engine.tally.accepted,
            "passed": engine.tally.passed,
            "drops": engine.tally.drops(),
            "decodes": counters.decodes,
            "encodes": counters.encodes,
            "encode_failures": counters.encode_failures,
            "encrypts": counters.encrypts,
            "common_encodes": counters.common_encodes,
            "common_encrypts": counters.common_encrypts,
            "packets_sent": counters.packets_sent,
            "unsent": self.ports.unsent,
            "late_ticks": self.lateness.late,
            "skipped_ticks": self.lateness.skipped,
            "lateness_ms": self.lateness.percentiles_ms(),
            "stages_us": self.stages.per_tick_us(engine.frame),
            "faults": self.faults,
            "granted_rcvbuf": self.ports.granted_rcvbuf,
            "dtls_fingerprint": engine.identity.fingerprint,
            "handshakes": engine.handshakes.done,
            "handshakes_failed": engine.handshakes.failed,
            "codecs": available(),
        }


def _ledger(where: str) -> KeyLedger:
    """The memory of keys sent under: on disk if it can be, and as configured."""
    if where == "none":
        return KeyLedger()
    if where != "auto":
        return open_ledger(Path(where))
    try:
        return open_ledger(default_path())
    except LedgerError as error:
        log.warning("keys are remembered for this life only; push fresh ones after a restart", reason=str(error))
        return KeyLedger()


def _identity(config: MixerConfig) -> Identity | None:
    """The operator's certificate; None for one of our own making."""
    if not (config.dtls_certificate or config.dtls_key):
        return None
    return load(Path(config.dtls_certificate), Path(config.dtls_key))


def _rehearse(config: MixerConfig) -> None:
    """Mix a little in an engine that is thrown away: what Python and numpy load on first use is loaded then."""
    engine = Engine(msgspec.structs.replace(config, max_legs=8))
    engine.apply(ConferenceCreate(conference="rehearsal"))
    for leg in ("a", "b"):
        engine.apply(LegAdd(conference="rehearsal", leg=leg, clear=True, remote="127.0.0.1:9"))
    engine.apply(PlayStart(play="rehearsal", conference="rehearsal", tones=(Tone(hz=440.0, ms=60),)))
    for _ in range(3):
        engine.tick()
    engine.drain()
    engine.tick()
    engine.close()
