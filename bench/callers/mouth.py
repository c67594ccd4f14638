"""What a caller says: its voice cut into payloads once, numbered as RTP packet by packet. Must never know sockets."""

from __future__ import annotations

import secrets
import struct
from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np

from bench.callers.keypad import Keypad
from bench.codec import Samples
from bench.coder import Coder

Seal: TypeAlias = Callable[[bytes], bytes]
"""Protects a clear packet."""
_RTP: Final = struct.Struct("!BBHII")
_MARKED: Final = 0x80
PACKETS_PER_S: Final = 50


class Mouth:
    """One stream of RTP. It says `said` over and over, or once and then silence."""

    def __init__(self, voice: Coder, said: Samples, ssrc: int, *, over_and_over: bool = True) -> None:
        self.ssrc = ssrc
        self.spoken = 0
        """Packets said."""
        self._payload_type = voice.payload_type
        self._samples = voice.clock // PACKETS_PER_S
        self._payloads = _payloads(voice, said, over_and_over)
        self._silence = voice.packets(np.zeros(voice.rate, np.float32))[-1]
        self._over_and_over = over_and_over
        self._sequence = secrets.randbelow(1 << 14)
        self._timestamp = secrets.randbits(32)
        self._begins = True
        self._keypad = Keypad()
        self._event_type, self._pressed_at = 0, 0

    @property
    def roc(self) -> int:
        """Rollover counter of the packet to come: another key goes on with it (RFC 3711 section 3.2.1)."""
        return self._sequence >> 16

    def says_as(self, payload_type: int) -> None:
        """The payload type that the other side wants to receive."""
        self._payload_type = payload_type

    def press(self, keys: str, payload_type: int) -> None:
        """Say keys in place of its voice, as telephone events of this payload type."""
        self._event_type = payload_type
        self._keypad.press(keys, self._samples)

    def pause(self) -> None:
        """What comes next is the beginning of a talkspurt."""
        self._begins = True

    def packet(self, tick: int) -> bytes:
        """The clear packet of a tick; ticks may be left out."""
        timestamp = self._timestamp + tick * self._samples
        step = self._keypad.step()
        if step is None:
            marked, self._begins = self._begins, False
            return self._numbered(marked, self._payload_type, timestamp) + self.payload(tick)
        if step.first:
            self._pressed_at = timestamp
        return self._numbered(step.first, self._event_type, self._pressed_at) + step.payload

    def _numbered(self, marked: bool, payload_type: int, timestamp: int) -> bytes:
        """The header of the next packet."""
        second = payload_type | (_MARKED if marked else 0)
        header = _RTP.pack(0x80, second, self._sequence & 0xFFFF, timestamp & 0xFFFFFFFF, self.ssrc)
        self._sequence += 1
        self.spoken += 1
        return header

    def payload(self, tick: int) -> bytes:
        """What it says at a tick."""
        if self._over_and_over and self._payloads:
            return self._payloads[tick % len(self._payloads)]
        return self._payloads[tick] if tick < len(self._payloads) else self._silence


def _payloads(voice: Coder, said: Samples, again: bool) -> list[bytes]:
    """Whole packets; the last is filled up with silence. What is said `again` follows upon itself."""
    if not len(said):
        return []
    padded = np.concatenate([said, np.zeros(-len(said) % (voice.rate // PACKETS_PER_S), np.float32)])
    packets = voice.packets(np.tile(padded, 2) if again else padded)
    return packets[len(packets) // 2 :] if again else packets
