"""Sockets: UDP on asyncio. Knows addresses and octets; must never know what is in them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from control.sip.flows import Address, Flow

Receive = Callable[[bytes, Flow], None]


class UdpSocket(asyncio.DatagramProtocol):
    """One bound socket."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._transport: asyncio.DatagramTransport | None = None
        self.address: Address = ("", 0)

    async def open(self, host: str, port: int) -> None:
        """Bind it; port 0 is any free one."""
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, local_addr=(host, port))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # No isinstance: the transports of uvloop are of no class of asyncio's.
        self._transport = cast(asyncio.DatagramTransport, transport)
        self.address = transport.get_extra_info("sockname")[:2]

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._receive(data, Flow("udp", self.address, addr[:2]))

    def error_received(self, exc: Exception) -> None:
        """An ICMP error of some peer: its transaction times out."""

    def send(self, flow: Flow, octets: bytes) -> bool:
        """False if the socket is closed."""
        if self._transport is None or self._transport.is_closing():
            return False
        self._transport.sendto(octets, flow.remote)
        return True

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
