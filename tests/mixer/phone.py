"""A participant on the virtual clock, with its own SRTP (`tests/reference`), codecs and clock.

It says what its voice says, a packet at a time, and writes down what it hears: which SSRC, under which
key, which samples. Must never know: libsrtp, or anything inside the mixer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tests import codecs, naive
from tests.naive import Rtcp, Rtp
from tests.reference.srtp import Context, Refused

Numbers = NDArray[np.int64]
Voice = Callable[[Numbers], NDArray[np.int16]]
"""Samples by their numbers on the phone's own clock."""


def tone(hertz: float, rate: int = 8000, amplitude: float = 3000.0) -> Voice:
    """A sine that never ends."""
    return lambda at: np.rint(amplitude * np.sin(2 * np.pi * hertz * at / rate)).astype(np.int16)


@dataclass(frozen=True)
class Heard:
    """A packet that a phone could read."""

    at_ns: int
    key: str
    packet: Rtp
    samples: NDArray[np.int16]


@dataclass
class Phone:
    """One endpoint.

    Attributes:
        uplink: what it sends under, None for clear RTP.
        keys: what it may hear under, by name.
        rate, clock: Hz of its samples, and of its timestamps.
        width: samples of a packet that it sends, if not `ptime`'s.
        mouth: its encoder; ears: its decoders, one for each SSRC that it hears.
        ppm: how much faster its clock is than the mixer's.
        level_in: id of the RFC 6464 extension that it writes; `claim` is the level.
    """

    name: str
    address: str
    ssrc: int
    codec: str = "PCMU"
    rate: int = 8000
    ptime: int = 20
    payload_type: int = 0
    uplink: Context | None = None
    keys: dict[str, Context] = field(default_factory=dict)
    voice: Voice | None = None
    width: int = 0
    ppm: float = 0.0
    seq: int = 1000
    timestamp: int = 5000
    local: int = 0
    born_ns: int = 0
    level_in: int = 0
    claim: int = 0
    position: int = 0
    spoken: int = 0
    clock: int = 0
    mouth: codecs.Mouth | None = None
    ears: dict[int, codecs.Ear] = field(default_factory=dict)
    heard: list[Heard] = field(default_factory=list)
    rtcp: list[tuple[int, str, Rtcp]] = field(default_factory=list)
    """When, under which key, what."""
    refused: list[bytes] = field(default_factory=list)

    # -- speaking

    def talk(self, now_ns: int) -> list[bytes]:
        """The packets that are complete by now. Without a voice time passes and nothing is sent (DTX)."""
        width = self.width or self.rate * self.ptime // 1000
        until = int((now_ns - self.born_ns) * self.rate * (1 + self.ppm * 1e-6) / 1e9 + 1e-6)
        packets = []
        while self.position + width <= until:
            numbers = np.arange(self.position, self.position + width)
            self.position += width
            if self.voice is not None:
                packets.append(self.say(self.voice(numbers), self.timestamp))
            self.timestamp = self.timestamp + width * (self.clock or self.rate) // self.rate & 0xFFFF_FFFF
        return packets

    def say(self, samples: NDArray[np.int16], timestamp: int | None = None) -> bytes:
        """The next packet, protected if there is a key. Time does not pass."""
        if self.mouth is None:
            self.mouth = codecs.mouth(self.codec, len(samples) * 1000 // self.rate)
        return self.seal(self.rtp(self.mouth.encode(samples), timestamp))

    def rtp(self, payload: bytes, timestamp: int | None = None) -> bytes:
        """The next packet in clear."""
        extension = bytes([self.level_in << 4, self.claim]) if self.level_in else b""
        packet = Rtp(
            payload_type=self.payload_type,
            seq=self.seq,
            timestamp=self.timestamp if timestamp is None else timestamp,
            ssrc=self.ssrc,
            payload=payload,
            profile=0xBEDE if extension else 0,
            extension=extension,
        )
        self.seq = self.seq + 1 & 0xFFFF
        self.spoken += 1
        return packet.pack()

    def seal(self, packet: bytes) -> bytes:
        """Protect a packet of any kind."""
        if self.uplink is None:
            return packet
        rtcp = naive.kind_of(packet) == "rtcp"
        return self.uplink.protect_rtcp(packet) if rtcp else self.uplink.protect(packet)

    # -- hearing

    def receive(self, octets: bytes, at_ns: int) -> None:
        """A datagram from the mixer."""
        rtcp = naive.kind_of(octets) == "rtcp"
        opened = self._open(octets, rtcp)
        if opened is None:
            self.refused.append(octets)
            return
        key, clear = opened
        if rtcp:
            self.rtcp.append((at_ns, key, naive.parse_rtcp(clear)))
            return
        packet = naive.parse_rtp(clear)
        if packet.ssrc not in self.ears:
            self.ears[packet.ssrc] = codecs.ear(self.codec)
        known = packet.payload_type == self.payload_type
        samples = self.ears[packet.ssrc].decode(packet.payload) if known else np.zeros(0, np.int16)
        self.heard.append(Heard(at_ns, key, packet, samples))

    def _open(self, octets: bytes, rtcp: bool) -> tuple[str, bytes] | None:
        if not self.keys:
            return "", octets
        for name, context in self.keys.items():
            try:
                return name, context.unprotect_rtcp(octets) if rtcp else context.unprotect(octets)
            except Refused:
                continue
        return None

    def audio(self, last_ms: int = 0) -> NDArray[np.int16]:
        """What it heard, in the order of its coming; the last so many ms if given."""
        parts = [heard.samples for heard in self.heard]
        joined = np.concatenate(parts) if parts else np.zeros(0, np.int16)
        return joined[-self.rate * last_ms // 1000 :] if last_ms else joined

    def sound(self, last_ms: int = 0) -> NDArray[np.float64]:
        """The same with full scale 1.0, as `tests.tones` takes it."""
        return self.audio(last_ms) / 32768.0

    def forget(self) -> None:
        """Begin the record anew."""
        self.heard.clear()
        self.rtcp.clear()
        self.refused.clear()
