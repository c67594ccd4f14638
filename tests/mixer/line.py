"""A playout buffer and what is done to it: packets of a steady sound in, what was played out."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mixer.playout import Playout

ROW = 2


@dataclass
class Line:
    """One sender and its buffer. Time is in milliseconds; packet n holds samples [n * width, (n + 1) * width)
    of a sine and is sent when its last sample has been said.

    Attributes:
        lost: numbers of packets that never come.
        late: milliseconds that a packet comes later than sent; twice: packets that come again, so much later.
        jump: (number, samples): timestamps leap there, the sound goes on.
        ppm: how much faster the sender's clock is.
    """

    rate: int = 8000
    tick_ms: int = 20
    width: int = 160
    hertz: float = 250.0
    amplitude: float = 8000.0
    delay_min_ms: int = 20
    delay_max_ms: int = 200
    lost: set[int] = field(default_factory=set)
    late: dict[int, float] = field(default_factory=dict)
    twice: dict[int, float] = field(default_factory=dict)
    jump: tuple[int, int] = (-1, 0)
    ppm: float = 0.0
    start: int = 0xFFFF_F000
    """First timestamp: it wraps soon."""
    refused: int = 0
    deepest_ms: int = 0

    def __post_init__(self) -> None:
        self.playout = Playout(4, self.rate, self.tick_ms)
        self.playout.open(ROW, self.delay_min_ms, self.delay_max_ms)
        self.played: list[NDArray[np.int16]] = []

    @property
    def step(self) -> float:
        """The largest step between neighbouring samples of the sine itself."""
        return float(self.amplitude * 2 * np.pi * self.hertz / self.rate)

    def said(self, first: int, count: int) -> NDArray[np.int16]:
        at = np.arange(first, first + count)
        return np.rint(self.amplitude * np.sin(2 * np.pi * self.hertz * at / self.rate)).astype(np.int16)

    def run(self, ms: int) -> Line:
        """Play so long, from the first packet on."""
        arrivals = sorted(self._arrivals(ms))
        for tick in range(ms // self.tick_ms):
            now = (tick + 1) * self.tick_ms
            while arrivals and arrivals[0][0] <= now:
                self.place(arrivals.pop(0)[1])
            self.tick()
        return self

    def _arrivals(self, ms: int) -> list[tuple[float, int]]:
        length = 1000.0 * self.width / self.rate / (1 + self.ppm * 1e-6)
        come = []
        for number in range(int(ms / length)):
            sent = (number + 1) * length
            if number not in self.lost:
                come.append((sent + self.late.get(number, 0.0), number))
            if number in self.twice:
                come.append((sent + self.twice[number], number))
        return come

    def stamp(self, number: int) -> NDArray[np.int64]:
        """The timestamp of a packet."""
        leap = self.jump[1] if 0 <= self.jump[0] <= number else 0
        return np.array([self.start + number * self.width + leap & 0xFFFF_FFFF])

    def place(self, number: int) -> None:
        """A packet arrives."""
        sound = self.said(number * self.width, self.width)[None, :]
        heard = self.playout.place(np.array([ROW]), sound, self.stamp(number))
        self.refused += int(not heard[0])

    def tick(self) -> NDArray[np.int16]:
        """One tick is played."""
        rows, frames = self.playout.take()
        assert (frames > -32768).all(), "what is EMPTY is never played"
        mine = np.flatnonzero(rows == ROW)
        frame = frames[mine[0]].copy() if len(mine) else np.zeros(self.rate * self.tick_ms // 1000, np.int16)
        self.played.append(frame)
        self.deepest_ms = max(self.deepest_ms, int(self.playout.waiting(np.array([ROW]))[0]))
        return frame

    @property
    def sound(self) -> NDArray[np.int64]:
        return np.concatenate(self.played).astype(np.int64)

    def roughness(self, from_ms: int = 0) -> float:
        """The largest step that was played, in steps of the sine: 1 is the sine itself."""
        part = self.sound[from_ms * self.rate // 1000 :]
        return float(np.abs(np.diff(part)).max()) / self.step

    def loudness(self, from_ms: int, to_ms: int) -> float:
        """RMS of what was played, 1 being the sine."""
        part = self.sound[from_ms * self.rate // 1000 : to_ms * self.rate // 1000].astype(np.float64)
        return float(np.sqrt(np.mean(part**2)) / (self.amplitude / np.sqrt(2)))


def shaky(seed: int, packets: int, jitter_ms: float) -> dict[int, float]:
    """Random delays: packets overtake each other where this is more than a ptime."""
    chance = random.Random(seed)
    return {number: chance.random() * jitter_ms for number in range(packets)}
