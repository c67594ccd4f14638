"""Sockets: every transport of one user agent, on asyncio. Knows addresses and octets; never what is in them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, cast

from control.sip.errors import TransportLost
from control.sip.flows import Address, Flow, Transport
from control.sip.framing import Unframed
from control.sip.settings import SipSettings
from control.sip.streams import Streams, Upward
from control.sip.uris import parameter_of, parse_uri

RECEIVE_BUFFER: Final = 4 << 20
"""Octets to ask for: when a large room is rekeyed, all its phones answer at the same time. The kernel grants what
net.core.rmem_max allows; its own default is full of some two hundred messages."""


class Sockets:
    """UDP, TCP and TLS, as far as they are set."""

    def __init__(self, settings: SipSettings, upward: Upward) -> None:
        self._settings = settings
        self._udp = _Datagrams(settings, upward)
        self._streams = Streams(settings, upward)
        self.listening: dict[str, Address] = {}

    async def open(self) -> None:
        """Listen on every transport that has a port.

        Raises:
            OSError: an address is taken, or not ours.
            TlsFilesUnfit: TLS is wanted without what it needs.
        """
        settings = self._settings
        try:
            if settings.udp_port >= 0:
                with _named("UDP", settings.host, settings.udp_port):
                    self.listening["udp"] = await self._udp.open(settings.host, settings.udp_port)
            if settings.tcp_port >= 0:
                with _named("TCP", settings.host, settings.tcp_port):
                    self.listening["tcp"] = await self._streams.listen("tcp", settings.tcp_port)
            if settings.tls_port >= 0:
                with _named("TLS", settings.host, settings.tls_port):
                    self.listening["tls"] = await self._streams.listen("tls", settings.tls_port)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close all."""
        self._udp.close()
        await self._streams.close()
        self.listening.clear()

    def send(self, flow: Flow, octets: bytes) -> bool:
        """Put octets on a flow; False if it is gone."""
        return self._streams.send(flow, octets) if flow.reliable else self._udp.send(flow, octets)

    async def way(self, uri: str) -> Flow:
        """The flow on which a URI is reached (RFC 3263 without its DNS records: a name is a host).

        Raises:
            TransportLost: there is none.
        """
        try:
            target, kind = parse_uri(uri), transport_of(uri, self.listening)
            host, port = target.host.strip("[]"), target.port or (5061 if kind == "tls" else 5060)
            family = socket.AF_INET6 if ":" in self._settings.host else socket.AF_INET
            found = await asyncio.get_running_loop().getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        except (ValueError, OSError) as error:
            raise TransportLost(f"there is no way to {uri}: {error}") from None
        address = cast(Address, found[0][4][:2])
        if kind == "udp":
            if "udp" not in self.listening:
                raise TransportLost(f"there is no way to {uri}: UDP is not open here")
            return Flow("udp", self.listening["udp"], address)
        return await self._streams.connect(kind, address, host)

    def here(self, flow: Flow) -> Address:
        """Where the peer of a flow can reach us."""
        host, port = self.listening.get(flow.transport, flow.local)
        if self._settings.advertise:
            return self._settings.advertise, port
        return (source_towards(flow.remote[0]) if host in {"0.0.0.0", "::"} else host), port


def transport_of(uri: str, listening: dict[str, Address]) -> Transport:
    """What a URI asks for; without a wish UDP, or else what there is."""
    wish = parameter_of(uri, "transport")
    if uri.lower().startswith("sips:") or wish == "tls":
        return "tls"
    if wish == "tcp" or (wish is None and "udp" not in listening):
        return "tcp"
    if wish in {None, "udp"}:
        return "udp"
    raise ValueError(f"no transport {wish} here: use udp, tcp or tls")


@lru_cache(maxsize=1024)
def source_towards(host: str) -> str:
    """Our address as the routing table has it: connecting a datagram socket sends nothing."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "::1" if family == socket.AF_INET6 else "127.0.0.1"


@contextlib.contextmanager
def _named(what: str, host: str, port: int) -> Iterator[None]:
    """An address that cannot be bound is named, in the same words whatever the transport."""
    try:
        yield
    except OSError as error:
        # uvloop tells of UDP without a number; its cause has one. A name that is not known has a negative one.
        # Where asyncio of 3.13 has tried every address of a host there is neither: none of them is ours.
        cause = error if error.errno is not None else error.__cause__
        number = cause.errno if isinstance(cause, OSError) else errno.EADDRNOTAVAIL
        why = os.strerror(number) if number is not None and number > 0 else error.strerror or error
        raise OSError(f"{what} {host}:{port} is not to be had ({why}); choose another host or port") from None


class _Datagrams(asyncio.DatagramProtocol):
    """The UDP socket."""

    def __init__(self, settings: SipSettings, upward: Upward) -> None:
        self._limit = settings.max_message
        self._upward = upward
        self._transport: asyncio.DatagramTransport | None = None
        self._address: Address = ("", 0)

    async def open(self, host: str, port: int) -> Address:
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, local_addr=(host, port))
        return self._address

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(
            asyncio.DatagramTransport, transport
        )  # no isinstance: uvloop's is of no class of asyncio's
        self._address = transport.get_extra_info("sockname")[:2]
        with contextlib.suppress(OSError):
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        flow = Flow("udp", self._address, addr[:2])
        if len(data) > self._limit:
            self._upward.unframed(Unframed(f"more than {self._limit} octets", 513, data), flow)
        elif len(data) > 4:  # else a keep-alive: phones send CRLF or zeros
            self._upward.received(data, flow)

    def error_received(self, exc: Exception) -> None:
        """An ICMP error of some peer: its transaction times out."""

    def send(self, flow: Flow, octets: bytes) -> bool:
        if self._transport is None or self._transport.is_closing():
            return False
        self._transport.sendto(octets, flow.remote)
        return True

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
