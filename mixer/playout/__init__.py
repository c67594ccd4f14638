"""The playout buffer: what legs say waits here, at its RTP timestamp, until its tick.

buffer      the face of it: admit, write, take
timing      cursors: where on the ring a packet belongs, and when time must give way to it
delay       the target delay, learnt from the leads that packets have
pacing      changes the delay unheard, and joins sound in phase where time jumped
timescale   removes or inserts a period
ring        the samples
"""

from __future__ import annotations

from mixer.playout.buffer import Playout

__all__ = ["Playout"]
