"""SipSettings: every knob of the user agent, with a default that works on one machine."""

from __future__ import annotations

import msgspec


class SipSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to listen, what to say of oneself, and how much to bear."""

    host: str = "127.0.0.1"
    advertise: str = ""
    """The host in Contact and Via, if it is not the address that a message came to (NAT, a name)."""
    udp_port: int = 5060
    """-1: none; 0: any free port. So for all three."""
    tcp_port: int = 5060
    tls_port: int = -1
    certificate: str = ""
    """PEM files. TLS needs the first two; clients that show a certificate must have it from the third."""
    key: str = ""
    authority: str = ""
    domains: tuple[str, ...] = ()
    """Host names that are ours; with none, every name is."""
    user_agent: str = "mrfp"
    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0
    max_message: int = 65535
    max_connections: int = 1000
    max_connections_per_source: int = 200
    idle_s: float = 600.0
    """A connection on which nothing comes, not even a keep-alive, for so long is closed."""
    message_s: float = 10.0
    """A message that has begun on a connection must be complete after so long."""
    max_transactions: int = 20000
    max_transactions_per_source: int = 10000
    max_pending: int = 2000
    """INVITEs that nobody has answered yet."""
    max_pending_per_source: int = 500
    retry_after_s: int = 5
    """What is said to those for whom there is no room."""
