"""Decoding of codecs with memory: which legs, when, and what fills the gaps.

A leg is decoded only while it can matter, and only as far as the next tick needs:

    muted       by control: as if it was asleep
    asleep      it says itself that nobody speaks: DTX, SID, no voice activity, or level 127 (RFC 6464). Its
                packets pass by, and cost no more than their decryption
    awake       it speaks, or did a moment ago (`HANG_MS`). If more legs of a conference claim to speak than could
                ever be mixed, only the loudest by their own account are decoded (and then measured)
    running     its decoder stands at the end of what was decoded last, and goes on from there

A decoder that begins to run is warmed up with the packets that nobody needed before: what a talker says first
is heard as it was said. What is missing between two packets is repaired from the second if it repeats the first
(in-band FEC), else invented by the decoder; after `INVENT_MS` the playout buffer fades out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer.chances import Chances
from mixer.codecs import CODECS, CodecError, Coder, Decoder
from mixer.counters import Counters
from mixer.legs import Leg
from mixer.playout import Playout
from mixer.samples import Samples
from mixer.spread import Spread
from mixer.state import State

HANG_MS: Final = 200
"""A leg stays awake so long after its last packet with speech."""
INVENT_MS: Final = 100
"""A decoder invents no more than this in a row."""
NOTHING: Final = 2
"""Octets of a payload that is not even silence: DTX (RFC 6716 section 2.1.9), NO_DATA (RFC 4867)."""
WARM_UP: Final = 20
"""Packets before the first that a decoder is warmed up with: after three, G.722 is still 10 dB too quiet for 25 ms."""
FORGET_MS: Final = 1000
"""So often, decoders of legs that left are let go."""
ENOUGH_MS: Final = 400
"""So much is decoded of a leg in a tick at most, and so much more to warm up: what lies over each other at one time
would cost without end."""
ROUNDS: Final = 16
"""Steps that a leg may take in a tick: 20 ms are at most eight packets of 2.5 ms."""

Rows = NDArray[np.int64]
_FAR: Final = np.int64(1 << 40)


@dataclass(slots=True)
class Step:
    """One call of a decoder: decode `payload`; or repair `samples` before it; or, without one, invent them."""

    decoder: Decoder
    payload: bytes | None
    samples: int = 0
    warm_up: tuple[bytes, ...] = ()


@dataclass(slots=True)
class Ear:
    """A decoder in use. Another SSRC is another encoder, of which it knows nothing."""

    decoder: Decoder
    leg: Leg
    ssrc: int
    rate: int


def perform(step: Step) -> Samples | None:
    """The samples; None if the payload was corrupt."""
    try:
        for payload in step.warm_up:
            step.decoder.decode(payload)
        if step.payload is None:
            return step.decoder.conceal(step.samples)
        if step.samples:
            repaired = step.decoder.recover(step.payload, step.samples)
            return step.decoder.conceal(step.samples) if repaired is None else repaired
        return step.decoder.decode(step.payload)
    except CodecError:
        return None


class Decoding:
    """Decodes for all legs."""

    def __init__(self, state: State, spread: Spread, counters: Counters) -> None:
        self._state, self._spread, self._counters = state, spread, counters
        self._legs, self._waiting = state.legs, state.waiting
        self._chances = Chances(state)
        self._ears: dict[int, Ear] = {}
        """By leg row."""

    def step(self) -> None:
        """Bring every leg that can matter up to the end of the next tick."""
        legs, top = self._legs, self._legs.top
        if self._state.frame % self._state.ticks(FORGET_MS) == 0:
            self._ears = {row: ear for row, ear in self._ears.items() if legs.holds(ear.leg)}
        awake = np.flatnonzero(legs.awake[:top])
        if not len(awake):
            return
        for rate, playout in self._state.playouts.items():
            rows = awake[legs.rate[awake] == rate]
            over = playout.lead(rows, legs.dozes[rows]) <= 0
            legs.awake[rows[over]] = legs.running[rows[over]] = False
            rows = rows[~over & playout.started[rows]]
            rows = rows[self._may_be_heard(rows)]
            self._fill(playout, rows[self._chances.choose(rows)])

    def _may_be_heard(self, rows: Rows) -> NDArray[np.bool_]:
        """Which of these legs control lets be heard; who was just muted is heard once more, to be faded out."""
        legs = self._legs
        may: NDArray[np.bool_] = (legs.speaks[rows] & ~legs.muted[rows]) | legs.seated[rows]
        legs.running[rows[~may]] = False
        return may

    # -- filling a tick -----------------------------------------------------------------------

    def _fill(self, playout: Playout, rows: Rows) -> None:
        spent = np.zeros(self._legs.rows, np.int64)
        for _ in range(ROUNDS):
            rows = rows[spent[rows] < ENOUGH_MS * playout.rate // 1000]
            if not len(rows):
                return
            rows, steps = self._plan(playout, rows)
            sounds = self._spread(perform, steps)
            self._counters.decodes += sum(1 + len(step.warm_up) for step in steps)
            spent[rows] += self._write(playout, rows, steps, sounds)

    def _plan(self, playout: Playout, rows: Rows) -> tuple[Rows, list[Step]]:
        """The next step of each leg whose tick is not full yet; legs that have none are left out."""
        legs = self._legs
        slot, first = self._next(playout, rows)
        reach = playout.wanted(rows)
        begin = np.maximum(playout.lead(rows, legs.decoded[rows]), 0)
        tired = (begin < first) & (legs.invented[rows] >= INVENT_MS * playout.rate // 1000)
        legs.running[rows[tired]] = False
        # Behind what is decoded already, late packets may still be wanted: the playout delay has grown.
        begin = np.where(legs.running[rows], np.minimum(begin, first), first)
        wanting = begin < np.where(first <= begin, reach, playout.samples)
        legs.decoded[rows[wanting]] = playout.cursor[rows[wanting]] + begin[wanting] & 0xFFFF_FFFF
        due, gaps = wanting & (first <= begin), np.flatnonzero(wanting & (first > begin))
        steps = self._decode(playout, rows[due], slot[due])
        for k in gaps.tolist():
            steps.append(self._fill_gap(playout, int(rows[k]), int(slot[k]), int(begin[k]), int(first[k])))
        return np.concatenate([rows[due], rows[gaps]]), steps

    def _next(self, playout: Playout, rows: Rows) -> tuple[Rows, Rows]:
        """The first packet of each leg that is not decoded and can still be heard: its slot, and its lead, `_FAR` if
        there is none."""
        waiting = self._waiting
        leg, slot = np.nonzero(waiting.undecoded[rows])
        row = rows[leg]
        lead = playout.lead(row, waiting.stamp[row, slot])
        # No decoder begins with a packet of DTX.
        new = self._legs.running[row] | (waiting.size[row, slot] > NOTHING)
        new &= lead + waiting.width[row, slot] > 0
        leg, slot, lead = leg[new], slot[new], lead[new]
        first, place = np.full(len(rows), _FAR), np.zeros(len(rows), np.int64)
        np.minimum.at(first, leg, lead)
        place[leg[lead == first[leg]]] = slot[lead == first[leg]]
        return place, first

    def _decode(self, playout: Playout, rows: Rows, slot: Rows) -> list[Step]:
        """Decode a packet each of several legs."""
        legs, waiting = self._legs, self._waiting
        warm_up: list[tuple[bytes, ...]] = [()] * len(rows)
        for k in np.flatnonzero(~legs.running[rows]).tolist():
            warm_up[k] = self._passed_by(int(rows[k]), int(slot[k]))
        waiting.undecoded[rows, slot] = False
        legs.running[rows] = True
        legs.decoded[rows] = waiting.stamp[rows, slot]
        found = zip(rows.tolist(), waiting.payloads(rows, slot), warm_up, strict=True)
        return [Step(self._decoder(row, playout.rate), payload, 0, before) for row, payload, before in found]

    def _fill_gap(self, playout: Playout, row: int, slot: int, begin: int, first: int) -> Step:
        """Fill what a leg lacks from lead `begin` on; the packet in `slot` is the next, at lead `first`."""
        legs, waiting = self._legs, self._waiting
        decoder = self._decoder(row, playout.rate)
        gap, width = first - begin, int(waiting.width[row, slot])
        if gap <= width:
            samples, repeats = gap, waiting.payload(row, slot)
        else:
            samples, repeats = min(gap - width if first < _FAR else gap, playout.samples - begin), None
        legs.invented[row] += samples
        return Step(decoder, repeats, samples)

    def _passed_by(self, row: int, slot: int) -> tuple[bytes, ...]:
        """The packets just before one, which nobody needed when they were due."""
        waiting = self._waiting
        before = waiting.stamp[row, slot] - waiting.stamp[row]
        before = (before + (1 << 31) & 0xFFFF_FFFF) - (1 << 31)
        near = (before > 0) & (before <= WARM_UP * waiting.width[row, slot]) & waiting.undecoded[row]
        pause = np.min(before[near & (waiting.size[row] <= NOTHING)], initial=WARM_UP << 32)
        near &= before < pause  # a packet of DTX leaves a decoder where it was
        order = np.flatnonzero(near)[np.argsort(before[near], kind="stable")]
        enough = np.cumsum(waiting.width[row, order]) <= ENOUGH_MS * int(self._legs.rate[row]) // 1000
        waiting.undecoded[row] &= before <= 0
        return tuple(waiting.payload(row, k) for k in order[enough][::-1].tolist())

    def _decoder(self, row: int, rate: int) -> Decoder:
        leg, ssrc = self._legs.at(row), int(self._legs.ssrc[row])
        ear = self._ears.get(row)
        if ear is None or ear.leg is not leg or (ear.ssrc, ear.rate) != (ssrc, rate):
            codec = CODECS[int(self._legs.codec[row])]
            assert isinstance(codec, Coder)
            ear = self._ears[row] = Ear(codec.decoder(rate), leg, ssrc, rate)
        return ear.decoder

    def _write(self, playout: Playout, rows: Rows, steps: list[Step], sounds: list[Samples | None]) -> Rows:
        """Put what was decoded into the playout buffers, and note where the decoders stand; samples of each."""
        legs = self._legs
        length = np.array([0 if sound is None else len(sound) for sound in sounds], np.int64)
        legs.corrupt[rows[length == 0]] += 1
        spoken = np.array([not step.samples for step in steps], bool) & (length > 0)
        legs.invented[rows[spoken]] = 0
        playout.concealed[rows] += np.where(spoken, 0, length)
        for width in np.unique(length[length > 0]).tolist():
            some = np.flatnonzero(length == width)
            pcm = np.stack([sound for sound in sounds if sound is not None and len(sound) == width])
            playout.write(rows[some], pcm, legs.decoded[rows[some]])
        legs.decoded[rows] = legs.decoded[rows] + length & 0xFFFF_FFFF
        return length
