"""The limiter: brings the sums of a conference back to 16 bits by turning it down, not by bending it.

One gain for all that a conference hears in a tick, the common mix and every minus mix, so that nobody's voice is
louder for one listener than for another. It looks ahead to the end of the tick:

    gain 1 ____
               \\                        ____----  back by RELEASE_MS, over whole ticks
                \\___________________----
               |  |                |
               |  attack, 2 ms     the next tick, which is not so loud
               a tick with a peak above the ceiling, anywhere in it

For the first two milliseconds of a tick that is suddenly too loud the gain is still on its way; what is above the
ceiling there is cut. Below the ceiling, with the gain at rest, samples pass unchanged.

For stereo, left and right are mid + side and mid - side: the side has a gain of its own, by the room that the mid
leaves. When a conference is loud the picture narrows; mono listeners notice nothing.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

CEILING: Final = np.float32(32000.0)
"""The largest sample of a mix: what G.711 can say."""
ATTACK_MS: Final = 2
RELEASE_MS: Final = 100
AT_REST: Final = np.float32(0.999)
"""A gain above this is taken for 1."""

Rows = NDArray[np.int64]
Voice = NDArray[np.float32]
Samples = NDArray[np.int16]
Levels = NDArray[np.float32]


class Limiter:
    """Limits all conferences of one rate.

    Args:
        rows: of the conference table.
    """

    def __init__(self, rows: int, tick_ms: int) -> None:
        self._mid = _Gains(rows, tick_ms)
        self._side = _Gains(rows, tick_ms)

    def limit(
        self, conference: Rows, home: Rows, mid: Voice, side: Voice | None = None
    ) -> tuple[Samples, Samples | None]:
        """Limit one tick. To be called every tick.

        Args:
            conference: int64[c], distinct.
            home: int64[n], whose each sum is: position in `conference`.
            mid, side: float32[n, samples], commons and minuses; `side` only if somebody hears stereo.
        """
        if not self._mid.at_rest or max(mid.max(initial=0.0), -mid.min(initial=0.0)) > CEILING:
            need = CEILING / np.maximum(np.abs(mid).max(axis=1, initial=0.0), CEILING)
            curve = self._mid.curve(conference, home, need, mid.shape[1])[home]
            mid = np.clip(mid * curve, -CEILING, CEILING)
            side = side if side is None else side * curve
        return mid.astype(np.int16), side if side is None else self._narrow(conference, home, mid, side)

    def _narrow(self, conference: Rows, home: Rows, mid: Voice, side: Voice) -> Samples:
        room, width = CEILING - np.abs(mid), np.abs(side)
        if not self._side.at_rest or (width > room).any():
            need = (room / np.maximum(np.maximum(width, room), 1.0)).min(axis=1, initial=1.0)
            side = side * self._side.curve(conference, home, need, side.shape[1])[home]
        return np.clip(side, -room, room).astype(np.int16)


class _Gains:
    """One gain a conference, and how it goes from tick to tick."""

    def __init__(self, rows: int, tick_ms: int) -> None:
        self._gain = np.ones(rows, np.float32)
        self._share = np.float32(1 - np.exp(-tick_ms / RELEASE_MS))
        self._tick_ms = tick_ms
        self.at_rest = True
        """All gains are 1."""

    def curve(self, conference: Rows, home: Rows, need: Levels, width: int) -> Voice:
        """Bring every conference to the least gain that one of its sums needs; the way there, float32[c, width]."""
        least = np.ones(len(conference), np.float32)
        np.minimum.at(least, home, need)
        before = self._gain[conference]
        self._gain += self._share * (1 - self._gain)
        self._gain[self._gain > AT_REST] = 1.0
        after = self._gain[conference] = np.minimum(self._gain[conference], least)
        self.at_rest = bool((self._gain == 1.0).all())
        done = np.arange(1, width + 1, dtype=np.float32) / width
        fast = np.minimum(done * np.float32(self._tick_ms / ATTACK_MS), 1.0)
        way = np.where((after < before)[:, None], fast, done)
        return before[:, None] + (after - before)[:, None] * way
