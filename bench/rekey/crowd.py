"""A crowd: one UDP socket that is thousands of members, each with an address of its own in 127.0.0.0/8.

Knows: IP_PKTINFO, which says for whom a datagram is, and from whom one comes. Must never know: what is in them.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
from typing import Final

from bench.plan import FIRST_ADDRESS
from bench.sockets import open_socket

_IP_PKTINFO: Final = 8
_INFO: Final = struct.Struct("=i4s4s")
_ROOM: Final = socket.CMSG_SPACE(_INFO.size)
_LARGEST: Final = 2048


class Crowd:
    """The key channel of all members."""

    def __init__(self) -> None:
        self._socket = open_socket("0.0.0.0")
        self._socket.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        with contextlib.suppress(PermissionError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]

    def fileno(self) -> int:
        return self._socket.fileno()

    def address(self, member: int) -> tuple[str, int]:
        """Where a member is reached."""
        return str(ipaddress.IPv4Address(FIRST_ADDRESS + member)), self.port

    def receive(self) -> list[tuple[int, bytes, tuple[str, int]]]:
        """Everything that waits: (member, octets, sender)."""
        got: list[tuple[int, bytes, tuple[str, int]]] = []
        while True:
            try:
                octets, ancillary, _, sender = self._socket.recvmsg(_LARGEST, _ROOM)
            except BlockingIOError:
                return got
            for level, kind, data in ancillary:
                if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
                    destination = int.from_bytes(_INFO.unpack(data[: _INFO.size])[2])
                    got.append((destination - FIRST_ADDRESS, octets, sender))

    def send(self, member: int, octets: bytes, to: tuple[str, int]) -> None:
        """Send from a member's address."""
        info = _INFO.pack(0, (FIRST_ADDRESS + member).to_bytes(4), bytes(4))
        self._socket.sendmsg([octets], [(socket.IPPROTO_IP, _IP_PKTINFO, info)], 0, to)

    def close(self) -> None:
        self._socket.close()
