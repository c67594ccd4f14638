"""Keys that legs press, told as events: telephone events from packets to `dtmf` (RFC 4733)."""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer.codecs import Octets, events
from mixer.codecs.keypad import KeyPad, Stroke
from mixer.port import Dtmf
from mixer.state import State

Rows = NDArray[np.int64]

MOST_A_TICK: Final = 8
"""Keys of one leg that are told in a tick: no hand, and no dialler after a stall of the network, presses more, and
nobody may flood control."""


class Keypads:
    """The keypads of all legs."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._pad = KeyPad(state.config.tick_ms)
        self._ssrc: dict[int, int] = {}
        """Under which SSRC a leg pressed its last key: another has timestamps of its own."""
        self._told: Counter[int] = Counter()
        """Keys told in this tick, by leg row."""

    def hear(self, rows: Rows, timestamp: Rows, head: Octets, length: Rows) -> NDArray[np.bool_]:
        """Take payloads of telephone events.

        Args:
            rows: int64[n], the legs; a leg may be there more than once.
            timestamp: int64[n], of the packets.
            head: uint8[n, HEAD], how the payloads begin; length: int64[n], octets.

        Returns:
            bool[n], False where a payload tells of no key.
        """
        found = events.parse(head, length)
        clock = self._state.legs.clock
        for k, packet in enumerate(found.packet.tolist()):
            row = int(rows[packet])
            self._begin(row)
            strokes = self._pad.hear(
                row,
                int(timestamp[packet] + found.offset[k]),
                int(found.event[k]),
                int(found.duration[k]),
                self._state.frame,
                end=bool(found.end[k]),
                clock=int(clock[row]),
            )
            self._tell(strokes)
        taken = np.zeros(len(rows), bool)
        taken[found.packet] = True
        return taken

    def _begin(self, row: int) -> None:
        ssrc = int(self._state.legs.ssrc[row])
        if self._ssrc.get(row) != ssrc:
            self._tell(self._pad.forget(row))
            self._ssrc[row] = ssrc

    def step(self) -> None:
        """Once a tick: keys of which nothing is heard any more come up."""
        self._told.clear()
        self._tell(self._pad.step(self._state.frame))

    def forget(self, row: int) -> None:
        """A leg is about to be removed."""
        self._tell(self._pad.forget(row))
        self._ssrc.pop(row, None)

    def _tell(self, strokes: list[Stroke]) -> None:
        for stroke in strokes:
            if stroke.duration_ms is None:
                continue  # it has gone down: it is told when it comes up, with its length
            self._told[stroke.row] += 1
            if self._told[stroke.row] > MOST_A_TICK:
                continue
            leg, conference = self._state.legs.at(stroke.row), self._state.conference_of(stroke.row)
            self._state.events.append(
                Dtmf(conference=conference.name, leg=leg.name, key=stroke.key, duration_ms=stroke.duration_ms)
            )
