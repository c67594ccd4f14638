"""SipSettings: every knob of the user agent, with a default that works on one machine."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

Port: TypeAlias = Annotated[int, msgspec.Meta(ge=-1, le=65535)]
Seconds: TypeAlias = Annotated[float, msgspec.Meta(gt=0.0, le=3600.0)]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


class SipSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[sip]` table: where to listen, what to say of oneself, and how much to bear."""

    host: str = "127.0.0.1"
    """The address to listen at; `0.0.0.0` for all of IPv4."""
    advertise: str = ""
    """The host in Contact and Via, if it is not the address that a message came to (NAT, a name)."""
    udp_port: Port = 5060
    """-1: none; 0: any free port. So for all three."""
    tcp_port: Port = 5060
    """See `udp_port`."""
    tls_port: Port = -1
    """See `udp_port`. Needs `certificate` and `key`."""
    certificate: str = ""
    """PEM file with our certificate (chain)."""
    key: str = ""
    """PEM file with its private key."""
    authority: str = ""
    """PEM file with the authority that signs clients: who shows a certificate must have it from there. Nobody has to
    show one, unless a room wants it."""
    domains: tuple[str, ...] = ()
    """Host names that are ours; with none, every name is. The first is that of our own URIs."""
    user_agent: str = "mrfp"
    """What we call ourselves in Server and User-Agent."""
    t1: Seconds = 0.5
    """Estimate of a round trip, s (RFC 3261 section 17.1.1.1): the first retransmission, and 1/64 of a transaction."""
    t2: Seconds = 4.0
    """The longest pause between retransmissions of anything but INVITE, s."""
    t4: Seconds = 5.0
    """So long may a message stay in the network, s."""
    max_message: Annotated[int, msgspec.Meta(ge=1024, le=1_048_576)] = 65535
    """Octets of a message; a longer one is 513, or the end of its connection."""
    max_connections: Count = 1000
    """TCP and TLS connections at a time."""
    max_connections_per_source: Count = 200
    """Of one address."""
    idle_s: Annotated[float, msgspec.Meta(gt=0.0)] = 600.0
    """A connection on which nothing comes, not even a keep-alive, for so long is closed."""
    message_s: Seconds = 10.0
    """A message that has begun on a connection must be complete after so long."""
    max_transactions: Count = 20000
    """Requests in work or remembered; beyond them there is 503."""
    max_transactions_per_source: Count = 10000
    """Of one address."""
    max_pending: Count = 2000
    """INVITEs that nobody has answered yet."""
    max_pending_per_source: Count = 500
    """Of one address."""
    retry_after_s: Count = 5
    """What is said to those for whom there is no room."""
