"""The port of the mixer: every word that control may say to it, and every word it says back.

Commands go in through `Engine.apply` and are answered by a reply or refused with a `PortError`;
events come out of `Engine.events`. All are frozen values, so that an engine may live in another
process one day. They double as the parameters and results of the control protocol: this file is the
reference, and `docs/control-api.md` is generated from it.

Identifiers (`conference`, `leg`) are chosen by the controller: 1 to 64 printable ASCII characters
without spaces. SSRCs are integers. Times are in the unit that the field's name ends in. Keys are
`Secret`, written base64url in JSON, and are never readable back.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, TypeAlias

import msgspec

from mixer.secret import Secret
from mixer.suites import SuiteName

Identifier: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,64}$(?!\n)")]
Ssrc: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=0xFFFF_FFFF)]
Roc: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF_FFFF)]
Epoch: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=0xFFFF_FFFF)]
Cohort: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Mki: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{2}){0,4}$(?!\n)")]
PayloadType: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=127)]
ExtensionId: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=14)]
KekName: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{0,32}$(?!\n)")]
Endpoint: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^(\[[0-9a-fA-F:.]+\]|[0-9.]+):[0-9]{1,5}$(?!\n)")]
Gain: TypeAlias = Annotated[float, msgspec.Meta(ge=-60.0, le=20.0)]

KeyDirection: TypeAlias = Literal["tx", "rx"]
Rate: TypeAlias = Literal[8000, 16000, 48000]
Ptime: TypeAlias = Literal[10, 20, 30, 40, 60]
Direction: TypeAlias = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
Keying: TypeAlias = Literal["unique", "group"]
SwitchStyle: TypeAlias = Literal["ssrc", "mki"]
CodecName: TypeAlias = Literal["PCMU", "PCMA", "L16"]
DtlsRole: TypeAlias = Literal["active", "passive"]
HashName: TypeAlias = Literal["sha-256", "sha-384", "sha-512"]
Digest: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){31,63}$(?!\n)")]


class Refusal(StrEnum):
    """Why a command was refused. Nothing has changed when one of these is raised."""

    UNKNOWN_CONFERENCE = "unknown_conference"
    UNKNOWN_LEG = "unknown_leg"
    UNKNOWN_EPOCH = "unknown_epoch"
    DUPLICATE_CONFERENCE = "duplicate_conference"
    DUPLICATE_LEG = "duplicate_leg"
    BAD_KEY = "bad_key"
    """Wrong length for the suite, or all octets alike."""
    KEY_REUSED = "key_reused"
    """The mixer has already sent under this key; it needs a fresh one (invariant I1)."""
    KEY_MISSING = "key_missing"
    BAD_EPOCH = "bad_epoch"
    """Not above every epoch this conference has seen, or too many prepared at once."""
    BAD_BOOT = "bad_boot"
    """Meant for an earlier life of this mixer."""
    SSRC_CONFLICT = "ssrc_conflict"
    INVALID = "invalid"
    """Fields that exclude each other; the message says which."""
    LIMIT = "limit"
    DRAINING = "draining"


class PortError(Exception):
    """A command was refused: `refusal` for programs, the message for people."""

    def __init__(self, refusal: Refusal, message: str) -> None:
        super().__init__(message)
        self.refusal = refusal


class _Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of every command, reply and event."""


# ---------------------------------------------------------------------------------------------
# Keys


class Key(_Value, frozen=True, kw_only=True):
    """A master key with its salt, its name and where its stream stands."""

    suite: SuiteName = "AES_CM_128_HMAC_SHA1_80"
    secret: Secret
    """key || salt, base64url: 30 octets for AES_CM_128, 46 for AES_256_CM, 28 and 44 for GCM."""
    mki: Mki = ""
    """Master key identifier, 0 to 4 octets in hex. Sent in, and expected in, every packet."""
    roc: Roc = 0
    """Uplink keys: the rollover counter at which the leg's stream joins (RFC 3711 section 3.3.1). Such a leg is
    bound to its first SSRC."""
    epoch: Epoch = 1
    """Strictly increasing for those who are to use the key: a cohort, or a leg's direction. Never used twice."""
    max_age_s: Annotated[float, msgspec.Meta(gt=0.0)] | None = None
    """Group keys: hard limit, so long after activation. Half of it is the soft limit, told by `key_expiring`; at
    the limit nothing more is sent under the key (`key_expired`). No limit if omitted."""
    max_packets: Annotated[int, msgspec.Meta(ge=1, le=1 << 31)] | None = None
    """Group keys: the same in packets of one stream; the mixer's own limits if omitted."""
    kek: KekName = ""
    """Name of the key-encryption key under which `secret` is wrapped (docs/security.md says how); empty if it
    is not. Control unwraps: the mixer itself never sees a wrapped key."""


class Fingerprint(_Value, frozen=True, kw_only=True):
    """The hash of a certificate, as in `a=fingerprint` of SDP (RFC 8122)."""

    hash: HashName = "sha-256"
    value: Digest
    """Octets in hex with colons between them, in either case."""


class Dtls(_Value, frozen=True, kw_only=True):
    """Have the endpoint and the mixer agree on the leg's keys themselves, on its media port (RFC 5763, RFC 5764)."""

    role: DtlsRole = "passive"
    """What the mixer is. `passive` waits for the endpoint; `active` begins, and needs `remote`."""
    fingerprints: Annotated[tuple[Fingerprint, ...], msgspec.Meta(min_length=1, max_length=8)]
    """Of the endpoint's certificate, from signalling that is protected: any one of them must match."""


# ---------------------------------------------------------------------------------------------
# Conferences


class ConferenceCreate(_Value, frozen=True, kw_only=True):
    """Create a conference. Legs hear the sum of its loudest talkers, without themselves."""

    conference: Identifier
    rate: Rate = 8000
    """Sampling rate of the mix, Hz. Legs with another clock rate are resampled."""
    keying: Keying = "unique"
    """How legs are keyed unless they say otherwise."""
    style: SwitchStyle = "ssrc"
    """How a receiver learns which key a packet has. `ssrc`: no MKI, a fresh SSRC at ROC 0 for every
    epoch. `mki`: one unbroken SSRC and sequence, the MKI names the key."""
    key: Key | None = None
    """The first group key of cohort 0: protects the common mix for its legs with `keying: group`."""
    uplink_key: Key | None = None
    """A group key for what legs send; legs that use it must declare their SSRC."""
    max_talkers: Annotated[int, msgspec.Meta(ge=1, le=15)] = 8
    """How many of the loudest legs are mixed at a time."""
    boot: str | None = None
    """If given, the `boot_id` of the mixer life this is meant for."""


class ConferenceModify(_Value, frozen=True, kw_only=True):
    """Change what may change while a conference runs. Omitted fields stay."""

    conference: Identifier
    keying: Keying | None = None
    """For legs added from now on."""
    max_talkers: Annotated[int, msgspec.Meta(ge=1, le=15)] | None = None


class ConferenceDestroy(_Value, frozen=True, kw_only=True):
    """Remove a conference and all its legs; each is sent an RTCP BYE."""

    conference: Identifier


class ConferenceShow(_Value, frozen=True, kw_only=True):
    """Ask for the state of one conference and of its legs."""

    conference: Identifier
    first: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Leave out so many legs, in the order in which they joined, roughly."""
    limit: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """Show so many legs at most; all if omitted."""


class ConferenceList(_Value, frozen=True, kw_only=True):
    """Ask for the conferences of this mixer."""


# ---------------------------------------------------------------------------------------------
# Legs


class LegAdd(_Value, frozen=True, kw_only=True):
    """Add a leg: one endpoint's two directions of media."""

    conference: Identifier
    leg: Identifier
    """Unique in the whole mixer."""
    codec: CodecName = "PCMU"
    rate: Rate | None = None
    """Clock rate of L16, Hz; the conference's rate if omitted. G.711 is 8000."""
    payload_type: PayloadType | None = None
    """RTP payload type both ways; the static one of RFC 3551 if omitted (L16: 96)."""
    ptime: Ptime = 20
    """Milliseconds of audio in each packet sent to the leg. What it sends may be 10 to 60."""
    direction: Direction = "sendrecv"
    """Seen from the endpoint: `recvonly` only listens, `sendonly` only speaks."""
    gain_db: Gain = 0.0
    """Applied to what the leg says before it is mixed."""
    mute: bool = False
    """The leg goes on sending and is not mixed."""
    rx: Key | None = None
    """The key that protects what the leg sends to us."""
    tx: Key | None = None
    """The leg's own key for what it hears. Needed for `keying: unique`, and in a conference of style
    `mki` for every leg that may speak."""
    clear: bool = False
    """Plain RTP both ways. Only if said so: a leg without keys is refused otherwise."""
    dtls: Dtls | None = None
    """Instead of `rx` and `tx`: keys by a DTLS-SRTP handshake. The keying must be `unique`. Nothing is sent to or
    accepted from the leg before its certificate was checked (`leg_secured`, `leg_insecure`)."""
    keying: Keying | None = None
    """`group`: hears the common mix under the conference's group key. The conference's if omitted."""
    cohort: Cohort = 0
    """`keying: group`: the cohort whose group key it hears."""
    bridged: bool = False
    """`keying: group`: begin under its own key `tx` and not yet under the group's (see `key.bridge`). A cohort
    without a group key takes only bridged legs."""
    uplink: Keying = "unique"
    """`group`: what the leg sends is under the conference's `uplink_key`; needs `ssrc`."""
    ssrc: Ssrc | None = None
    """The SSRC that the leg will send with. Claimed for it; any other leg using it is refused."""
    remote: Endpoint | None = None
    """Where to send, as `192.0.2.1:4000` or `[2001:db8::1]:4000`, until an authenticated packet shows
    a better address. If omitted, nothing is sent before one arrived."""
    rtcp_mux: bool = True
    """RTCP on the RTP port (RFC 5761), else on the port above at both ends."""
    own_port: bool = False
    """Give the leg a UDP port of its own instead of the shared media port."""
    level_in: ExtensionId | None = None
    """Header extension id of RFC 6464 levels in what the leg sends. A claim: silence is believed,
    loudness is measured."""
    level_out: ExtensionId | None = None
    """Header extension id of RFC 6465 mixer-to-client levels in what the leg hears."""
    timeout_s: Annotated[float, msgspec.Meta(ge=0.0, le=86400.0)] = 30.0
    """Raise `leg_timeout` when nothing authentic arrived for so long; 0 never."""
    remove_on_timeout: bool = False
    delay_min_ms: Annotated[int, msgspec.Meta(ge=0, le=200)] = 20
    """Playout delay to begin with, and never to go below."""
    delay_max_ms: Annotated[int, msgspec.Meta(ge=20, le=200)] = 200
    """Playout delay never to exceed: beyond it packets are late."""
    boot: str | None = None


class LegModify(_Value, frozen=True, kw_only=True):
    """Change a leg while it talks. Omitted fields stay."""

    leg: Identifier
    direction: Direction | None = None
    gain_db: Gain | None = None
    mute: bool | None = None
    remote: Endpoint | None = None
    timeout_s: Annotated[float, msgspec.Meta(ge=0.0, le=86400.0)] | None = None
    remove_on_timeout: bool | None = None


class LegRemove(_Value, frozen=True, kw_only=True):
    """Remove a leg. The reply carries its final statistics. It is sent an RTCP BYE, unless all it heard was the
    common stream under a group key, which goes on: anybody could replay that goodbye to the others."""

    leg: Identifier
    bridge: bool = False
    """Bridge its cohort in the same step (see `key.bridge`): not one packet more goes out under a key it held. Of
    no effect if it hears no group key."""


# ---------------------------------------------------------------------------------------------
# Keys of a running conference


class _KeyCommand(_Value, frozen=True, kw_only=True):
    """Whose key: a cohort's, or one leg's own."""

    conference: Identifier
    cohort: Cohort = 0
    """The cohort, for a group key of what its legs hear. One that is new begins here."""
    leg: Identifier | None = None
    """The leg, for a key of its own."""
    direction: KeyDirection = "tx"
    """`tx`: what legs hear. `rx`: what they send; without `leg`, the conference's `uplink_key`."""


class KeyPrepare(_KeyCommand, frozen=True, kw_only=True):
    """Give the mixer the next key; nothing is sent under it yet. What a leg sends under a prepared `rx` key is
    accepted from now on, and its first authentic packet activates the key."""

    key: Key
    boot: str | None = None


class KeyActivate(_KeyCommand, frozen=True, kw_only=True):
    """Switch to a prepared key. Of a cohort: all legs that are not bridged, at one packet. The key before is
    destroyed: at once for `tx`; for `rx` after a second, in which late packets are still accepted."""

    epoch: Epoch


class KeyRetire(_KeyCommand, frozen=True, kw_only=True):
    """Destroy a key that is in use, without a successor. The cohort is bridged; for `rx` this ends the second
    in which the key before is still accepted."""

    epoch: Epoch


class KeyAbort(_KeyCommand, frozen=True, kw_only=True):
    """Forget a prepared key. Its epoch can never become active."""

    epoch: Epoch


class KeyBridge(_Value, frozen=True, kw_only=True):
    """Let legs hear the same mix under their own keys, encrypted per leg, instead of the group's; or end that.

    Who leaves can hear nothing more while the others are bridged; who has not got the next key loses nothing.
    In style `mki` it is the same unbroken stream. A leg without `tx` is sent nothing while it is bridged."""

    conference: Identifier
    cohort: Cohort = 0
    legs: tuple[Identifier, ...] | None = None
    """Which legs of the cohort; all if omitted."""
    on: bool
    """True to bridge, false to send under the group key again."""


Command: TypeAlias = (
    ConferenceCreate
    | ConferenceModify
    | ConferenceDestroy
    | ConferenceShow
    | ConferenceList
    | LegAdd
    | LegModify
    | LegRemove
    | KeyPrepare
    | KeyActivate
    | KeyRetire
    | KeyAbort
    | KeyBridge
)


# ---------------------------------------------------------------------------------------------
# Replies


class Done(_Value, frozen=True, kw_only=True):
    """The command is in force."""


class StreamPosition(_Value, frozen=True, kw_only=True):
    """Where an outgoing stream stands: what a late joiner must know (RFC 3711 section 3.3.1)."""

    ssrc: Ssrc
    roc: Roc
    seq: int
    payload_type: PayloadType
    epoch: int = 0
    """Epoch of the group key, 0 for a unique key or none."""
    cohort: int = 0


class LegAdded(_Value, frozen=True, kw_only=True):
    """The leg is in the conference."""

    leg: Identifier
    port: int = 0
    """UDP port to send RTP to; RTCP goes to the same, or to the port above without rtcp-mux."""
    payload_type: PayloadType
    stream: StreamPosition
    """What the leg hears while it listens."""


class LegStatus(_Value, frozen=True, kw_only=True):
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
    sent: int


class CohortStatus(_Value, frozen=True, kw_only=True):
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


class ConferenceStatus(_Value, frozen=True, kw_only=True):
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


class ConferenceNames(_Value, frozen=True, kw_only=True):
    """Conferences of this mixer, by name."""

    conferences: list[str]


Reply: TypeAlias = Done | LegAdded | LegStatus | ConferenceStatus | ConferenceNames


# ---------------------------------------------------------------------------------------------
# Events


class Event(_Value, tag_field="event", frozen=True, kw_only=True):
    """Base of the events."""


class Talking(Event, tag="talking", frozen=True, kw_only=True):
    """A leg entered or left the mix."""

    conference: str
    leg: str
    talking: bool


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


class Overrun(Event, tag="overrun", frozen=True, kw_only=True):
    """The shell was late and skipped ticks; audio has a gap."""

    ticks: int
