"""Flow: the way on which a message came, and on which the answer goes back. A value; it holds no socket."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Literal

Transport = Literal["udp", "tcp", "tls"]
Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Flow:
    """One UDP peer, or one connection."""

    transport: Transport
    local: Address
    remote: Address
    identities: frozenset[str] = frozenset()
    """Names in the verified certificate of a TLS client; empty if it showed none."""
    connection: int = 0
    """Tells connections apart; 0 for UDP."""

    @property
    def secure(self) -> bool:
        """Nobody between reads along."""
        return self.transport == "tls"

    @property
    def loopback(self) -> bool:
        """The peer is on this machine."""
        try:
            return ipaddress.ip_address(self.remote[0]).is_loopback
        except ValueError:
            return False

    @property
    def reliable(self) -> bool:
        """The transport retransmits by itself."""
        return self.transport != "udp"


def host_and_port(address: Address) -> str:
    """As in a Via or a URI: an IPv6 address in brackets."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
