"""Every word that a mixer says unasked.

Knows: what has happened, as values. Must never know: who listens.
"""

from __future__ import annotations

from mixer.port.replies import StreamPosition
from mixer.port.values import KeyDirection, PlayReason, RecordReason, Value


class Event(Value, tag_field="event", frozen=True, kw_only=True):
    """Base of the events."""


class Talking(Event, tag="talking", frozen=True, kw_only=True):
    """A leg began to be heard in the mix, or has not been for 300 ms."""

    conference: str
    leg: str
    talking: bool


class Dtmf(Event, tag="dtmf", frozen=True, kw_only=True):
    """A leg pressed a key, and let it go (RFC 4733). Told once for each press, whatever packets were lost."""

    conference: str
    leg: str
    key: str
    """`0` to `9`, `*`, `#`, `A` to `D`, or `flash`."""
    duration_ms: int


class DominantSpeaker(Event, tag="dominant_speaker", frozen=True, kw_only=True):
    """Another leg leads the talk from now on: it has spoken for longer and louder. Nothing is told when all fall
    silent, or when the leg that leads leaves."""

    conference: str
    leg: str


class LegLatched(Event, tag="leg_latched", frozen=True, kw_only=True):
    """An authenticated packet showed where a leg is, or that it moved."""

    conference: str
    leg: str
    address: str
    ssrc: int


class LegSecured(Event, tag="leg_secured", frozen=True, kw_only=True):
    """A DTLS handshake is done, and the certificate is the one promised. Again for every later one (a new key)."""

    conference: str
    leg: str
    suite: str
    hash: str
    """Hash function of the fingerprint that matched."""


class LegInsecure(Event, tag="leg_insecure", frozen=True, kw_only=True):
    """A DTLS leg has no keys: its handshake failed, showed another certificate, or did not come in time. The leg
    stays silent; remove it, or wait for a better handshake."""

    conference: str
    leg: str
    reason: str


class LegTimeout(Event, tag="leg_timeout", frozen=True, kw_only=True):
    """Nothing authentic came from a leg for its `timeout_s`."""

    conference: str
    leg: str
    silent_s: float
    removed: bool


class LegDeaf(Event, tag="leg_deaf", frozen=True, kw_only=True):
    """A leg that used to hear reports of nothing any more that it is sent: it has not taken the key, or not followed
    the stream. Told once, until it hears again. Nothing can be told of endpoints without RTCP receiver reports."""

    conference: str
    leg: str
    sent: int
    """Packets that it was sent since it last heard one."""


class LegBye(Event, tag="leg_bye", frozen=True, kw_only=True):
    """The endpoint said goodbye by RTCP BYE. The leg stays until it is removed."""

    conference: str
    leg: str


class SsrcConflict(Event, tag="ssrc_conflict", frozen=True, kw_only=True):
    """A leg used an SSRC that belongs to another; its packets are dropped (invariant I11)."""

    conference: str
    leg: str
    owner: str
    ssrc: int


class AuthFailures(Event, tag="auth_failures", frozen=True, kw_only=True):
    """Packets for a leg failed authentication; at most one event a second and leg."""

    conference: str
    leg: str
    failures: int
    """Since the last such event."""


class KeySwitched(Event, tag="key_switched", frozen=True, kw_only=True):
    """From these positions on, streams are under a new key or a new SSRC: a cohort's, or one leg's own."""

    conference: str
    epoch: int
    cohort: int = 0
    leg: str = ""
    """Of a key of its own; empty for a group key."""
    direction: KeyDirection = "tx"
    """`rx`: the leg began to send under its new key."""
    streams: list[StreamPosition]


class KeyExpiring(Event, tag="key_expiring", frozen=True, kw_only=True):
    """A group key has reached its soft limit: prepare and activate the next epoch."""

    conference: str
    cohort: int = 0
    epoch: int
    packets: int
    age_s: float = 0.0


class KeyExpired(Event, tag="key_expired", frozen=True, kw_only=True):
    """A group key has reached its hard limit and was destroyed. Its legs hear under their own keys; who has none
    hears nothing until the next epoch."""

    conference: str
    cohort: int = 0
    epoch: int
    silenced: int
    """Legs without a key of their own."""


class PlayDone(Event, tag="play_done", frozen=True, kw_only=True):
    """Something plays no more."""

    conference: str
    play: str
    reason: PlayReason
    """`ended` by itself, `stopped`, or `gone`: nobody is left to hear it."""


class RecordDone(Event, tag="record_done", frozen=True, kw_only=True):
    """A recording is over, and its file complete."""

    conference: str
    record: str
    file: str
    reason: RecordReason
    """`stopped`, `limit` (`record_max_mb`, or what a WAV file can hold), `full` (no space left, or
    `record_min_free_mb`), `failed` (the log says how), or `gone`: the conference or the leg is no more."""
    seconds: float
    octets: int
    lost_ms: int
    """Silence in place of what the disk was too slow for."""


class Overrun(Event, tag="overrun", frozen=True, kw_only=True):
    """The shell was late and skipped ticks; audio has a gap."""

    ticks: int
