"""The media ports: which sockets are open, which of them are ready, and through which one a packet leaves.

A local port has a number of its own (see `Batch.local`): 0 and 1 are the shared RTP and RTCP port, the
others belong to legs that asked for a pair. Each has a socket for every address family that is served.
"""

from __future__ import annotations

import contextlib
import select
import socket
from dataclasses import dataclass
from typing import Final

from mixer.batch import Fanout
from mixer.config import MixerConfig
from mixer.routes import FIRST_LEG_PORT
from mixer.udp import Receiver, UdpError, UdpSocket

ANY_PORT_TRIES: Final = 100


@dataclass(slots=True)
class Port:
    """The sockets of one local port, by address family."""

    sockets: dict[int, UdpSocket]
    leg: str = ""
    """Whose it is; empty for a shared port."""

    @property
    def number(self) -> int:
        """The UDP port number."""
        return next(iter(self.sockets.values())).port

    def close(self) -> None:
        for one in self.sockets.values():
            one.close()


class Ports:
    """All open media ports.

    Raises:
        UdpError: if the shared ports can't be had.
    """

    def __init__(self, config: MixerConfig) -> None:
        self._config = config
        self._ready = select.epoll()
        self._by_fd: dict[int, tuple[UdpSocket, int]] = {}
        self._open: dict[int, Port] = {}
        self._next = config.leg_ports[0]
        rtp, rtcp = self._shared_pair()
        self._adopt(0, rtp)
        self._adopt(1, rtcp)

    @property
    def shared(self) -> int:
        """UDP port number of the shared media port."""
        return self._open[0].number

    @property
    def granted_rcvbuf(self) -> int:
        """The receive buffer that the shared media port got, octets."""
        return min(one.granted_rcvbuf for one in self._open[0].sockets.values())

    @property
    def unsent(self) -> int:
        """Packets that the kernel refused or had no room for, on the ports now open."""
        return sum(one.unsent for port in self._open.values() for one in port.sockets.values())

    def close(self) -> None:
        """Close everything."""
        for port in self._open.values():
            port.close()
        self._ready.close()

    # -- packets ------------------------------------------------------------------------------

    def fill(self, receiver: Receiver, origin_ns: int) -> None:
        """Append what waits in all sockets to a batch, as far as it fits."""
        for fd, _events in self._ready.poll(0):
            one, local = self._by_fd[fd]
            receiver.fill(one, local, origin_ns)

    def send(self, fanout: Fanout) -> None:
        """Send every packet from the local port, and in the family, that its destination needs."""
        for local, family, some in _by_socket(fanout):
            port = self._open.get(local)
            if port and family in port.sockets:
                port.sockets[family].send(some)

    # -- ports of legs ------------------------------------------------------------------------

    def pair(self, leg: str) -> tuple[Port, Port] | None:
        """A free pair of ports for a leg, even and odd; None if there is none left."""
        first, last = self._config.leg_ports
        for _ in range(first, last + 1, 2):
            number = self._next
            self._next = number + 2 if number + 2 <= last else first
            with contextlib.suppress(UdpError):
                rtp, rtcp = self._pair(number)
                rtp.leg = rtcp.leg = leg
                return rtp, rtcp
        return None

    def adopt(self, local: int, rtp: Port, rtcp: Port) -> None:
        """Put a pair into service under an even local number and the next."""
        for number, port in ((local, rtp), (local + 1, rtcp)):
            self.drop(number)
            self._adopt(number, port)

    def of_legs(self) -> list[tuple[int, str]]:
        """Local numbers of legs' ports, and whose they are."""
        return [(local, port.leg) for local, port in self._open.items() if local >= FIRST_LEG_PORT]

    def drop(self, local: int) -> None:
        """Close a port."""
        port = self._open.pop(local, None)
        if port:
            for one in port.sockets.values():
                self._ready.unregister(one.fileno())
                del self._by_fd[one.fileno()]
            port.close()

    def _adopt(self, local: int, port: Port) -> None:
        self._open[local] = port
        for one in port.sockets.values():
            self._ready.register(one.fileno(), select.EPOLLIN)
            self._by_fd[one.fileno()] = (one, local)

    # -- opening ------------------------------------------------------------------------------

    def _shared_pair(self) -> tuple[Port, Port]:
        tries = ANY_PORT_TRIES if self._config.port == 0 else 1
        for _ in range(tries - 1):
            with contextlib.suppress(UdpError):
                return self._pair(self._config.port)
        return self._pair(self._config.port)

    def _pair(self, number: int) -> tuple[Port, Port]:
        """An even port, any if `number` is 0, and the one above it."""
        rtp = self._port(number)
        try:
            if rtp.number % 2:
                raise UdpError(f"port {rtp.number} is odd; RTP takes an even one and RTCP the next")
            return rtp, self._port(rtp.number + 1)
        except UdpError:
            rtp.close()
            raise

    def _port(self, number: int) -> Port:
        """Sockets of both families, as configured, on one port number."""
        config = self._config
        port = Port({})
        try:
            for family, host in ((socket.AF_INET, config.host), (socket.AF_INET6, config.host6)):
                if host:
                    sizes = {"receive_buffer": config.receive_buffer, "send_buffer": config.send_buffer}
                    port.sockets[int(family)] = UdpSocket(family, host, number, **sizes)
                    number = port.number
        except UdpError:
            port.close()
            raise
        if not port.sockets:
            raise UdpError("neither `host` nor `host6` is set; the mixer needs one of them")
        return port


def _by_socket(fanout: Fanout) -> list[tuple[int, int, Fanout]]:
    """Split a fanout by local port and address family; nearly always it is one piece."""
    kind = fanout.local * 256 + fanout.address[:, 0].astype(int)
    if not len(kind):
        return []
    first = int(kind[0])
    if (kind == first).all():
        return [(first >> 8, first & 255, fanout)]
    pieces = []
    for one in sorted(set(kind.tolist())):
        some = kind == one
        piece = Fanout(fanout.octets, fanout.length, fanout.packet[some], fanout.address[some], fanout.local[some])
        pieces.append((one >> 8, one & 255, piece))
    return pieces
