"""Every datagram leaves under exactly one name: accepted, or one member of `Drop`. What is passed over is accepted.

`received == accepted + sum(drops)` is an invariant of the engine, checked in the tests after every
schedule. A reason is set once: the first step that refuses a packet names it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray


class Drop(IntEnum):
    """Why a datagram was not used. The lower-case name is the metric label."""

    ACCEPTED = 0
    TRUNCATED = 1
    """Shorter than its own headers say."""
    OVERSIZED = 2
    """Longer than a row of the batch; the kernel cut it."""
    BAD_VERSION = 3
    """First octet in the RTP range of RFC 7983, but not version 2."""
    BAD_PADDING = 4
    BAD_EXTENSION = 5
    STUN = 6
    ZRTP = 7
    DTLS = 8
    """Of no leg's handshake; what a handshake takes is accepted."""
    NOT_MEDIA = 9
    """First octet in no range of RFC 7983 that we know."""
    UNKNOWN_SOURCE = 10
    """Neither address, SSRC nor key belongs to a leg."""
    UNKNOWN_MKI = 11
    AUTH_FAILED = 12
    REPLAYED = 13
    SSRC_CONFLICT = 14
    """The SSRC belongs to another leg of the conference, or to the mixer's other leg (I11)."""
    LOOP = 15
    """One of our own SSRCs came back (RFC 3550 section 8.2)."""
    UNKNOWN_PAYLOAD_TYPE = 16
    BAD_PAYLOAD = 17
    """A length that the codec cannot have."""
    NOT_SENDING = 18
    """The leg's direction does not let it send."""
    DUPLICATE = 19
    """Clear RTP only: a sequence number seen before (SRTP calls it REPLAYED)."""
    LATE = 20
    """Its samples have already been played."""
    FLOOD = 21
    """More packets from one leg than any ptime explains."""
    OVERLOAD = 22
    """The budget for packets of unknown sources was spent in this batch."""
    BAD_RTCP = 23
    BAD_SSRC = 24
    """SSRC 0, which stands for "not known" here and breaks some clients."""
    PASSED = 25
    """Not opened: its leg goes on saying that it is silent (`hush`)."""


class Tally:
    """Counts of datagrams by fate. `counts[Drop.X]` is an int64."""

    def __init__(self) -> None:
        self.received = 0
        self.counts: NDArray[np.int64] = np.zeros(len(Drop), np.int64)

    def settle(self, fates: NDArray[np.uint8]) -> None:
        """Count one batch; `fates` is uint8[rows] of `Drop` values."""
        self.received += len(fates)
        self.counts += np.bincount(fates, minlength=len(Drop))

    @property
    def accepted(self) -> int:
        return int(self.counts[Drop.ACCEPTED]) + self.passed

    @property
    def passed(self) -> int:
        """Those of the accepted that were passed over."""
        return int(self.counts[Drop.PASSED])

    def drops(self) -> dict[str, int]:
        """Drop counts by label, zeros left out."""
        return {LABELS[i]: int(n) for i, n in enumerate(self.counts) if n and i not in (Drop.ACCEPTED, Drop.PASSED)}


LABELS: Final = tuple(drop.name.lower() for drop in Drop)
