"""MixerConfig: what an operator may choose about the data plane. Every field has a working default."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Port = Annotated[int, msgspec.Meta(ge=0, le=65534)]


class MixerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[mixer]` table of `mrfp.toml`."""

    host: str = "0.0.0.0"
    """IPv4 address that the media ports are bound to; empty for no IPv4."""
    host6: str = ""
    """IPv6 address that the media ports are bound to, `::` for all; empty for no IPv6."""
    port: Port = 40000
    """The shared media port, even; RTCP without rtcp-mux is on the port above. 0 takes any free pair."""
    leg_ports: tuple[Port, Port] = (50000, 59998)
    """First and last even port for legs that ask for a port of their own."""
    tick_ms: Literal[10, 20] = 20
    """The mixing interval. Packets of 10 ms leave in pairs when it is 20."""
    codec_threads: Annotated[int, msgspec.Meta(ge=0, le=64)] = 0
    """Threads that encode and decode codecs with memory (Opus, G.722, AMR); 0: one for each core that the mixer may
    use. All else is done by one."""
    max_legs: Annotated[int, msgspec.Meta(ge=1, le=65536)] = 8192
    """Legs that may exist at a time. Their buffers take memory only once used."""
    receive_buffer: Annotated[int, msgspec.Meta(ge=65536)] = 16 << 20
    """SO_RCVBUF to ask for, octets; what was granted is reported. 2,000 legs fill 1.5 MB in 20 ms."""
    send_buffer: Annotated[int, msgspec.Meta(ge=65536)] = 8 << 20
    """SO_SNDBUF to ask for, octets."""
    cname: str = "mixer@mrfp.invalid"
    """RTCP CNAME of all streams of this mixer (RFC 3550 section 6.5.1)."""
    soft_epoch_packets: Annotated[int, msgspec.Meta(ge=1)] = 1 << 24
    """Packets of one stream under one group key after which `key_expiring` is raised, unless the key says otherwise."""
    hard_epoch_packets: Annotated[int, msgspec.Meta(ge=2, le=1 << 31)] = 1 << 31
    """Packets of one stream under one group key after which it is destroyed (RFC 4568 section 6.4: 2^31 for a key
    that SSRCs share)."""
    rx_grace_ms: Annotated[int, msgspec.Meta(ge=0, le=2000)] = 1000
    """How long what a leg sends is still accepted under its old key after a packet under the new one. Whoever knows
    the old key can forge the leg until then."""
    ledger: str = "auto"
    """File that keeps fingerprints of all keys ever sent under, so that none is taken twice, also after `kill -9`.
    `auto`: `keys.ledger` in `$STATE_DIRECTORY`, `/var/lib/mrfp` for root, or `~/.local/state/mrfp`; if that can't be
    written, a warning is logged and keys are remembered for this life only, as with `none`."""
    dtls_certificate: str = ""
    """PEM file of the certificate for DTLS-SRTP; empty: a fresh one at each start. Not a secret, but its key is."""
    dtls_key: str = ""
    """PEM file of its private key, EC or RSA, without a passphrase."""
    dtls_timeout_s: Annotated[float, msgspec.Meta(gt=0.0, le=120.0)] = 10.0
    """How long a DTLS handshake may take, and how long a leg waits for one before `leg_insecure`."""
    prompts: str = ""
    """Directory of the files that `play.start` may play; empty for none. Links in it are not followed."""
    recordings: str = ""
    """Directory that `record.start` makes its files in; empty for none. Links in it are not followed."""
    max_records: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 32
    """Recordings that may run at a time. One in Opus costs about one percent of a core."""
    record_max_mb: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)] = 1024
    """A recording that has become so large ends. WAV ends at 4 GB in any case."""
    record_min_free_mb: Annotated[int, msgspec.Meta(ge=0, le=1 << 30)] = 256
    """Recordings end when their file system has less free than this."""
