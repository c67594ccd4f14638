"""Packets of any sound, size and arrival through a playout buffer, and what was played. Time is in milliseconds."""

from __future__ import annotations

import wave
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixer.playout import Playout

ROW = 1
ROWS = np.array([ROW])
SPEECH = Path(__file__).resolve().parents[2] / "bench" / "speech"

Samples = NDArray[np.int16]


class Packet(NamedTuple):
    """What is sent, and when it arrives."""

    arrival: float
    timestamp: int
    sound: Samples


def cut(sound: Samples, rate: int, ptimes: Iterable[float], start: int = 0) -> list[Packet]:
    """Packets of the ptimes in turn, each sent and arriving when its last sample has been said."""
    packets, at = [], 0
    for ptime in ptimes:
        width = round(ptime * rate / 1000)
        if at + width > len(sound):
            break
        packets.append(Packet((at + width) * 1000 / rate, start + at & 0xFFFF_FFFF, sound[at : at + width]))
        at += width
    return packets


def late(packets: Sequence[Packet], by: Sequence[float]) -> list[Packet]:
    """Each packet comes so much later."""
    return [packet._replace(arrival=packet.arrival + more) for packet, more in zip(packets, by, strict=True)]


def tone(hertz: float, rate: int, ms: float, amplitude: float = 8000.0) -> Samples:
    """A sine from phase zero."""
    at = np.arange(round(ms * rate / 1000))
    return np.rint(amplitude * np.sin(2 * np.pi * hertz * at / rate)).astype(np.int16)


def speech(name: str) -> Samples:
    """A speaker at 8 kHz."""
    with wave.open(str(SPEECH / f"{name}.wav")) as file:
        assert file.getframerate() == 8000
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)


@dataclass
class Ear:
    """A leg's playout buffer, and all that came out of it."""

    rate: int = 8000
    tick_ms: int = 20
    delay_min_ms: int = 20
    delay_max_ms: int = 200
    refused: int = 0
    waiting: list[int] = field(default_factory=list)
    """Milliseconds that waited after each tick."""

    def __post_init__(self) -> None:
        self.playout = Playout(3, self.rate, self.tick_ms)
        self.playout.open(ROW, self.delay_min_ms, self.delay_max_ms)
        self._played: list[Samples] = []

    def hear(self, packets: Iterable[Packet], ms: float) -> Ear:
        """Play until `ms`; packets arrive in the order of their arrival."""
        waiting = sorted(packets, key=lambda packet: packet.arrival)
        while len(self._played) * self.tick_ms < ms:
            now = (len(self._played) + 1) * self.tick_ms
            while waiting and waiting[0].arrival <= now:
                packet = waiting.pop(0)
                heard = self.playout.place(ROWS, packet.sound[None, :], np.array([packet.timestamp]))
                self.refused += int(not heard[0])
            self._tick()
        return self

    def _tick(self) -> None:
        rows, frames = self.playout.take()
        assert rows.tolist() in ([], [ROW])
        silence = np.zeros(self.playout.samples, np.int16)
        self._played.append(frames[0].copy() if len(rows) else silence)
        self.waiting.append(int(self.playout.waiting(ROWS)[0]))

    @property
    def sound(self) -> Samples:
        """All that was played."""
        return np.concatenate(self._played)

    def part(self, from_ms: float, to_ms: float) -> Samples:
        """What was played between two times."""
        return self.sound[round(from_ms * self.rate / 1000) : round(to_ms * self.rate / 1000)]

    @property
    def concealed_ms(self) -> int:
        """So much was invented."""
        return int(self.playout.concealed_ms(ROWS)[0])

    def roughness(self, hertz: float, amplitude: float = 8000.0) -> float:
        """The largest step that was played, 1 being that of the sine itself."""
        step = amplitude * 2 * np.pi * hertz / self.rate
        return float(np.abs(np.diff(self.sound.astype(np.int64))).max() / step)


def echo(said: Samples, played: Samples, rate: int, most_ms: int, segment_ms: int = 100) -> list[tuple[float, float]]:
    """Where each loud segment of what was played is found in what was said.

    Returns:
        For each: the correlation at the best place, and how many ms earlier it was said, 0 to `most_ms`.
    """
    width, most = segment_ms * rate // 1000, most_ms * rate // 1000
    padded = np.concatenate([np.zeros(most), said, np.zeros(max(0, len(played) - len(said)))])
    found = []
    for at in range(0, len(played) - width, width):
        segment = played[at : at + width].astype(np.float64)
        if np.sqrt(np.mean(segment**2)) < 300:
            continue
        field = np.lib.stride_tricks.sliding_window_view(padded[at : at + most + width], width)
        score = field @ segment / np.sqrt((field**2).sum(axis=1) * (segment**2).sum() + 1.0)
        best = int(np.argmax(score))
        found.append((float(score[best]), (most - best) * 1000 / rate))
    return found
