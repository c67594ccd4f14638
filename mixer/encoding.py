"""Encoders of codecs with memory: one for each thing that is heard, and none for what is silent.

    common      a stream's encoder: one packet for all its listeners
    own         of legs that hear something of their own, while they do: the mix without itself, or a prompt

A receiver must not hear that it is handed from one encoder to another. So a leg's own encoder takes over from
that of its stream, state and all; and a stream's that nobody listened to takes over from a listener who returns.
Legs that began together and hear the same, a prompt that is played to some, share one until they do not.

Some codecs cannot do that (`Coder.seamless`): their encoder and the receiver's decoder adapt to what was said before,
and come together again in silence only. There a leg that had an encoder of its own lingers on it until a pause.

A conference is silent most of the time: an encoder at rest is not called, and its last packet is sent again, until
there is sound. Nor is one called for what it said before to others (`pens`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixer.codecs import CODECS, Coder
from mixer.counters import Counters
from mixer.legs import Leg
from mixer.memo import Memo
from mixer.pens import Pen
from mixer.plans import Plan
from mixer.samples import Samples
from mixer.spread import Spread
from mixer.state import State
from mixer.streams import Format

LINGER_MS: Final = 20_000
"""A leg waits so long for a pause, and is then handed back all the same: each that lingers costs an encode a packet."""
KEPT_MS: Final = 1000
"""An own encoder that was not needed for so long is let go."""

Rows = NDArray[np.int64]


@dataclass(slots=True)
class Hold:
    """Whoever has a pen: a stream, or a leg.

    Attributes:
        leg: whose own it is, None for all who hear the common mix.
        until: time of the last packet that it wrote for it, ms on the engine's clock.
    """

    pen: Pen
    leg: Leg | None
    until: int = -KEPT_MS


class _Beginning(NamedTuple):
    """Where a leg's own encoder begins: those that begin alike write alike.

    Attributes:
        heard: the receiver has heard the common one until now.
    """

    form: Format
    heard: bool


class Encoding:
    """Encodes for all streams and legs."""

    def __init__(self, state: State, spread: Spread, counters: Counters) -> None:
        self._state, self._spread, self._counters = state, spread, counters
        self._common: dict[Format, Hold] = {}
        """Not by stream: when the leading one ends, its encoder goes on for the next."""
        self._own: dict[int, Hold] = {}
        """By leg row."""
        self._memo = Memo()
        self._asking = np.array([isinstance(c, Coder) and c.requests for c in CODECS])

    def lingers(self, plan: Plan) -> NDArray[np.bool_]:
        """bool[n], legs of a plan that must not be handed back yet, and are on an unbroken stream."""
        legs = self._state.legs
        lately = self._state.frame - legs.apart[plan.leg] < self._state.ticks(LINGER_MS)
        lingers: NDArray[np.bool_] = legs.unsettled[plan.leg] & legs.hopped[plan.leg] & ~plan.minus & lately
        return lingers

    def encode(self, plan: Plan, streams: Rows, legs: Rows, audio: Samples, begin: int) -> list[bytes]:
        """Encode what is heard in one packet time.

        Args:
            streams: int64[q], the leading stream of each, all of one codec.
            legs: int64[q], whose own it is, -1 for common ones.
            audio: int16[q, samples] or int16[q, samples, 2].
            begin: time of the first sample, ms on the engine's clock.
        """
        holds = self._holds(streams, legs, begin - plan.ptime)
        _part([hold for hold in holds if hold.leg], audio[legs >= 0])
        pens = [hold.pen for hold in holds]
        self._heed_requests(plan, streams, legs, pens)
        self._write(pens, audio, legs)
        for leg, hold in zip(legs.tolist(), holds, strict=True):
            hold.until = begin
            if leg >= 0:
                self._state.legs.unsettled[leg] = not self._settled(hold)
        return [pen.last for pen in pens]

    def rests(self, plan: Plan, stream: int, leg: int, begin: int) -> bool:
        """True, and a packet time is over, if what is heard has been silent for so long that its encoder need not
        be called. Before that it must be: it and the receiver's decoder come to rest together."""
        hold = self._common.get(self._state.streams.form(stream)) if leg < 0 else self._own.get(leg)
        if hold is None or not hold.pen.rests or hold.until != begin - plan.ptime:
            return False
        hold.until = begin
        if leg >= 0:
            self._state.legs.unsettled[leg] = not self._settled(hold)
        return True

    def forget(self) -> None:
        """Let go of encoders that nobody needs any more. To be called every tick."""
        if self._state.frame % self._state.ticks(KEPT_MS) == 0:
            now = self._state.elapsed_ms
            self._own = {leg: hold for leg, hold in self._own.items() if now - hold.until < KEPT_MS}
            self._common = {form: hold for form, hold in self._common.items() if self._state.streams.has(form)}

    def _settled(self, own: Hold) -> bool:
        """True if a leg can be handed to the common encoder at any time: at rest, all agree."""
        form = own.pen.form
        common = self._common.get(form)
        current = common is not None and common.until >= own.until - form.ptime
        return own.pen.seamless or (own.pen.rests and not (common and current and not common.pen.rests))

    # -- which encoder ------------------------------------------------------------------------

    def _holds(self, streams: Rows, legs: Rows, before: int) -> list[Hold]:
        """Who is to write. Legs that begin now, or leave a rest, have one pen for each format so far."""
        own = set(legs.tolist())
        begun: dict[_Beginning, Pen] = {}
        resting: dict[int, Pen] = {}
        holds = []
        table = self._state.streams
        forms = {stream: (table.form(stream), int(table.rate[stream])) for stream in set(streams.tolist())}
        for stream, leg in zip(streams.tolist(), legs.tolist(), strict=True):
            form, rate = forms[stream]
            if leg < 0:
                holds.append(self._of_stream(form, rate, before, own))
                continue
            hold = self._of_leg(leg, form, rate, before, begun)
            if hold.pen.rests:
                hold.pen = resting.setdefault(stream, hold.pen)
            holds.append(hold)
        return holds

    def _of_stream(self, form: Format, rate: int, before: int, own: set[int]) -> Hold:
        hold = self._common.get(form)
        if hold is None or not hold.pen.writes(form, rate):
            hold = self._common[form] = Hold(Pen.new(form, rate), None)
        if hold.until < before:
            for leg, other in self._own.items():
                if other.pen.writes(form, rate) and other.until == before and leg not in own:
                    hold.pen.take_over(other.pen)
                    break
        return hold

    def _of_leg(self, leg: int, form: Format, rate: int, before: int, begun: dict[_Beginning, Pen]) -> Hold:
        owner, hold = self._state.legs.at(leg), self._own.get(leg)
        if hold and hold.leg is owner and hold.pen.writes(form, rate) and hold.until == before:
            return hold
        common = self._common.get(form)
        heard = bool(common and self._heard_common(leg) and common.pen.writes(form, rate) and common.until == before)
        beginning = _Beginning(form, heard=heard)
        if beginning not in begun:
            begun[beginning] = pen = Pen.new(form, rate)
            if common and heard:
                pen.take_over(common.pen)
        hold = self._own[leg] = Hold(begun[beginning], owner)
        return hold

    def _heard_common(self, leg: int) -> bool:
        """False of who was sent nothing yet, or was apart all along: keys, say, or nothing for a while."""
        legs = self._state.legs
        return bool(legs.sent[leg] and not (legs.alone[leg] and legs.hopped[leg]))

    # -- how it is written --------------------------------------------------------------------

    def _heed_requests(self, plan: Plan, streams: Rows, legs: Rows, pens: list[Pen]) -> None:
        """Let encoders with modes write the lowest that any of their listeners asks for (RFC 4867 section 4.3.1)."""
        if not self._asking[self._state.streams.codec[streams[0]]]:
            return
        asked = self._state.legs.asked
        modes: dict[Pen, list[int]] = {pen: [] for pen in pens}
        for stream, leg, pen in zip(streams.tolist(), legs.tolist(), pens, strict=True):
            modes[pen] += (asked[[leg]] if leg >= 0 else asked[plan.leg[plan.sound == stream]]).tolist()
        for pen, some in modes.items():
            pen.ask(min((mode for mode in some if mode >= 0), default=None))

    def _write(self, pens: list[Pen], audio: Samples, legs: Rows) -> None:
        """Have each pen write what is not known yet."""
        alone = (legs >= 0) & self._state.legs.alone[legs]
        said = {pen: (sound, lone) for pen, sound, lone in zip(pens, audio, alone.tolist(), strict=True)}
        new = [(pen, sound) for pen, (sound, lone) in said.items() if not pen.hear(sound, self._memo if lone else None)]
        self._spread(_encode, new)
        for pen, _ in new:
            if pen.said:
                self._memo.put(pen.said, pen.last)
            self._counters.encode_failures += pen.failures
            pen.failures = 0
        common = {pen for pen, leg in zip(pens, legs.tolist(), strict=True) if leg < 0}
        self._counters.encodes += len(new)
        self._counters.common_encodes += sum(pen in common for pen, _ in new)


def _part(holds: list[Hold], audio: Samples) -> None:
    """Give those who shared a pen, and are to hear different things now, one each for what they hear."""
    sharing = Counter(hold.pen for hold in holds)
    parted: dict[Pen, dict[bytes, Pen]] = defaultdict(dict)
    for hold, sound in zip(holds, audio, strict=True):
        # Who rests and is sent comfort noise may share it, too, and is not here.
        absent = hold.pen.rests and hold.pen.form.noise_type >= 0
        if absent or sharing[hold.pen] > 1:
            some, heard = parted[hold.pen], sound.tobytes()
            if heard not in some:
                some[heard] = hold.pen.fork() if some or absent else hold.pen
            hold.pen = some[heard]


def _encode(job: tuple[Pen, Samples]) -> None:
    pen, sound = job
    pen.write(sound)
