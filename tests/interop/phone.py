"""Phone: an endpoint of our own on the reference SRTP, where a test must see or forge single packets."""

from __future__ import annotations

import asyncio
import struct
import time
from dataclasses import dataclass, field

import numpy as np

from tests.interop.wire import Datagram, Wire
from tests.reference.srtp import Context, Refused
from tests.tones import Samples, sine, ulaw_decode, ulaw_encode

FRAME = 160
"""Samples in 20 ms of PCMU."""


@dataclass
class Phone:
    """Speaks PCMU through a wire. No `uplink` or `downlink` context means clear RTP."""

    wire: Wire
    ssrc: int
    uplink: Context | None = None
    downlink: Context | None = None
    sequence: int = 1000
    timestamp: int = 5000
    refused: list[str] = field(default_factory=list)

    def packet(self, payload: bytes) -> bytes:
        """The next RTP packet, protected if there is a key."""
        header = struct.pack("!BBHII", 0x80, 0, self.sequence, self.timestamp, self.ssrc)
        self.sequence = self.sequence + 1 & 0xFFFF
        self.timestamp = self.timestamp + FRAME & 0xFFFFFFFF
        clear = header + payload
        return self.uplink.protect(clear) if self.uplink else clear

    async def say(self, hertz: int, seconds: float) -> None:
        """Send a tone at -12 dBFS in true time."""
        tone = sine(hertz, seconds)
        start = time.monotonic()
        for n in range(len(tone) // FRAME):
            self.wire.send(self.packet(ulaw_encode(tone[n * FRAME : (n + 1) * FRAME])))
            await asyncio.sleep(max(0.0, start + 0.02 * (n + 1) - time.monotonic()))

    def clear(self) -> list[Datagram]:
        """The RTP packets that came, decrypted; those that would not be are in `refused`."""
        packets = []
        for datagram in self.wire.rtp():
            try:
                octets = self.downlink.unprotect(datagram.octets) if self.downlink else datagram.octets
            except Refused as reason:
                self.refused.append(str(reason))
            else:
                packets.append(Datagram(datagram.at_s, octets))
        return packets

    def heard(self) -> Samples:
        """What came, decoded in the order of its coming."""
        payloads = [datagram.octets[12 + 4 * (datagram.octets[0] & 15) :] for datagram in self.clear()]
        return ulaw_decode(b"".join(payloads)) if payloads else np.zeros(0)
