"""Where the peer of an m-line is, in numbers, or that it cannot be used.

Knows c=, the port and a=rtcp (RFC 3605). Must never resolve a name: an SDP would make us ask a server of its choice.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import Final

from control.sdp.model import Connection, Media, Session
from control.sdp.refusal import Unacceptable, Warn

DISCARD: Final = 9
"""The port of those who will tell theirs later, by ICE (RFC 8840 section 4.1.1)."""

_THIS_NETWORK: Final = IPv4Network("0.0.0.0/8")


def remote_of(session: Session, media: Media) -> str | None:
    """`192.0.2.1:4000` or `[2001:db8::1]:4000`; None if the peer names no address (0.0.0.0 or ::).

    Raises:
        Unacceptable: if it is none that we can send to.
    """
    address = _address(media.connection or session.connection)
    if not 1 <= media.port <= 65534:
        raise Unacceptable(Warn.TRANSPORT, f"Port {media.port} cannot be used")
    if address.is_unspecified:
        return None
    return endpoint(address, media.port)


def is_held(session: Session, media: Media) -> bool:
    """Whether the address 0.0.0.0 says hold, the way of RFC 2543. With ICE it only says "later"."""
    return remote_of(session, media) is None and media.port != DISCARD


def rtcp_port_of(media: Media) -> int | None:
    """The port of a=rtcp if it is not the one above that of RTP, which needs no saying."""
    match = re.match(r"[0-9]{1,5}(?= |$)", media.attribute("rtcp") or "")
    port = int(match[0]) if match else 0
    return port if 1 <= port <= 65535 and port != media.port + 1 else None


def endpoint(address: IPv4Address | IPv6Address, port: int) -> str:
    """An address and a port as the mixer takes them."""
    return f"{address}:{port}" if isinstance(address, IPv4Address) else f"[{address}]:{port}"


def _address(connection: Connection | None) -> IPv4Address | IPv6Address:
    if connection is None:
        raise Unacceptable(Warn.NETWORK_ADDRESS, "The m-line has no c= line, nor has the session")
    if connection.network != "IN":
        raise Unacceptable(Warn.NETWORK_PROTOCOL, "Only the Internet is a network here: c=IN")
    try:
        address = _parsed(connection)
    except ValueError:
        # A TTL or a count behind the address lands here too: only multicast has them.
        raise Unacceptable(Warn.NETWORK_ADDRESS, "The c= line must have one numeric unicast address") from None
    if address.is_multicast:
        raise Unacceptable(Warn.MULTICAST, "Multicast is not available")
    if _is_unusable(address):
        raise Unacceptable(Warn.NETWORK_ADDRESS, "The address of the c= line cannot be sent to")
    return address


def _parsed(connection: Connection) -> IPv4Address | IPv6Address:
    if connection.family == "IP4":
        return IPv4Address(connection.address)
    if connection.family != "IP6" or "%" in connection.address:  # a zone means something on its own host only
        raise ValueError
    address = IPv6Address(connection.address)
    return address.ipv4_mapped or address


def _is_unusable(address: IPv4Address | IPv6Address) -> bool:
    """What RFC 6890 sets aside, broadcast with it. Loopback may be used: phones on this host are welcome."""
    if isinstance(address, IPv6Address) or address.is_unspecified:
        return False
    return address.is_reserved or address in _THIS_NETWORK
