"""The real policy in a made-up conference, on a virtual clock. No media, no keys, no sockets.

Knows: how long a KMS, a mixer, a network and a busy focus take. Must never know: what the policy will do.

The focus is one core with a queue: every message takes `World.c_msg` of it, and leaves when those before it have. So
a focus that is asked for more than it can do falls behind, acknowledgements come late, the policy sends again, and
all that is in the outcome. Everything else takes its time and nobody waits for it.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from math import inf
from time import thread_time_ns
from typing import Final

import numpy as np

from bench.rekey.churn import Trace
from bench.rekey.outcome import Meter, Outcome
from control.rekey.intentions import Activate, Deliver, Intention, Obtain, Ratchet
from control.rekey.policy import Policy
from control.rekey.settings import RekeySettings

AFTER_S: Final = 60.0
"""So long is a conference watched after the last member has left."""


@dataclass(frozen=True, slots=True)
class World:
    """How long things take, in seconds, and what share of messages is lost on each way."""

    kms: float = 0.005
    """A key is made."""
    mixer: float = 0.015
    """The mixer has done a command, and said so: the wait for a tick of 20 ms, on average, and some."""
    rtt: float = 0.1
    """From the focus to a member and back, on average: each message takes half to one and a half of it."""
    loss: float = 0.01
    c_msg: float = 40e-6
    """CPU of the focus for one delivery, acknowledgement included."""


@dataclass(slots=True)
class _Acks:
    """Acknowledgements of one delivery that will arrive, in order of time."""

    epoch: int
    times: list[float]
    names: list[str]
    at: int = 0


@dataclass(slots=True)
class _Answer:
    """The KMS or the mixer will answer."""

    kind: str
    cohort: int
    epoch: int


@dataclass
class Simulation:
    """One policy, one conference."""

    settings: RekeySettings
    trace: Trace
    world: World
    seed: int
    ratchets: bool = True
    """Members can."""
    end: float = inf
    """When the conference is over: who leaves later is one of the last burst."""
    policy: Policy = field(init=False)
    meter: Meter = field(init=False)

    def __post_init__(self) -> None:
        self.policy = Policy(self.settings)
        self.meter = Meter(float(self.trace.time[-1]))
        self._rng = np.random.default_rng(self.seed)
        self._heap: list[tuple[float, int, _Acks | _Answer]] = []
        self._count = 0
        self._free_at = 0.0
        self._stands = (0, 0)
        self._cpu_ns = 0
        self._calls = 0
        self._said: list[Intention] = []

    def run(self, strategy: str, *, series: bool = False) -> Outcome:
        """Play it to the end."""
        times, joins = self.trace.time.tolist(), self.trace.joins.tolist()
        names = [f"m{stay}" for stay in self.trace.stay.tolist()]
        sizes = self.trace.sizes().tolist()
        for at, time in enumerate(times):
            self._pass(time)
            begin = thread_time_ns()
            if joins[at]:
                self.policy.join(names[at], ratchets=self.ratchets, now=time)
            else:
                self.policy.leave(names[at], now=time)
            self._charge(begin)
            self.meter.counted(time, sizes[at])
            self._carry_out(time)
        self._pass(times[-1] + AFTER_S)
        return self._outcome(strategy, series)

    # -- time ---------------------------------------------------------------------------------

    def _pass(self, until: float) -> None:
        """Let everything happen that happens until then."""
        policy, heap = self.policy, self._heap
        while True:
            due = policy.due()
            alarm = inf if due is None else due
            event = heap[0][0] if heap else inf
            now = min(alarm, event)
            if now > until:
                return
            begin = thread_time_ns()
            if event <= alarm:
                now = self._happen(min(until, alarm))
            else:
                policy.advance(now)
            self._charge(begin)
            self._carry_out(now)

    def _happen(self, until: float) -> float:
        """The next event; of acknowledgements, as many as come before anything else. Returns the time."""
        now, _, what = heapq.heappop(self._heap)
        if isinstance(what, _Answer):
            answer = self.policy.key_ready if what.kind == "made" else self.policy.switched
            answer(what.cohort, what.epoch, now)
            return now
        return self._acknowledge(what, min(until, self._heap[0][0] if self._heap else inf))

    def _acknowledge(self, acks: _Acks, until: float) -> float:
        """Hand acknowledgements to the policy until it says something."""
        acked, said = self.policy.acked, self.policy.intentions
        epoch, times, names, at = acks.epoch, acks.times, acks.names, acks.at
        begun, count = at, len(times)
        now = times[at]
        while at < count and times[at] <= until:
            now = times[at]
            acked(names[at], epoch, now)
            at += 1
            if spoken := said():
                self._said = spoken
                break
        acks.at = at
        self._calls += at - begun
        if at < count:
            self._push(times[at], acks)
        return now

    def _charge(self, begin_ns: int) -> None:
        self._cpu_ns += thread_time_ns() - begin_ns
        self._calls += 1

    # -- what the policy wants ----------------------------------------------------------------

    def _carry_out(self, now: float) -> None:
        said, self._said = self._said or self.policy.intentions(), []
        if not said:
            return
        for intention in said:
            match intention:
                case Deliver(_, epoch, members, attempt):
                    self._send(epoch, members, attempt, now)
                case Obtain(cohort, epoch):
                    self._push(now + self.world.kms + self.world.mixer, _Answer("made", cohort, epoch))
                case Activate(cohort, epoch) | Ratchet(cohort, epoch):
                    self._push(now + self.world.mixer, _Answer("switched", cohort, epoch))
        self.meter.stood(now, *self._stands)
        facts = self.policy.facts(now)
        self._stands = facts.bridged, facts.cohorts if facts.mode == "group" else 0
        for exposure in self.policy.exposures():
            self.meter.ended(now, exposure.seconds)

    def _send(self, epoch: int, members: tuple[str, ...], attempt: int, now: float) -> None:
        """Messages leave one after the other; some of them, and of the answers, are lost."""
        world, rng, count = self.world, self._rng, len(members)
        self.meter.asked(now, count, again=attempt > 1)
        start = max(now, self._free_at)
        self._free_at = start + count * world.c_msg
        self.meter.waits(start - now)
        arrive = start + np.arange(1, count + 1) * world.c_msg + world.rtt * rng.uniform(0.5, 1.5, count)
        kept = np.flatnonzero(rng.random(count) < (1 - world.loss) ** 2)
        if len(kept):
            order = kept[np.argsort(arrive[kept], kind="stable")]
            acks = _Acks(epoch, arrive[order].tolist(), [members[row] for row in order.tolist()])
            self._push(acks.times[0], acks)

    def _push(self, when: float, what: _Acks | _Answer) -> None:
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, what))

    def _outcome(self, strategy: str, series: bool) -> Outcome:
        facts = self.policy.facts(float(self.trace.time[-1]) + AFTER_S)
        counts = facts.counts
        return self.meter.outcome(
            strategy,
            self.seed,
            self.end,
            series=series,
            how="policy",
            joins=counts.joins,
            leaves=counts.leaves,
            epochs=counts.epochs,
            policy_cpu_s=self._cpu_ns / 1e9,
            policy_calls=self._calls,
        )
