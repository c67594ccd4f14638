"""Strategies as models of events: what the policy cannot be configured to, and what is too large to play.

Knows: joins, leaves and how long a distribution takes. Must never know: members one by one, the policy.

    unique      an own key for everybody: nothing is ever rekeyed
    none        one group key, from the first packet to the last
    naive       every join and every leave is a new key for all who are there, at once
    throttle    one group; the law of the policy without a bridge, as `laws` has it, but event by event
    debounce    one group; a rekey waits until nobody has left for a while
    tree        one group with a key tree (LKH, RFC 2627): a new key for each leave

A model counts what is asked for. Its focus is the one core of `simulate`: distributions queue.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from bench.rekey import laws
from bench.rekey.churn import Trace
from bench.rekey.outcome import Meter, Outcome
from bench.rekey.simulate import World
from control.rekey.epochs import STEP_MAX
from control.rekey.settings import RekeySettings

_DEFAULTS = RekeySettings()


@dataclass
class Model:
    """One group through one conference. Subclasses say what an event does."""

    trace: Trace
    world: World
    seed: int
    end: float = inf
    meter: Meter = field(init=False)
    size: int = 0
    epochs: int = 0
    multicast: int = 0

    def __post_init__(self) -> None:
        self.meter = Meter(float(self.trace.time[-1]))
        self._free_at = 0.0
        self._exposed: list[float] = []

    def run(self, strategy: str, *, series: bool = False) -> Outcome:
        """Play it to the end."""
        meter, last = self.meter, float(self.trace.time[-1])
        for now, joins, size in zip(
            self.trace.time.tolist(), self.trace.joins.tolist(), self.trace.sizes().tolist(), strict=True
        ):
            self.pass_time(now)
            self.size = size
            meter.stood(now, *self.stands())
            meter.counted(now, size)
            if joins:
                self.joined(now)
            else:
                self.left(now)
        self.cover(last)
        return self._outcome(strategy, series)

    def stands(self) -> tuple[int, int]:
        """Legs on own keys, cohorts under group keys, until the event that comes now."""
        return 0, 1

    def pass_time(self, now: float) -> None:
        """Do what was due before."""

    def joined(self, now: float) -> None:
        """A member came: it is sent the key."""
        self.meter.asked(now, 1)

    def left(self, now: float) -> None:
        """A member left."""
        self._exposed.append(now)

    def distribute(self, now: float) -> float:
        """A fresh key for all who are there; returns when it comes into use."""
        self.epochs += 1
        self.meter.asked(now, self.size)
        ready = now + self.world.kms + self.world.mixer
        begin = max(ready, self._free_at)
        self.meter.waits(begin - ready)
        self._free_at = begin + self.size * self.world.c_msg
        return self._free_at + self.tail() + self.world.mixer

    def tail(self) -> float:
        """From the last message to the last acknowledgement: the slowest, or the last that was repeated."""
        copies = (0.0, *_DEFAULTS.retransmit)
        for number, offset in enumerate(copies, 1):
            if laws.unacked(self.size, self.world.loss, number) < 0.5:
                return offset + 1.5 * self.world.rtt
        return _DEFAULTS.ack_timeout

    def cover(self, when: float) -> None:
        """Who has left up to now can listen until then, and no longer."""
        for left in self._exposed:
            self.meter.ended(when, when - left)
        self._exposed.clear()

    def _outcome(self, strategy: str, series: bool) -> Outcome:
        return self.meter.outcome(
            strategy,
            self.seed,
            self.end,
            series=series,
            how="model",
            joins=self.trace.stays,
            leaves=self.trace.stays,
            epochs=self.epochs,
            multicast=self.multicast,
        )


class Unique(Model):
    """An own key for everybody: it came with the signalling, so nothing is delivered."""

    _before = 0

    def stands(self) -> tuple[int, int]:
        return self._before, 0

    def joined(self, now: float) -> None:
        self._before = self.size

    def left(self, now: float) -> None:
        self._before = self.size
        self.meter.ended(now, 0.0)


class Naive(Model):
    """Whoever comes or goes, all get a new key, at once and one after the other."""

    def joined(self, now: float) -> None:
        self.distribute(now)

    def left(self, now: float) -> None:
        when = self.distribute(now)
        self.meter.ended(when, when - now)


@dataclass
class Throttle(Model):
    """The policy's law for one group without a bridge: the first leave fires, the next not before a pause."""

    pause: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._fires, self._switch = inf, inf
        self._fired = -inf
        self._sent: list[float] = []
        self._steps, self._stepped = STEP_MAX, -inf
        self._rotates = inf

    def pass_time(self, now: float) -> None:
        while (next_at := min(self._fires, self._switch, self._rotates)) <= now:
            if next_at == self._switch:
                self._switched(next_at)
            else:
                self._fire(next_at)

    def _fire(self, now: float) -> None:
        self._fires, self._rotates, self._fired = inf, inf, now
        self._sent, self._exposed = self._exposed, []
        self._switch = self.distribute(now)
        lost = laws.unacked(self.size, self.world.loss, 1)
        self.meter.asked(now, round(lost), again=True)

    def _switched(self, now: float) -> None:
        self._switch, self._steps = inf, 0
        for left in self._sent:
            self.meter.ended(now, now - left)
        self._sent = []
        self._rotates = now + _DEFAULTS.epoch_max_age
        if self._exposed:
            self._fires = max(now, self._fired + self.pause)

    def joined(self, now: float) -> None:
        """One message, and a step of the ratchet for all who come within a tenth of a second."""
        busy = self._switch < inf or self._exposed
        if busy:
            return  # it is given the key that comes
        self.meter.asked(now, 1)
        if now - self._stepped > _DEFAULTS.join_coalesce:
            self._stepped, self._steps = now, self._steps + 1
        if self._steps > STEP_MAX:
            self._fires = max(now, self._fired + self.pause)

    def left(self, now: float) -> None:
        super().left(now)
        if self._switch == inf:
            self._fires = min(self._fires, max(now, self._fired + self.pause))
            self.pass_time(now)


@dataclass
class Debounce(Model):
    """A rekey waits for a time without a leave."""

    quiet: float = 5.0
    first_wait: float = inf
    """How long the very first leaver waited."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._fires = inf

    def pass_time(self, now: float) -> None:
        if self._fires <= now:
            when, self._fires = self._fires, inf
            self.first_wait = min(self.first_wait, when - self._exposed[0]) if self.epochs == 0 else self.first_wait
            self.cover(self.distribute(when))

    def left(self, now: float) -> None:
        super().left(now)
        self._fires = now + self.quiet


@dataclass
class Tree(Model):
    """A key tree: few keys are encrypted for a leave, and over unicast all members must be sent them all the same."""

    degree: int = 4

    def left(self, now: float) -> None:
        when = self.distribute(now)
        self.multicast += laws.tree_messages(self.size, self.degree)[0]
        self.meter.ended(when, when - now)
