"""Screen: who speaks and who hears whom, while the demo runs.

On a terminal it redraws itself in place; elsewhere it prints a line whenever something changes. Hearing
is judged by content here too: a short stretch of what was said is looked up in what was heard.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Protocol, TextIO

import numpy as np

from bench.codec import Samples
from bench.phone import Phone

_EVERY_S = 0.25
_HEARD_S = 0.3
_SAID_S = 0.9
_ALIKE = 0.3
_BARS = " ▁▂▃▄▅▆▇█"


class Conference(Protocol):
    """What is drawn of a conference."""

    name: str
    talkers: list[Phone]
    listeners: list[Phone]


class Screen:
    """A live view of some conferences."""

    def __init__(self, rooms: Sequence[Conference], out: TextIO) -> None:
        self._rooms = rooms
        self._out = out
        self._live = out.isatty()
        self._lines = 0
        self._begin = time.monotonic()
        self._last = ""

    async def run(self) -> None:
        """Draw until cancelled."""
        self._begin = time.monotonic()
        while True:
            await asyncio.sleep(_EVERY_S)
            if self._live:
                self._draw()
            else:
                self._tell()

    def finish(self) -> None:
        """Leave the last picture standing."""
        if self._live:
            self._draw()

    def _draw(self) -> None:
        lines = [f"\x1b[1m{time.monotonic() - self._begin:5.1f} s\x1b[0m"]
        for room in self._rooms:
            lines.append(f"\x1b[1m{room.name} key conference\x1b[0m")
            lines += [self._line(room, phone) for phone in room.talkers]
            if room.listeners:
                lines.append(f"  {f'{len(room.listeners)} listeners':<14}" + self._hears(room, room.listeners[0]))
        up = f"\x1b[{self._lines}A" if self._lines else ""
        self._out.write(up + "".join(f"\x1b[2K{line}\n" for line in lines))
        self._out.flush()
        self._lines = len(lines)

    def _line(self, room: Conference, phone: Phone) -> str:
        color = "\x1b[32m" if phone.speaking() else ""
        return f"  {color}{phone.name:<10}{_bar(_recently_said(phone))}\x1b[0m   " + self._hears(room, phone)

    def _hears(self, room: Conference, phone: Phone) -> str:
        names = [talker.name for talker in room.talkers if hears(phone, talker)]
        return "hears " + ", ".join(names) if names else ""

    def _tell(self) -> None:
        parts = []
        for room in self._rooms:
            who = [phone.name for phone in room.talkers if phone.speaking()]
            parts.append(f"{room.name}: {' and '.join(who) or 'nobody'} speaking")
        text = "; ".join(parts)
        if text != self._last:
            self._out.write(f"  {time.monotonic() - self._begin:5.1f} s  {text}\n")
            self._out.flush()
            self._last = text


def hears(phone: Phone, talker: Phone) -> bool:
    """Whether what a phone heard just now holds what a talker said shortly before."""
    heard, said = phone.recent(_HEARD_S), _recently_said(talker, _SAID_S)
    if talker.name == phone.name or not heard.any() or len(said) <= len(heard):
        return False
    size = 1 << int(np.ceil(np.log2(len(said) + len(heard))))
    product = np.fft.irfft(np.fft.rfft(said, size) * np.conj(np.fft.rfft(heard, size)), size)
    product = product[: len(said) - len(heard) + 1]
    total = np.concatenate(([0.0], np.cumsum(np.square(said, dtype=np.float64))))
    energy = np.maximum(total[len(heard) :] - total[: -len(heard)], 1e-6)
    loudness = float(np.sqrt(np.square(heard, dtype=np.float64).sum()))
    return bool((product / np.sqrt(energy)).max() > _ALIKE * loudness) and bool(np.abs(said).max() > 0.01)


def _recently_said(phone: Phone, seconds: float = 0.1) -> Samples:
    now = len(phone.said_ns) * 160
    return phone.said[max(0, now - round(seconds * 8000)) : now]


def _bar(samples: Samples) -> str:
    level = float(np.sqrt(np.mean(np.square(samples)))) if len(samples) else 0.0
    steps = int(np.clip((20 * np.log10(max(level, 1e-4)) + 50) / 5, 0, 8))
    return _BARS[steps]
