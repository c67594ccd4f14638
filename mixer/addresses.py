"""Socket addresses as octets: what the kernel reads and writes, padded to `SOCKADDR` (Linux layout).

IPv4 addresses inside IPv6 (RFC 4291 section 2.5.5.2) are turned into IPv4: each family has a socket.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer.batch import SOCKADDR

AF_INET: Final = 2
AF_INET6: Final = 10


class AddressError(ValueError):
    """Not an address and port."""


def pack(endpoint: str) -> NDArray[np.uint8]:
    """uint8[SOCKADDR] of `192.0.2.1:4000` or `[2001:db8::1]:4000`.

    Raises:
        AddressError: if it is neither, or the port is not 1 to 65534.
    """
    host, _, port_text = endpoint.rpartition(":")
    try:
        address = ipaddress.ip_address(host.strip("[]"))
        port = int(port_text)
    except ValueError:
        raise AddressError(f"{endpoint!r} is not an address; write 192.0.2.1:4000 or [2001:db8::1]:4000") from None
    if not 1 <= port <= 65534:
        raise AddressError(f"port {port} of {endpoint!r} is not in 1 to 65534")
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if isinstance(address, ipaddress.IPv4Address):
        octets = struct.pack("=H", AF_INET) + struct.pack("!H", port) + address.packed
    else:
        octets = struct.pack("=H", AF_INET6) + struct.pack("!HI", port, 0) + address.packed
    return np.frombuffer(octets.ljust(SOCKADDR, b"\0"), np.uint8)


def unpack(octets: NDArray[np.uint8]) -> str:
    """The endpoint of a sockaddr as text, empty if it is unset."""
    raw = octets.tobytes()
    (family,) = struct.unpack_from("=H", raw)
    (port,) = struct.unpack_from("!H", raw, 2)
    if family == AF_INET:
        return f"{ipaddress.IPv4Address(raw[4:8])}:{port}"
    if family == AF_INET6:
        return f"[{ipaddress.IPv6Address(raw[8:24])}]:{port}"
    return ""


def next_port(octets: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same address, one port up: where RTCP goes without rtcp-mux (RFC 3550 section 11)."""
    copy = octets.copy()
    port = min(65535, (int(copy[2]) << 8 | int(copy[3])) + 1)
    copy[2], copy[3] = port >> 8 & 255, port & 255
    return copy
