"""Verdict: is what the legs heard right, complete and in time?

Continuity and authenticity are judged for every packet of every leg, content and latency for a sample
of listeners and talkers spread over the conferences.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench import content, downlink, uplink
from bench.codec import Samples
from bench.continuity import continuity, lateness_ms
from bench.plan import TICK_NS, Plan

SAMPLE_CONFERENCES: Final = 8
REACH_NS: Final = 500_000_000
"""A mix that is later than this is not recognised."""

_WINDOW_MS: Final = 200


class Spread(msgspec.Struct, frozen=True):
    """Percentiles of a time in milliseconds."""

    p50: float
    p99: float
    max: float


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the generator found. Counts are of the window, over all legs."""

    sent: int
    """Packets sent by all legs, warm-up included."""
    received: int
    lost: int
    duplicates: int
    disordered: int
    gaps: int
    largest_gap_ms: float
    auth_failures: int
    rtcp: int
    stray: int
    mouth_to_ear_ms: Spread
    heard_db: float
    """The faintest talker that a sampled leg ought to hear, against what it sent."""
    self_db: float
    """The loudest own voice that a sampled leg hears."""
    rest_db: float
    """The loudest remainder that no talker explains, against the mix."""
    late_ms: Spread
    """How late the generator itself was."""
    arrival_ms: Spread = Spread(0.0, 0.0, 0.0)
    """How late packets came, each against the earliest of its leg's stream."""
    octets: float = 0.0
    """In a packet that came, on average, RTP header and SRTP tag included."""
    problems: list[str]
    """Why the content is wrong; empty if it is right."""


def spread(values_ms: NDArray[np.float64]) -> Spread:
    """Percentiles, zeros for no values."""
    if not len(values_ms):
        return Spread(0.0, 0.0, 0.0)
    p50, p99 = np.percentile(values_ms, [50, 99])
    return Spread(round(float(p50), 2), round(float(p99), 2), round(float(values_ms.max()), 2))


def judge(
    plan: Plan,
    got: downlink.Arrivals,
    said_ns: NDArray[np.int64],
    window_ns: tuple[int, int],
    late_ms: NDArray[np.float64],
) -> Verdict:
    """Judge a run.

    Args:
        said_ns: int64[ticks, slices], when each burst was sent.
        window_ns: first and last moment that count.
        late_ms: how late each burst was.
    """
    octets = round(float(got.length.mean()), 1) if len(got.length) else 0.0
    origin = downlink.open_all(plan, got)
    flow = continuity(got.leg, got.ssrc, got.sequence, got.arrival_ns, legs=plan.legs, window_ns=window_ns)
    ears = _Ears(plan, got, origin, said_ns, window_ns)
    for leg in sample(plan):
        ears.examine(leg)
    return Verdict(
        sent=plan.legs * plan.ticks,
        received=flow.packets,
        lost=flow.lost,
        duplicates=flow.duplicates,
        disordered=flow.disordered,
        gaps=flow.gaps,
        largest_gap_ms=round(flow.largest_gap_ms, 2),
        auth_failures=int((origin < 0).sum()),
        rtcp=got.rtcp,
        stray=got.stray,
        mouth_to_ear_ms=spread(np.concatenate([np.zeros(0), *ears.latencies_ms])),
        heard_db=round(min(ears.heard_db, default=0.0), 1),
        self_db=round(max(ears.self_db, default=-120.0), 1),
        rest_db=round(max(ears.rest_db, default=-120.0), 1),
        late_ms=spread(late_ms),
        octets=octets,
        arrival_ms=spread(lateness_ms(got.leg, got.ssrc, got.sequence, got.arrival_ns, window_ns=window_ns)),
        problems=ears.problems,
    )


def listen(
    plan: Plan,
    got: downlink.Arrivals,
    origin: NDArray[np.intp],
    said_ns: NDArray[np.int64],
    window_ns: tuple[int, int],
    legs: list[int],
) -> list[str]:
    """What is wrong with the content that some legs heard; `origin` as `downlink.open_all` returns it."""
    ears = _Ears(plan, got, origin, said_ns, window_ns)
    for leg in legs:
        ears.examine(leg)
    return ears.problems


def sample(plan: Plan) -> list[int]:
    """Legs to listen to: two talkers and two listeners (if there are) of up to eight conferences."""
    conference, member = plan.conference(), plan.member()
    chosen: list[int] = []
    for number in np.unique(np.linspace(0, plan.conferences - 1, SAMPLE_CONFERENCES).astype(int)):
        legs = np.flatnonzero(conference == number)
        last = int(member[legs[-1]])
        places = {0, min(1, last), min(plan.talkers, last), last}
        chosen.extend(int(legs[0]) + place for place in sorted(places))
    return chosen


class _Ears:
    """Listens as some legs did, and gathers what it finds."""

    def __init__(
        self,
        plan: Plan,
        got: downlink.Arrivals,
        origin: NDArray[np.intp],
        said_ns: NDArray[np.int64],
        window_ns: tuple[int, int],
    ) -> None:
        self._plan = plan
        self._got = got
        self._origin = origin
        self._said_ns = said_ns
        self._counts = (origin >= 0) & (got.arrival_ns >= window_ns[0]) & (got.arrival_ns < window_ns[1])
        self._rank = uplink.talker_rank(plan)
        self._conference = plan.conference()
        self.latencies_ms: list[NDArray[np.float64]] = []
        self.heard_db: list[float] = []
        self.self_db: list[float] = []
        self.rest_db: list[float] = []
        self.problems: list[str] = []
        self._said: dict[int, Samples] = {}

    def examine(self, leg: int) -> None:
        """Judge what one leg heard."""
        rows = np.flatnonzero(self._counts & (self._got.leg == leg))
        mix, heard_ns = downlink.audio(self._plan, self._got, np.stack([rows, self._origin[rows]], axis=1))
        # A constant is no sound. In A-law silence is no zero, and a mixer may add up everybody's.
        mix = mix - mix.mean() if len(mix) else mix
        if len(mix) < self._window:
            self.problems.append(f"leg {leg} heard next to nothing")
            return
        talkers = np.flatnonzero((self._conference == self._conference[leg]) & (self._rank >= 0))
        found = [self._find(leg, int(talker), mix, heard_ns) for talker in talkers if talker != leg]
        rest = content.without(mix, found, self._window)
        if self._rank[leg] >= 0:
            self._own_voice(leg, rest)
        if found:
            self._remainder(leg, mix, rest)

    @property
    def _window(self) -> int:
        return self._plan.coder.rate * _WINDOW_MS // 1000

    def _find(self, leg: int, talker: int, mix: Samples, heard_ns: NDArray[np.int64]) -> tuple[Samples, content.Found]:
        samples = self._plan.coder.rate // 50
        said_ns = self._said_ns[:, self._plan.slice_of()[talker]]
        source = self._voice(talker)
        first = np.arange(0, len(mix) - self._window + 1, self._window) // samples
        earliest = (heard_ns[first] - REACH_NS - said_ns[0]) * samples // TICK_NS
        reach = REACH_NS * samples // TICK_NS
        found = content.find(mix, source, window=self._window, earliest=earliest, reach=reach)
        late = content.latencies_ns(found, self._window, samples, heard_ns, said_ns)
        self.latencies_ms.append(late / 1e6)
        self.heard_db.append(found.gain_db)
        if found.gain_db < self._plan.coder.heard_limit_db:
            self.problems.append(
                f"leg {leg} hears talker {talker} at {found.gain_db:.1f} dB "
                f"in {len(found.gain)} of {found.windows} windows"
            )
        return source, found

    def _own_voice(self, leg: int, rest: Samples) -> None:
        own = self._voice(leg)
        # Only the part of it that fell into the window can be in the rest.
        part = float(20 * np.log10(len(own) / len(rest)))
        level = content.strongest_db(rest, own) + part
        self.self_db.append(level)
        if level > max(content.SELF_LIMIT_DB, content.by_chance_db(rest, own) + part):
            self.problems.append(f"leg {leg} hears itself at {level:.1f} dB")

    def _remainder(self, leg: int, mix: Samples, rest: Samples) -> None:
        level = content.window_level_db(rest, mix, self._window)
        self.rest_db.append(level)
        if level > self._plan.coder.rest_limit_db:
            self.problems.append(f"leg {leg} hears something that no talker said, {level:.1f} dB in its mix")

    def _voice(self, talker: int) -> Samples:
        """What the codec alone makes of a talker."""
        if talker not in self._said:
            packets = self._plan.coder.packets(uplink.voice(self._plan, int(self._rank[talker])))
            self._said[talker] = self._plan.coder.sound([np.frombuffer(packet, np.uint8) for packet in packets])
        return self._said[talker]
