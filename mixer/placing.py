"""From decrypted packets to sound: what each payload is, and where in time it belongs.

    sort        by payload type: audio, comfort noise, telephone events, or nothing that was agreed
    place       a codec without memory is decoded here, and written to the playout ring
    keep        a codec with memory is decoded when it is due; until then its packets wait

A packet's time is settled here for both: early, late, or a new beginning.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer import wire
from mixer.admission import Admission
from mixer.batch import STRIDE, Batch
from mixer.codecs import CODECS, HAS_MEMORY, HEAD, Coder, Table
from mixer.decoding import HANG_MS, NOTHING
from mixer.drops import Drop
from mixer.hush import SILENCE
from mixer.keypads import Keypads
from mixer.state import State

Rows = NDArray[np.int64]
Fates = NDArray[np.uint8]

LONGEST_MS: Final = 120
"""Longest packet that is played."""
CREDIBLE: Final = 10
"""Ticks that packets may be here too early or too late by our own fault; with more the clock must have been set."""


@dataclass(slots=True)
class Payloads:
    """Packets of one codec and rate; those of one leg side by side.

    Attributes:
        batch: that they are in.
        who: int64[n], legs.
        start, size: int64[n], octets, of the payloads in the batch.
        timestamp: int64[n], of the header.
        silent: bool[n], claims silence (RFC 6464).
        early: int64[n], or 0 for all: ticks, as in `Playout.admit`.
    """

    batch: Batch
    who: Rows
    start: Rows
    size: Rows
    timestamp: Rows
    silent: NDArray[np.bool_]
    early: Rows | int


class Placing:
    """Takes what was decrypted, for all legs."""

    def __init__(self, state: State, admission: Admission, keypads: Keypads) -> None:
        self._state, self._admission = state, admission
        self._legs, self._reception, self._waiting = state.legs, state.reception, state.waiting
        self._keypads = keypads

    def place(
        self, batch: Batch, rows: Rows, leg: Rows, header: NDArray[np.int64], claim: NDArray[np.int16], fate: Fates
    ) -> None:
        """Account authentic packets and take their payloads; fills `fate`. Packets of one leg lie side by side.

        Args:
            leg, header, claim, fate: of the whole batch.
        """
        legs = self._legs
        octets = batch.octets[: batch.count]
        end, bad = wire.payload_ends(octets, np.minimum(batch.length[: batch.count], STRIDE), header)
        fate[rows] = bad[rows]
        rows = rows[fate[rows] == 0]
        who = leg[rows]
        fields = wire.header_view(octets)[rows]
        seq, timestamp = fields["seq"].astype(np.int64), fields["timestamp"].astype(np.int64)
        payload_type = fields["marker_pt"].astype(np.int64) & 0x7F
        wanted = payload_type == legs.payload_type[who]
        self._note(batch, rows, who, seq, timestamp, fate)
        silent = self._note_claims(who, claim[rows])
        other = ~wanted & (fate[rows] == 0)
        if other.any():
            self._aside(batch, rows[other], who[other], payload_type[other], timestamp[other], header, end, fate)
        usable = wanted & (fate[rows] == 0)
        if not usable.all():
            rows, who, timestamp, silent = rows[usable], who[usable], timestamp[usable], silent[usable]
        self._take(batch, rows, who, timestamp, silent, header, end, fate)

    def _take(
        self,
        batch: Batch,
        rows: Rows,
        who: Rows,
        timestamp: Rows,
        silent: NDArray[np.bool_],
        header: NDArray[np.int64],
        end: NDArray[np.int64],
        fate: Fates,
    ) -> None:
        """Take the audio, all of one codec, rate and, without memory, size together."""
        codec, size, early = self._legs.codec[who], (end - header)[rows], self._early(batch, rows)
        kind = (codec << 56) | (self._legs.rate[who] << 20) | np.where(HAS_MEMORY[codec], 0, size)
        kinds = np.unique(kind).tolist()
        for k in kinds:
            some = np.flatnonzero(kind == k) if len(kinds) > 1 else slice(None)
            start = rows[some] * STRIDE + header[rows[some]]
            found = Payloads(batch, who[some], start, size[some], timestamp[some], silent[some], _of(early, some))
            one, rate = CODECS[k >> 56], k >> 20 & 0xFFFFFFFFF
            if isinstance(one, Table):
                fate[rows[some]] = self._write(found, one, rate)
            elif isinstance(one, Coder):
                fate[rows[some]] = self._keep(found, one, rate)

    def remember(self, batch: Batch, rows: Rows, leg: Rows, header: NDArray[np.int64]) -> None:
        """Keep packets of the past, which a decoder with memory is warmed up with. They were accounted when they came;
        those of one leg lie side by side."""
        legs, octets = self._legs, batch.octets[: batch.count]
        end, bad = wire.payload_ends(octets, batch.length[: batch.count], header)
        rows = rows[bad[rows] == 0]
        timestamp = wire.header_view(octets)["timestamp"].astype(np.int64)
        number = legs.codec[leg[rows]]
        for codec, some in ((CODECS[k], rows[number == k]) for k in np.unique(number).tolist()):
            if not isinstance(codec, Coder):
                continue
            who, start, size = leg[some], some * STRIDE + header[some], (end - header)[some]
            width, _ = codec.peek(_heads(batch, start), size)
            stamp, width = self._in_samples(who, timestamp[some], width, codec, legs.rate[who])
            good = np.flatnonzero(width > 0)
            for turn in rounds(who[good]):
                k = good[turn]
                self._waiting.store(who[k], batch.octets, start[k], size[k], stamp[k], width[k])

    # -- accounting ---------------------------------------------------------------------------

    def _note(self, batch: Batch, rows: Rows, who: Rows, seq: Rows, timestamp: Rows, fate: Fates) -> None:
        """Account what is authentic: reception statistics, and that the legs are alive."""
        legs = self._legs
        legs.heard[who] = self._state.frame
        for newcomer in set(who[~legs.latched[who]].tolist()):
            self._admission.latch(newcomer)
        arrival, clock = batch.arrival[rows], legs.clock[who]
        clear = legs.rx_session[who] < 0
        for some in rounds(who):
            new = self._reception.note(who[some], seq[some], timestamp[some], arrival[some], clock[some])
            # SRTP has a replay window of its own; this is the one of clear RTP.
            fate[rows[some][clear[some] & ~new]] = Drop.DUPLICATE

    def _note_claims(self, who: Rows, claim: NDArray[np.int16]) -> NDArray[np.bool_]:
        """RFC 6464: who claims to be silent is believed; who claims to be loud is decoded first, and then measured.

        Returns:
            bool[n], the packets that claim silence.
        """
        silent: NDArray[np.bool_] = claim == SILENCE
        if not self._legs.level_in[who].any():
            return silent
        self._legs.claim[who] = claim
        self._legs.claimed_silent[who] = silent
        return silent

    def _aside(
        self,
        batch: Batch,
        rows: Rows,
        who: Rows,
        payload_type: Rows,
        timestamp: Rows,
        header: NDArray[np.int64],
        end: NDArray[np.int64],
        fate: Fates,
    ) -> None:
        """What is not audio: comfort noise says that nobody speaks, which the missing audio says as well."""
        noise = payload_type == self._legs.noise_type[who]
        fate[rows[~noise]] = Drop.UNKNOWN_PAYLOAD_TYPE
        events = np.flatnonzero(payload_type == self._legs.event_type[who])
        if len(events):
            at = rows[events]
            head = _heads(batch, at * STRIDE + header[at])
            taken = self._keypads.hear(who[events], timestamp[events], head, (end - header)[at])
            fate[at] = np.where(taken, Drop.ACCEPTED, Drop.BAD_PAYLOAD)

    # -- without memory -----------------------------------------------------------------------

    def _write(self, found: Payloads, codec: Table, rate: int) -> Fates | Drop:
        """Decode packets of equal size and put them into the playout buffers; their fates. Of those that claim silence
        only the time is of interest."""
        size = int(found.size[0])
        if size == 0 or size % codec.width or size // codec.width * 1000 > LONGEST_MS * rate:
            return Drop.BAD_PAYLOAD
        playout, width = self._state.playouts[rate], size // codec.width
        payload = wire.windows(found.batch.octets, size)
        fates = np.zeros(len(found.who), np.uint8)
        for some in rounds(found.who):
            rows, stamp, start = found.who[some], found.timestamp[some], found.start[some]
            heard, _ = playout.admit(rows, width, stamp, _of(found.early, some))
            speaks = heard & ~found.silent[some]
            if speaks.all():
                playout.write(rows, codec.decode(payload[start]), stamp)
            elif speaks.any():
                playout.write(rows[speaks], codec.decode(payload[start[speaks]]), stamp[speaks])
            if not heard.all():
                fates[some] = np.where(heard, Drop.ACCEPTED, Drop.LATE)
        return fates

    # -- with memory --------------------------------------------------------------------------

    def _keep(self, found: Payloads, codec: Coder, rate: int) -> Fates:
        """Settle the time of packets and let them wait until they are due; their fates."""
        who, start, size, clock = found.who, found.start, found.size, codec.clocks[0]
        head = _heads(found.batch, start)
        width, speaks = codec.peek(head, size)
        fates = np.where((width > 0) & (width * 1000 <= LONGEST_MS * clock), Drop.ACCEPTED, Drop.BAD_PAYLOAD)
        stamp, width = self._in_samples(who, found.timestamp, width, codec, rate)
        speaks &= ~found.silent
        if codec.requests:
            asked = codec.requested_modes(head, size)
            asks = (fates == 0) & (asked >= 0)
            self._legs.asked[who[asks]] = asked[asks]
        playout = self._state.playouts[rate]
        for some in rounds(who):
            good = np.flatnonzero(fates == 0) if isinstance(some, slice) else some[fates[some] == 0]
            rows = who[good]
            heard, _ = playout.admit(rows, width[good], stamp[good], _of(found.early, good))
            self._waiting.store(rows, found.batch.octets, start[good], size[good], stamp[good], width[good])
            fates[good[~heard]] = Drop.LATE
            self._note_speech(rows, size[good] <= NOTHING, speaks[good])
            awake = good[speaks[good]]
            self._legs.dozes[who[awake]] = stamp[awake] + width[awake] + HANG_MS * rate // 1000 & 0xFFFF_FFFF
        return fates.astype(np.uint8)

    def _note_speech(self, rows: Rows, nothing: NDArray[np.bool_], speaks: NDArray[np.bool_]) -> None:
        """Wake legs that speak. One whole packet between two of DTX is no speech: it is how an endpoint that is silent
        says what its silence sounds like."""
        legs = self._legs
        pausing = rows[nothing]
        updates = pausing[legs.spoken[pausing] == 1]
        legs.awake[updates] = legs.running[updates] = False
        legs.spoken[pausing] = 0
        legs.spoken[rows[speaks]] += 1
        legs.awake[rows[speaks]] = True

    # -- time ---------------------------------------------------------------------------------

    def _early(self, batch: Batch, rows: Rows) -> Rows | int:
        """Ticks by which packets are here sooner than if the shell had been on time, negative if later; 0 if it was.

        What arrives while tick `frame` is due is there for it, or, since the sockets are emptied a little before,
        for the next.
        """
        tick, frame = self._state.config.tick_ms * 1_000_000, self._state.frame
        arrival = batch.arrival[: batch.count]
        if (frame - 1) * tick < arrival.min() and arrival.max() <= (frame + 1) * tick:
            return 0
        ticks = (batch.arrival[rows] - 1) // tick - frame
        early = np.maximum(ticks, 0) + np.minimum(ticks + 1, 0)
        return np.asarray(np.where(np.abs(early) <= CREDIBLE, early, 0), np.int64)

    def _in_samples(self, who: Rows, timestamp: Rows, width: Rows, codec: Coder, rate: Rows | int) -> tuple[Rows, Rows]:
        """Timestamps, modulo 2^32, and lengths of packets, from the codec's clock to samples of `rate`."""
        clock = codec.clocks[0]
        return self._stamp(who, timestamp) * rate // clock & 0xFFFF_FFFF, width * rate // clock

    def _stamp(self, who: Rows, timestamp: Rows) -> Rows:
        """Extend 32-bit timestamps, so that they can be brought to another clock and wrap there."""
        before = self._legs.stamp[who]
        extended: Rows = before + ((timestamp - before + (1 << 31) & 0xFFFF_FFFF) - (1 << 31))
        self._legs.stamp[who] = extended
        return extended


def _of(early: Rows | int, some: Rows | slice) -> Rows | int:
    """That of some packets."""
    return early if isinstance(early, int) else early[some]


def _heads(batch: Batch, start: Rows) -> NDArray[np.uint8]:
    """How payloads begin, uint8[n, HEAD]; no packet is so full of headers that its payload begins beyond that."""
    return wire.windows(batch.octets, HEAD)[np.minimum(start, batch.octets.size - HEAD)]


def rank(who: Rows) -> Rows | None:
    """For each packet of legs in order, how many of the same leg stand before it; None if no leg has two."""
    first = np.ones(len(who), bool)
    first[1:] = who[1:] != who[:-1]
    if first.all():
        return None
    position = np.arange(len(who))
    return position - np.maximum.accumulate(np.where(first, position, 0))


def rounds(who: Rows) -> Iterator[Rows | slice]:
    """Positions of packets, in rounds in which each leg has one at most, in order of arrival."""
    ranks = rank(who)
    if ranks is None:
        yield slice(None)
        return
    for n in range(int(ranks.max()) + 1):
        yield np.flatnonzero(ranks == n)
