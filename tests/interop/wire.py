"""Wire: the place in the network where a foreign client stands.

A telephone sends and receives on one port; ffmpeg and GStreamer are two processes with two. A wire
joins them into one address towards the mixer, passes every datagram on untouched, and keeps a copy.

    sender ---> inner | outer <---> mixer
    listener <--------+
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

Address = tuple[str, int]


class Datagram(NamedTuple):
    """What passed, and when (seconds, monotonic)."""

    at_s: float
    octets: bytes

    @property
    def is_rtcp(self) -> bool:
        """By the payload type, as RFC 5761 section 4 tells them apart."""
        return len(self.octets) > 1 and 192 <= self.octets[1] <= 223

    @property
    def sequence(self) -> int:
        return int.from_bytes(self.octets[2:4])

    @property
    def timestamp(self) -> int:
        return int.from_bytes(self.octets[4:8])

    @property
    def ssrc(self) -> int:
        return int.from_bytes(self.octets[4:8] if self.is_rtcp else self.octets[8:12])


class _Ear(asyncio.DatagramProtocol):
    """A socket's datagrams go into `heard`, and on to wherever `target` is."""

    def __init__(self) -> None:
        self.heard: list[Datagram] = []
        self.target: tuple[asyncio.DatagramTransport, Address] | None = None

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.heard.append(Datagram(time.monotonic(), data))
        if self.target:
            self.target[0].sendto(data, self.target[1])

    def error_received(self, exc: Exception) -> None:
        """A client that has not bound its port yet, or no longer, is no concern of ours."""


@dataclass
class Wire:
    """An open wire. `inner` is where a client sends, `outer` what the mixer sees."""

    inner: int
    outer: Address
    mixer: Address
    from_mixer: list[Datagram]
    from_client: list[Datagram]
    _outside: asyncio.DatagramTransport = field(repr=False)
    _pass_on: Callable[[int], None] = field(repr=False)

    @property
    def remote(self) -> str:
        """The leg's address as `LegAdd.remote` wants it."""
        host, port = self.outer
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def pass_on(self, listener: int) -> None:
        """Let what comes from the mixer go on to this local UDP port from now on."""
        self._pass_on(listener)

    def send(self, octets: bytes) -> None:
        """Send to the mixer as if the client had."""
        self._outside.sendto(octets, self.mixer)

    def rtp(self) -> list[Datagram]:
        return [datagram for datagram in self.from_mixer if not datagram.is_rtcp]

    def rtcp(self) -> list[Datagram]:
        return [datagram for datagram in self.from_mixer if datagram.is_rtcp]


@contextlib.asynccontextmanager
async def open_wire(mixer: Address, listener: int | None = None) -> AsyncIterator[Wire]:
    """Lay a wire to the mixer; what comes from it goes on to the local UDP port `listener`."""
    loop = asyncio.get_running_loop()
    host = mixer[0]
    outside, outer_ear = await loop.create_datagram_endpoint(_Ear, local_addr=(host, 0))
    inside, inner_ear = await loop.create_datagram_endpoint(_Ear, local_addr=("127.0.0.1", 0))
    try:
        inner_ear.target = (outside, mixer)

        def pass_on(to: int) -> None:
            outer_ear.target = (inside, ("127.0.0.1", to))

        if listener is not None:
            pass_on(listener)
        outer: Address = outside.get_extra_info("sockname")[:2]
        inner: int = inside.get_extra_info("sockname")[1]
        yield Wire(inner, outer, mixer, outer_ear.heard, inner_ear.heard, outside, pass_on)
    finally:
        outside.close()
        inside.close()
        await asyncio.sleep(0)  # transports close on the next turn of the loop


def free_port_pair() -> int:
    """An even UDP port, free at this moment together with the one above it."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1]) & ~1
        with contextlib.suppress(OSError):
            for number in (port, port + 1):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                    probe.bind(("127.0.0.1", number))
            return port


def write_pcap(path: Path, datagrams: list[Datagram], source: int, destination: int) -> None:
    """A capture file of these datagrams between two ports of 127.0.0.1; no privilege is needed so.

    Link type 1, Ethernet, the only one that all readers know: SIPp takes no bare IPv4 packets.
    """
    with path.open("wb") as capture:
        capture.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        loopback = bytes([127, 0, 0, 1])
        for at_s, octets in datagrams:
            udp = struct.pack("!HHHH", source, destination, 8 + len(octets), 0) + octets
            ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, loopback, loopback)
            seconds, microseconds = divmod(round(at_s * 1e6), 1_000_000)
            frame = bytes(12) + b"\x08\x00" + ip + udp
            capture.write(struct.pack("<IIII", seconds, microseconds, len(frame), len(frame)) + frame)
