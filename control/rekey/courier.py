"""The courier: key messages over UDP, one a datagram (MIKEY, IANA port 2269).

Knows: addresses of members. Must never know: what is in a message, or when to send it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from control.rekey.signals import Signal

Address: TypeAlias = tuple[str, int]

SEND_BUFFER: Final = 4 << 20
"""Octets asked for: thousands of messages leave at once."""


class Courier(asyncio.DatagramProtocol):
    """A socket for key messages."""

    def __init__(self, hear: Callable[[str, bytes], None]) -> None:
        """`hear`: called with (member, octets) of every datagram from a member's address; others are counted."""
        self._hear = hear
        self._address: dict[str, Address] = {}
        self._member: dict[Address, str] = {}
        self._transport: asyncio.DatagramTransport | None = None
        self.strangers = 0
        """Datagrams from nobody's address."""
        self.unsent = 0
        """Messages to members without an address, or that the kernel did not take."""

    async def open(self, host: str = "0.0.0.0", port: int = 0) -> Address:
        """Bind the socket; returns its address. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, (host, port))
        sock = self._transport.get_extra_info("socket")
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, option, SEND_BUFFER)
        name: Address = self._transport.get_extra_info("sockname")[:2]
        return name

    def close(self) -> None:
        """Close the socket."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def know(self, member: str, address: Address) -> None:
        """Where a member takes key messages, and from where its answers come."""
        self.forget(member)
        self._address[member], self._member[address] = address, member

    def forget(self, member: str) -> None:
        """A member has left. Its address may be another's by now."""
        address = self._address.pop(member, None)
        if address is not None and self._member.get(address) == member:
            del self._member[address]

    def send(self, member: str, octets: bytes) -> None:
        """Send one message; whether it arrives, an acknowledgement will tell."""
        address = self._address.get(member)
        if address is None or self._transport is None:
            self.unsent += 1
            return
        self._transport.sendto(octets, address)

    def signal(self, signal: Signal) -> None:
        """There is no signalling here: who is keyed by it needs a carrier of its owner's."""
        self.unsent += 1

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        member = self._member.get((addr[0], addr[1]))
        if member is None:
            self.strangers += 1
            return
        self._hear(member, data)

    def error_received(self, exc: Exception) -> None:
        self.unsent += 1
