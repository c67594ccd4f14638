"""What a caller heard: every packet as it came, and what it makes together. Knows RTP; must never know keys."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from bench.codec import Samples
from bench.coder import Coder
from bench.continuity import Continuity, continuity

_HEADER: Final = 12


@dataclass
class Recording:
    """One caller's ear. Samples are put together only when somebody asks for them."""

    voice: Coder
    arrived: list[tuple[int, bytes]] = field(default_factory=list)
    """When (CLOCK_MONOTONIC, ns) and what, octet by octet as it came."""
    heard_ns: list[int] = field(default_factory=list)
    """When each packet arrived whose samples are in `heard`."""
    ssrcs: list[int] = field(default_factory=list)
    """Streams heard, in the order in which they appeared."""
    refused: int = 0
    """Packets that no key opened."""
    early: int = 0
    """Packets that came before there was any key."""
    _payload_type: int = -1
    _payloads: list[bytes] = field(default_factory=list)
    _names: list[tuple[int, int]] = field(default_factory=list)
    """SSRC and sequence number of each."""
    _windows: list[tuple[int, int]] = field(default_factory=list)
    _decoded: tuple[int, int, Samples] | None = None
    """From which payload, to which, and what they sound like: decoding takes long."""
    _since: int | None = None
    _paused: bool = False

    def __post_init__(self) -> None:
        self._payload_type = self.voice.payload_type

    def hears_as(self, payload_type: int) -> None:
        """The payload type of audio that was agreed on."""
        self._payload_type = payload_type

    def take(self, packet: bytes, now_ns: int) -> None:
        """A clear RTP packet."""
        start = _HEADER + 4 * (packet[0] & 0x0F)
        if packet[0] & 0x10:
            start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4])
        if packet[1] & 0x7F != self._payload_type:
            return
        ssrc = int.from_bytes(packet[8:12])
        if ssrc not in self.ssrcs:
            self.ssrcs.append(ssrc)
        self._names.append((ssrc, int.from_bytes(packet[2:4])))
        self._payloads.append(packet[start:])
        self.heard_ns.append(now_ns)
        if self._since is None and not self._paused:
            self._since = now_ns

    def pause(self) -> None:
        """From now on nothing need come; some of what was on its way still may."""
        self._paused = True
        if self._since is not None:
            self._windows.append((self._since, time.monotonic_ns()))
            self._since = None

    def go_on(self) -> None:
        """From the next packet on they must come again."""
        self._paused = False

    def end(self) -> None:
        """The other side has ended the call; when it stopped sending is its own affair."""
        if self._since is not None:
            self._windows.append((self._since, self.heard_ns[-1] + 1))
            self._since = None

    def heard(self, since_ns: int = 0) -> Samples:
        """float32[n] at the rate of the voice: what came, in order of arrival."""
        first = int(np.searchsorted(np.array(self.heard_ns, np.int64), since_ns))
        if self._decoded is None or self._decoded[:2] != (first, len(self._payloads)):
            whole = [one for one in self._payloads[first:] if not self.voice.fixed or len(one) == self.voice.largest]
            samples = self.voice.sound([np.frombuffer(one, np.uint8) for one in whole])
            self._decoded = first, len(self._payloads), samples
        return self._decoded[2]

    def continuity(self, until_ns: int | None = None) -> Continuity:
        """What is missing until then (now if omitted), in the stretches of time in which something had to come."""
        names = np.array(self._names, np.int64).reshape(-1, 2)
        times = np.array(self.heard_ns, np.int64)
        alone = np.zeros(len(times), np.intp)
        parts = [
            continuity(alone, names[:, 0], names[:, 1], times, legs=1, window_ns=window)
            for window in self._stretches(until_ns or time.monotonic_ns())
        ]
        return Continuity(
            packets=sum(part.packets for part in parts),
            lost=sum(part.lost for part in parts),
            duplicates=sum(part.duplicates for part in parts),
            disordered=sum(part.disordered for part in parts),
            gaps=sum(part.gaps for part in parts),
            lost_by_leg=np.array([sum(part.lost for part in parts)], np.int64),
            largest_gap_ms=max((part.largest_gap_ms for part in parts), default=0.0),
        )

    def _stretches(self, until_ns: int) -> list[tuple[int, int]]:
        current = [] if self._since is None else [(self._since, max(until_ns, self._since))]
        return [*self._windows, *current]
