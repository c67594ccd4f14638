"""Every word that a mixer says back to a command.

Knows: state, as values. Must never know: who asked.
"""

from __future__ import annotations

from typing import TypeAlias

from mixer.port.values import Identifier, PayloadType, Roc, Ssrc, Value


class Done(Value, frozen=True, kw_only=True):
    """The command is in force."""


class StreamPosition(Value, frozen=True, kw_only=True):
    """Where an outgoing stream stands: what a late joiner must know (RFC 3711 section 3.3.1)."""

    ssrc: Ssrc
    roc: Roc
    seq: int
    payload_type: PayloadType
    epoch: int = 0
    """Epoch of the group key, 0 for a unique key or none."""
    cohort: int = 0


class LegAdded(Value, frozen=True, kw_only=True):
    """The leg is in the conference."""

    leg: Identifier
    port: int = 0
    """UDP port to send RTP to; RTCP goes to the same, or to the port above without rtcp-mux."""
    payload_type: PayloadType
    stream: StreamPosition
    """What the leg hears while it listens."""


class LegStatus(Value, frozen=True, kw_only=True):
    """State and statistics of a leg."""

    conference: str
    leg: str
    codec: str
    rate: int
    ptime: int
    direction: str
    keying: str
    """`unique`, `group`, `bridged` (a group leg that hears under its own key) or `clear`."""
    cohort: int
    suite: str
    epoch: int
    """Epoch of the group key it hears, 0 if none."""
    address: str
    """Where we send, empty if not known yet."""
    ssrc: int
    """SSRC it sends with, 0 if not known yet."""
    talking: bool
    muted: bool
    level_dbov: int
    """Of the last tick, 0 (loudest) to -127 (silence)."""
    delay_ms: int
    """What waits in the playout buffer."""
    received: int
    lost: int
    """Cumulative, by RFC 3550 appendix A.3."""
    jitter_ms: float
    rtt_ms: float
    """Round-trip time by RTCP, 0 if not measured yet."""
    remote_lost: int
    """Cumulative loss that the leg reports of what we sent."""
    remote_jitter_ms: float
    late: int
    concealed_ms: int
    auth_failures: int
    corrupt: int
    """Payloads that its decoder refused."""
    sent: int


class CohortStatus(Value, frozen=True, kw_only=True):
    """The legs that share a group key, and where its life stands."""

    cohort: int
    suite: str
    """Of the active group key, empty without one."""
    epoch: int
    """Of the active group key, 0 without one."""
    prepared: list[int]
    """Epochs prepared and not yet activated."""
    highest: int
    """Highest epoch ever seen; the next must be above it."""
    age_s: float
    """Of the active key, since activation."""
    packets: int
    """Sent under the active key, of its busiest stream."""
    legs: int
    bridged: int
    """Of these, under keys of their own."""


class ConferenceStatus(Value, frozen=True, kw_only=True):
    """State of a conference."""

    conference: str
    rate: int
    keying: str
    style: str
    suite: str
    """Of the active group key of cohort 0, empty without one."""
    epoch: int
    """Of the active group key of cohort 0, 0 without one."""
    prepared: list[int]
    """Epochs of cohort 0 prepared and not yet activated."""
    cohorts: list[CohortStatus]
    max_talkers: int
    talkers: list[str]
    """Legs in the mix of the last tick, loudest first."""
    streams: list[StreamPosition]
    """The common streams under the group key."""
    legs_count: int
    """All its legs, shown or not."""
    legs: list[LegStatus]
    plays: tuple[str, ...] = ()
    """What plays in it, to all or to some."""
    records: tuple[str, ...] = ()
    """Recordings of it, and of its legs."""


class Levels(Value, frozen=True, kw_only=True):
    """How loud the legs of a conference are, in the last tick, after their gain."""

    levels: dict[str, int]
    """By leg, dBov: 0 (loudest) to -127 (silence)."""


class ConferenceNames(Value, frozen=True, kw_only=True):
    """Conferences of this mixer, by name."""

    conferences: list[str]


Reply: TypeAlias = Done | LegAdded | LegStatus | ConferenceStatus | ConferenceNames | Levels
