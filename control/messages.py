"""The words that the control protocol adds to `mixer.port`: the node itself, and who hears events.

Knows: values only. Must never know: sockets, JSON, or how a mixer works.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from mixer.port import CohortStatus, Identifier, StreamPosition

EventName: TypeAlias = Literal[
    "talking",
    "dominant_speaker",
    "leg_latched",
    "leg_secured",
    "leg_insecure",
    "leg_timeout",
    "leg_bye",
    "leg_deaf",
    "ssrc_conflict",
    "auth_failures",
    "key_switched",
    "key_expiring",
    "key_expired",
    "play_done",
    "record_done",
    "overrun",
    "dtmf",
]


class _Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every message."""


# ---------------------------------------------------------------------------------------------
# Requests


class NodeInfo(_Message, frozen=True, kw_only=True):
    """Ask what this mixer is, how it is doing, and which life of it this is."""


class NodeDrain(_Message, frozen=True, kw_only=True):
    """Say goodbye to every leg and take no new ones; the daemon goes on answering."""


class NodeAudit(_Message, frozen=True, kw_only=True):
    """Ask for everything a reconnecting controller needs to compare with its own books."""


class EventsSubscribe(_Message, frozen=True, kw_only=True):
    """Have events sent on this connection. Replaces an earlier subscription of it."""

    events: tuple[EventName, ...] = ()
    """Which events; all if empty."""
    conference: Identifier | None = None
    """Only of this conference. Events of the whole node (`overrun`) always come."""


class EventsUnsubscribe(_Message, frozen=True, kw_only=True):
    """Have no more events sent on this connection."""


# ---------------------------------------------------------------------------------------------
# Replies


class Lateness(_Message, frozen=True, kw_only=True):
    """How late ticks began, over the last ticks, in milliseconds."""

    p50: float = 0.0
    p99: float = 0.0
    max: float = 0.0


class NodeStatus(_Message, frozen=True, kw_only=True):
    """State of the mixer. Counters run since its start."""

    version: str
    boot_id: str
    """Names this life of the mixer; it changes with every start."""
    frame: int
    """Ticks since the start: the mixer's clock."""
    tick_ms: int
    legs: int
    conferences: int
    bridged: int = 0
    """Legs of group keying that hear under keys of their own (`key.bridge`)."""
    group_keys: int = 0
    """Cohorts with an active group key: so many encrypts a tick serve all other group-keyed listeners."""
    plays: int = 0
    """Prompts that play now."""
    records: int = 0
    """Recordings that run now."""
    record_lost_ms: int = 0
    """Silence in all recordings in place of what the disk was too slow for, or of skipped ticks."""
    port: int
    """The shared media port (UDP)."""
    draining: bool = False
    received: int = 0
    """Datagrams; always `accepted` plus the sum of `drops`."""
    accepted: int = 0
    """Those that were used, and those that were passed over."""
    passed: int = 0
    """Of the accepted: not decrypted, because their leg goes on saying that it is silent (RFC 6464)."""
    drops: dict[str, int] = {}
    """Datagrams not used, by reason."""
    decodes: int = 0
    """Packets of codecs with memory decoded, repaired or invented; quiet legs cost none."""
    encodes: int = 0
    """Frames encoded, for all streams."""
    encode_failures: int = 0
    """Packets that a codec library refused to encode; the one before was sent again."""
    encrypts: int = 0
    """Packets encrypted, for all streams and keys."""
    common_encodes: int = 0
    """Frames encoded for the mixes that all listeners share: one a format and packet time."""
    common_encrypts: int = 0
    """Packets encrypted under group keys for the shared mixes, however many listen."""
    packets_sent: int = 0
    unsent: int = 0
    """Packets that the kernel did not take."""
    late_ticks: int = 0
    skipped_ticks: int = 0
    faults: int = 0
    """Errors of our own in the media path; they are in the log. Not one is right."""
    lateness_ms: Lateness = Lateness()
    stages_us: dict[str, float] = {}
    """Mean microseconds a tick, by step of the packet's way."""
    granted_rcvbuf: int = 0
    """Octets of socket receive buffer that the kernel granted."""
    dtls_fingerprint: str = ""
    """Of the mixer's certificate, as it stands in SDP behind `a=fingerprint:`."""
    handshakes: int = 0
    """DTLS handshakes that gave a leg its keys."""
    handshakes_failed: int = 0
    """DTLS handshakes that did not, whoever began them."""
    codecs: list[str] = []
    """What it can encode and decode here, by name: some need a library that may be missing."""


class AuditedLeg(_Message, frozen=True, kw_only=True):
    """A leg as its controller knows it."""

    leg: str
    codec: str
    direction: str
    keying: str
    """`unique`, `group` or `clear`."""
    suite: str
    cohort: int
    epoch: int
    address: str
    ssrc: int
    muted: bool


class AuditedConference(_Message, frozen=True, kw_only=True):
    """A conference as its controller knows it."""

    conference: str
    rate: int
    keying: str
    style: str
    cohorts: list[CohortStatus]
    """Where their keys stand; what comes next must be above each `highest`."""
    streams: list[StreamPosition]
    """Where the common streams stand: what a late joiner must be told."""
    legs: list[AuditedLeg]


class Audit(_Message, frozen=True, kw_only=True):
    """Everything a reconnecting controller needs. Keys are not part of it, nor of anything else."""

    boot_id: str
    frame: int
    draining: bool
    conferences: list[AuditedConference]


# ---------------------------------------------------------------------------------------------
# Notifications


class Missed(_Message, frozen=True, kw_only=True):
    """This subscriber read too slowly: so many of its oldest events were dropped just here."""

    count: int
