"""A tone as a capture of SRTP, for a program that can replay packets but not encrypt them.

Knows: the reference SRTP of the tests. Must never know: who replays it.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

from tests.interop.wire import Datagram, write_pcap
from tests.reference.srtp import Context
from tests.tones import sine, ulaw_encode

SUITE: Final = "AES_CM_128_HMAC_SHA1_80"
SSRC: Final = 0x51504501

_FRAME: Final = 160
_PTIME_S: Final = 0.02


def write_srtp_tone(path: Path, key: bytes, hertz: float, *, seconds: float, first: int = 1) -> Path:
    """PCMU of a tone under `key`, the first packet with sequence number `first`."""
    context, payload = Context(SUITE, key), ulaw_encode(sine(hertz, seconds))
    datagrams = []
    for n in range(len(payload) // _FRAME):
        number = first + n
        header = struct.pack("!BBHII", 0x80, 0, number & 0xFFFF, number * _FRAME & 0xFFFFFFFF, SSRC)
        packet = context.protect(header + payload[n * _FRAME : (n + 1) * _FRAME])
        datagrams.append(Datagram(n * _PTIME_S, packet))
    write_pcap(path, datagrams, source=6000, destination=6000)
    return path


def packets_of(seconds: float) -> int:
    """How many packets so long a tone has."""
    return round(seconds / _PTIME_S)
