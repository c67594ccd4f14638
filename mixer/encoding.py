"""Encoders of codecs with memory: one for each thing that is heard, and none for what is silent.

    common      a stream's encoder: one packet for all its listeners
    own         of a leg that hears something of its own, while it does: the mix without itself

A receiver must not hear that it is handed from one encoder to another. So a leg's own encoder takes over from
that of its stream, state and all; and a stream's that nobody listened to takes over from a listener who returns.

Some codecs cannot do that (`Coder.seamless`): their encoder and the receiver's decoder adapt to what was said before,
and come together again in silence only. There a leg that had an encoder of its own lingers on it until a pause.

A conference is silent most of the time: an encoder that was given nothing but zeros for `SETTLED_MS` is not
called any more, and its last packet is sent again, until there is sound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer.codecs import CODECS, CodecError, Coder, Encoder
from mixer.counters import Counters
from mixer.legs import Leg
from mixer.plans import Plan
from mixer.samples import Samples
from mixer.spread import Spread
from mixer.state import State
from mixer.streams import Format

SETTLED_MS: Final = 400
LINGER_MS: Final = 20_000
"""A leg waits so long for a pause, and is then handed back all the same: each that lingers costs an encode a packet."""
KEPT_MS: Final = 1000
"""An own encoder that was not needed for so long is let go."""

Rows = NDArray[np.int64]


@dataclass(slots=True)
class Pen:
    """An encoder in use.

    Attributes:
        leg: whose own it is, None for all who hear the common mix.
        form, rate: what it writes, as `Streams.form` gives it, and Hz of what it is given.
        written: time of the packet that it wrote last, ms on the engine's clock.
        silent_ms: how long it was given nothing but zeros.
        failures: how often its library refused to encode.
    """

    encoder: Encoder
    leg: Leg | None
    form: Format
    rate: int
    seamless: bool
    written: int = -KEPT_MS
    silent_ms: int = 0
    last: bytes = b""
    failures: int = 0

    def write(self, samples: Samples, ptime: int) -> bytes:
        """The next packet. If the library refuses, the last one again: one encoder must not silence all others."""
        self.silent_ms = 0 if samples.any() else self.silent_ms + ptime
        if self.silent_ms <= SETTLED_MS or not self.last:
            try:
                self.last = self.encoder.encode(samples)
            except CodecError:
                self.failures += 1
        return self.last

    def writes(self, form: Format, rate: int) -> bool:
        """It was made for that format, in the present life of it, and that rate."""
        return self.form is form and self.rate == rate

    def take_over(self, other: Pen) -> None:
        """Go on where another stands."""
        self.encoder.take_over(other.encoder)
        self.silent_ms, self.last = other.silent_ms, other.last


class Encoding:
    """Encodes for all streams and legs."""

    def __init__(self, state: State, spread: Spread, counters: Counters) -> None:
        self._state, self._spread, self._counters = state, spread, counters
        self._common: dict[Format, Pen] = {}
        """Not by stream: when the leading one ends, its encoder goes on for the next."""
        self._own: dict[int, Pen] = {}
        """By leg row."""
        self._asking = np.array([isinstance(c, Coder) and c.requests for c in CODECS])

    def lingers(self, plan: Plan) -> NDArray[np.bool_]:
        """bool[n], legs of a plan that must not be handed back yet, and are on an unbroken stream."""
        legs = self._state.legs
        lately = self._state.frame - legs.talked[plan.leg] < self._state.ticks(LINGER_MS)
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
        before = begin - plan.ptime
        places = list(zip(streams.tolist(), legs.tolist(), strict=True))
        own = {leg for _, leg in places if leg >= 0}
        pens = [
            self._of_stream(stream, plan, before, own) if leg < 0 else self._of_leg(leg, stream, plan, before)
            for stream, leg in places
        ]
        self._heed_requests(plan, streams, legs, pens)
        payloads = self._spread(_write, [(pen, sound, plan.ptime) for pen, sound in zip(pens, audio, strict=True)])
        for leg, pen in zip(legs.tolist(), pens, strict=True):
            pen.written = begin
            self._counters.encode_failures += pen.failures
            pen.failures = 0
            if leg >= 0:
                self._state.legs.unsettled[leg] = pen.silent_ms <= SETTLED_MS and not pen.seamless
        if begin // KEPT_MS != before // KEPT_MS:
            self._own = {leg: pen for leg, pen in self._own.items() if begin - pen.written < KEPT_MS}
            self._common = {form: pen for form, pen in self._common.items() if self._state.streams.has(form)}
        return payloads

    def _of_stream(self, stream: int, plan: Plan, before: int, own: set[int]) -> Pen:
        form, rate = self._state.streams.form(stream), int(self._state.streams.rate[stream])
        pen = self._common.get(form)
        if pen is None or not pen.writes(form, rate):
            pen = self._common[form] = self._pen(form, rate, plan.ptime, None)
        if pen.written < before:
            for leg, other in self._own.items():
                if other.writes(form, rate) and other.written == before and leg not in own:
                    pen.take_over(other)
                    break
        return pen

    def _of_leg(self, leg: int, stream: int, plan: Plan, before: int) -> Pen:
        form, rate = self._state.streams.form(stream), int(self._state.streams.rate[stream])
        owner, pen = self._state.legs.at(leg), self._own.get(leg)
        if pen and pen.leg is owner and pen.writes(form, rate) and pen.written == before:
            return pen
        pen = self._own[leg] = self._pen(form, rate, plan.ptime, owner)
        common = self._common.get(form)
        if common and common.writes(form, rate) and common.written == before:
            pen.take_over(common)
        return pen

    def rests(self, plan: Plan, stream: int, leg: int, begin: int) -> bool:
        """True, and a packet time is over, if what is heard has been silent for so long that its encoder need not
        be called. Before that it must be: it and the receiver's decoder come to rest together."""
        pen = self._common.get(self._state.streams.form(stream)) if leg < 0 else self._own.get(leg)
        if pen is None or pen.silent_ms <= SETTLED_MS or pen.written != begin - plan.ptime:
            return False
        pen.written = begin
        if leg >= 0:
            self._state.legs.unsettled[leg] = False
        return True

    def _heed_requests(self, plan: Plan, streams: Rows, legs: Rows, pens: list[Pen]) -> None:
        """Let encoders with modes write the lowest that any of their listeners asks for (RFC 4867 section 4.3.1)."""
        if not self._asking[self._state.streams.codec[streams[0]]]:
            return
        asked = self._state.legs.asked
        for stream, leg, pen in zip(streams.tolist(), legs.tolist(), pens, strict=True):
            modes = asked[[leg]] if leg >= 0 else asked[plan.leg[plan.sound == stream]]
            modes = modes[modes >= 0]
            pen.encoder.request(int(modes.min()) if len(modes) else None)

    def _pen(self, form: Format, rate: int, ptime: int, leg: Leg | None) -> Pen:
        codec = CODECS[form.codec]
        assert isinstance(codec, Coder)
        return Pen(codec.encoder(rate, ptime, form.settings), leg, form, rate, codec.seamless)


def _write(job: tuple[Pen, Samples, int]) -> bytes:
    pen, samples, ptime = job
    return pen.write(samples, ptime)
