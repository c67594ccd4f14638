"""A phone: one SRTP endpoint that says a WAV file and records what it hears.

    keys = Keys("AES_CM_128_HMAC_SHA1_80", hear=[HearingKey(group)], send=mine)
    phone = await Phone.open(keys, said=samples)
    ... LegAdd(remote=phone.address, ssrc=phone.ssrc, ...)
    await phone.call(mixer_port, seconds=10)
    write_wav("heard.wav", phone.heard(), 8000)

The plain way, a packet at a time: this is the example of a client. A phone holds every key that it may
hear packets under (the group's and its own), tries the one whose MKI the packet carries, and follows
the mixer from one SSRC to the next. What it hears is put in order by arrival, since a mixer sends one
stream at a time to a leg.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
import wave
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import numpy as np

from bench.codec import Codec, Samples, codec
from bench.srtp import PacketSession

PTIME_NS = 20_000_000
_HEADER = 12


@dataclass(frozen=True)
class HearingKey:
    """A key that the mixer may use towards us."""

    secret: bytes = field(repr=False)
    mki: bytes = b""


@dataclass(frozen=True)
class Keys:
    """What a phone was told of keys."""

    suite: str
    hear: list[HearingKey]
    send: bytes = field(default=b"", repr=False)
    """key || salt of what it sends; empty for a phone that only listens."""
    send_mki: bytes = b""
    roc: int = 0
    """Rollover counter at which it begins to send."""


class Phone(asyncio.DatagramProtocol):
    """One endpoint on loopback. Open it, tell the mixer its address, call."""

    def __init__(self, keys: Keys, voice: Codec, said: Samples, ssrc: int, name: str) -> None:
        self.name = name
        self.ssrc = ssrc
        self.said = said
        self.refused = 0
        """Packets that no key opened."""
        self.sealed: dict[tuple[int, int], bytes] = {}
        """Digests of the packets as they came, by SSRC and sequence number: who shares an encryption."""
        self.received = 0
        self.ssrcs: list[int] = []
        """Streams heard, in the order in which they appeared."""
        self.said_ns: list[int] = []
        """When each packet was sent (CLOCK_MONOTONIC)."""
        self.heard_ns: list[int] = []
        """When each packet arrived whose samples are in `heard`."""
        self._keys = keys
        self._voice = voice
        self._sender = (
            PacketSession(keys.suite, keys.send, ssrc=ssrc, roc=keys.roc, mki=keys.send_mki) if keys.send else None
        )
        self._openers = [PacketSession(keys.suite, key.secret, mki=key.mki) for key in keys.hear]
        self._heard: list[Samples] = []
        self._sequence = secrets.randbelow(1 << 15)
        self._timestamp = secrets.randbits(32)
        self._transport: asyncio.DatagramTransport

    @classmethod
    async def open(
        cls,
        keys: Keys,
        *,
        said: Samples | None = None,
        voice: Codec | None = None,
        ssrc: int | None = None,
        host: str = "127.0.0.1",
        name: str = "phone",
    ) -> Phone:
        """A phone with a socket of its own. It says `said` once, and silence after it."""
        phone = cls(
            keys,
            voice or codec("PCMU"),
            said if said is not None else np.zeros(0, np.float32),
            ssrc or 1 + secrets.randbits(31),
            name,
        )
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: phone, (host, 0))
        return phone

    async def __aenter__(self) -> Phone:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def address(self) -> str:
        """Where it hears, as the mixer wants to be told."""
        host, port = self._transport.get_extra_info("sockname")[:2]
        return f"{host}:{port}"

    async def call(self, port: int, seconds: float, host: str = "127.0.0.1") -> None:
        """Talk (if there is a key to talk with) and listen for so long, on a clock of its own."""
        begin = time.monotonic_ns()
        for tick in range(round(seconds * 50)):
            if self._sender is not None:
                self._send(self._sender, (host, port), tick)
            await asyncio.sleep((begin + (tick + 1) * PTIME_NS - time.monotonic_ns()) / 1e9)

    def speaking(self) -> bool:
        """Whether what it says right now is more than silence."""
        now = len(self.said_ns) * self._voice.samples()
        return bool(np.abs(self.said[max(0, now - self._voice.rate // 5) : now]).max(initial=0.0) > 0.01)

    def heard(self) -> Samples:
        """float32[n]: everything it heard so far."""
        return np.concatenate(self._heard) if self._heard else np.zeros(0, np.float32)

    def recent(self, seconds: float = 0.2) -> Samples:
        """What it heard last."""
        packets = self._heard[-max(1, round(seconds * 50)) :]
        return np.concatenate(packets) if packets else np.zeros(0, np.float32)

    def close(self) -> None:
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        now = time.monotonic_ns()
        if len(data) < _HEADER or data[0] >> 6 != 2 or 192 <= data[1] <= 223:
            return  # RTCP, which a simple phone may ignore, or nothing of ours
        self.received += 1
        for opener in self._openers:
            clear = opener.unprotect(data)
            if clear is not None:
                self._take(clear, now)
                name = int.from_bytes(data[8:12], "big"), int.from_bytes(data[2:4], "big")
                self.sealed[name] = hashlib.sha256(data).digest()
                return
        self.refused += 1

    def _send(self, sender: PacketSession, mixer: tuple[str, int], tick: int) -> None:
        samples = self._voice.samples()
        block = np.zeros(samples, np.float32)
        part = self.said[tick * samples : (tick + 1) * samples]
        block[: len(part)] = part
        header = bytes([0x80, self._voice.payload_type | (0x80 if tick == 0 else 0)])
        header += (self._sequence + tick & 0xFFFF).to_bytes(2, "big")
        header += (self._timestamp + tick * samples & 0xFFFF_FFFF).to_bytes(4, "big")
        header += self.ssrc.to_bytes(4, "big")
        self.said_ns.append(time.monotonic_ns())
        self._transport.sendto(sender.protect(header + self._voice.encode(block).tobytes()), mixer)

    def _take(self, packet: bytes, now: int) -> None:
        ssrc = int.from_bytes(packet[8:12], "big")
        if ssrc not in self.ssrcs:
            self.ssrcs.append(ssrc)
        start = _HEADER + 4 * (packet[0] & 0x0F)
        if packet[0] & 0x10:
            start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
        payload = packet[start:]
        if payload and len(payload) % (self._voice.samples() * self._voice.width) == 0:
            self._heard.append(self._voice.decode(np.frombuffer(payload, np.uint8)))
            self.heard_ns.append(now)


def tone(hz: float, seconds: float, rate: int = 8000, level: float = 0.2) -> Samples:
    """float32: a sine."""
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def read_wav(path: Path) -> tuple[Samples, int]:
    """Samples of a PCM16 mono WAV file, and their rate.

    Raises:
        ValueError: if it is another kind of WAV file.
    """
    with wave.open(str(path), "rb") as file:
        if (file.getnchannels(), file.getsampwidth()) != (1, 2):
            raise ValueError(f"{path} is not mono with 16 bits a sample")
        words = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return (words / np.float32(32768.0)).astype(np.float32), file.getframerate()


def write_wav(path: Path, samples: Samples, rate: int) -> None:
    """Write a PCM16 mono WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.clip(np.rint(samples * 32768.0), -32768, 32767).astype("<i2").tobytes())
