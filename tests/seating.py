"""Who has a seat in a conference, as plain loops: the oracle of `mixer/talkers.py`.

Knows: the rules, one leg at a time. Must never know: columns, or the mixer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

GATE = 16.0


def decibel(value: float) -> float:
    """A ratio of amplitudes."""
    return float(10.0 ** (value / 20.0))


@dataclass
class Sitter:
    """What is known of a leg."""

    loudness: float = 0.0
    presence: float = 0.0
    floor: float = 0.0
    least: float = 0.0
    score: float = 0.0
    voiced: int = 0
    sounds: bool = False
    seated: bool = False


@dataclass
class Seating:
    """One conference."""

    seats: int
    tick_ms: int = 20
    frame: int = 0
    legs: dict[str, Sitter] = field(default_factory=dict)

    def tick(self, rms: Mapping[str, float]) -> dict[str, str]:
        """Who is mixed, loudest first, and how: `in` and `out` for who is faded. Who is not in `rms` is absent."""
        for name in rms:
            self.know(name)
        for name, leg in self.legs.items():
            self._listen(leg, rms.get(name, 0.0))
        chosen = sorted(self._contenders(rms), key=lambda name: -self._strength(self.legs[name]))[: self.seats]
        mixed = {}
        for name in sorted(rms, key=lambda name: -self.legs[name].loudness):
            leg = self.legs[name]
            if name in chosen or leg.seated:
                mixed[name] = "out" if name not in chosen else "in" if leg.sounds and not leg.seated else ""
        for name, leg in self.legs.items():
            leg.seated, leg.sounds = name in chosen, rms.get(name, 0.0) > GATE
        self.frame += 1
        return mixed

    def know(self, name: str) -> None:
        """It has joined."""
        self.legs.setdefault(name, Sitter())

    def _listen(self, leg: Sitter, rms: float) -> None:
        leg.loudness = max(rms, leg.loudness * decibel(-97.0 * self.tick_ms / 1000))
        leg.least = min(leg.least, rms)
        if self.frame % (1000 // self.tick_ms) == 0:
            leg.floor, leg.least = leg.least, math.inf
        noise = 2.0 * min(leg.floor, leg.least)
        leg.score = math.sqrt(max(leg.loudness**2 - noise**2, 0.01 * leg.loudness**2))
        if leg.score > leg.presence:
            leg.presence += (1.0 - math.exp(-self.tick_ms / 40)) * (leg.score - leg.presence)
        else:
            leg.presence = max(leg.score, leg.presence * decibel(-10.0 * self.tick_ms / 1000))
        if rms > GATE:
            leg.voiced = self.frame

    def _contenders(self, rms: Mapping[str, float]) -> list[str]:
        held = [n for n, leg in self.legs.items() if leg.seated and self.frame - leg.voiced <= 400 // self.tick_ms]
        return held + [name for name, level in rms.items() if level > GATE and name not in held]

    def _strength(self, leg: Sitter) -> float:
        return leg.presence * decibel(4.0) if leg.seated else min(leg.presence, leg.score)


def faded(voice: list[float], how: str, tick_ms: int = 20) -> list[float]:
    """A voice that begins or ends amid its sound, within 5 ms."""
    ramp = [min(1.0, n * tick_ms / 5 / len(voice)) for n in range(len(voice))]
    if how == "in":
        return [sample * share for sample, share in zip(voice, ramp, strict=True)]
    return [sample * (1.0 - share) for sample, share in zip(voice, ramp, strict=True)] if how == "out" else voice
