"""What commands, replies and events are made of: identifiers, keys, certificates, and refusals.

Knows: values and their bounds. Must never know: what they are said for.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, TypeAlias

import msgspec

from mixer.secret import Secret
from mixer.suites import SuiteName

# `words` say in error texts what a pattern allows.
Identifier: TypeAlias = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[!-~]{1,64}$(?!\n)", extra={"words": "1 to 64 characters of printable ASCII without spaces"}
    ),
]
Ssrc: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=0xFFFF_FFFF)]
Roc: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF_FFFF)]
Epoch: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=0xFFFF_FFFF)]
Cohort: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Mki: TypeAlias = Annotated[
    str, msgspec.Meta(pattern=r"^([0-9a-f]{2}){0,4}$(?!\n)", extra={"words": "0 to 4 octets in lower-case hex digits"})
]
PayloadType: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=127)]
ExtensionId: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=14)]
KekName: TypeAlias = Annotated[
    str,
    msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{0,32}$(?!\n)", extra={"words": "at most 32 letters, digits and any of ._-"}),
]
Endpoint: TypeAlias = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(\[[0-9a-fA-F:.]+\]|[0-9.]+):[0-9]{1,5}$(?!\n)",
        extra={"words": "an address and a port, as in 192.0.2.1:4000 or [2001:db8::1]:4000"},
    ),
]
Gain: TypeAlias = Annotated[float, msgspec.Meta(ge=-60.0, le=20.0)]
FileName: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Position: TypeAlias = Annotated[float, msgspec.Meta(ge=-1.0, le=1.0)]

KeyDirection: TypeAlias = Literal["tx", "rx"]
Rate: TypeAlias = Literal[8000, 16000, 24000, 48000]
Ptime: TypeAlias = Literal[10, 20, 30, 40, 60]
Direction: TypeAlias = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
Keying: TypeAlias = Literal["unique", "group"]
SwitchStyle: TypeAlias = Literal["ssrc", "mki"]
CodecName: TypeAlias = Literal["PCMU", "PCMA", "L16", "G722", "opus", "AMR", "AMR-WB"]
RecordFormat: TypeAlias = Literal["wav", "opus"]
PlayReason: TypeAlias = Literal["ended", "stopped", "gone"]
RecordReason: TypeAlias = Literal["stopped", "limit", "full", "failed", "gone"]
DtlsRole: TypeAlias = Literal["active", "passive"]
HashName: TypeAlias = Literal["sha-256", "sha-384", "sha-512"]
Digest: TypeAlias = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){31,63}$(?!\n)",
        extra={"words": "32 to 64 octets in hex digits, with colons between them"},
    ),
]


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
    UNKNOWN_PLAY = "unknown_play"
    DUPLICATE_PLAY = "duplicate_play"
    UNKNOWN_RECORD = "unknown_record"
    DUPLICATE_RECORD = "duplicate_record"
    BAD_FILE = "bad_file"
    """Not there, not audio, there already, or not in the directory for it; the message says which."""
    UNAVAILABLE = "unavailable"
    """What it needs is not installed on the mixer's machine; the message says what."""
    LIMIT = "limit"
    DRAINING = "draining"


class PortError(Exception):
    """A command was refused: `refusal` for programs, the message for people."""

    def __init__(self, refusal: Refusal, message: str) -> None:
        super().__init__(message)
        self.refusal = refusal


class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of every command, reply and event."""


class Key(Value, frozen=True, kw_only=True):
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


class Fingerprint(Value, frozen=True, kw_only=True):
    """The hash of a certificate, as in `a=fingerprint` of SDP (RFC 8122)."""

    hash: HashName = "sha-256"
    value: Digest
    """Octets in hex with colons between them, in either case."""


class Dtls(Value, frozen=True, kw_only=True):
    """Have the endpoint and the mixer agree on the leg's keys themselves, on its media port (RFC 5763, RFC 5764)."""

    role: DtlsRole = "passive"
    """What the mixer is. `passive` waits for the endpoint; `active` begins, and needs `remote`."""
    fingerprints: Annotated[tuple[Fingerprint, ...], msgspec.Meta(min_length=1, max_length=8)]
    """Of the endpoint's certificate, from signalling that is protected: any one of them must match."""


class Opus(Value, frozen=True, kw_only=True):
    """How to encode Opus for a leg (RFC 7587). Legs with equal settings share every encode."""

    bitrate: Annotated[int, msgspec.Meta(ge=6000, le=510000)] = 32000
    """Bits a second, on average."""
    complexity: Annotated[int, msgspec.Meta(ge=0, le=10)] = 10
    """What a packet may cost: 10 costs about four times what 0 does, and sounds best."""
    fec: bool = True
    """Repeat each packet, coarsely, in the next one, if the bitrate allows it (`useinbandfec`)."""
    loss_percent: Annotated[int, msgspec.Meta(ge=0, le=100)] = 10
    """The loss to be prepared for: how much of the bitrate goes into repeating."""
    dtx: bool = False
    """Send next to nothing while nobody speaks (`usedtx`)."""
    cbr: bool = False
    """Packets of equal length, which tell an eavesdropper nothing of what is said (`cbr`)."""
    stereo: bool = False
    """Two channels: each talker where its `position` is."""
    max_rate: Rate = 48000
    """Sampling rate beyond which the endpoint hears nothing (`maxplaybackrate`)."""


class Amr(Value, frozen=True, kw_only=True):
    """How AMR and AMR-WB are written to packets, both ways, and how to encode them for a leg (RFC 4867)."""

    octet_aligned: bool = False
    """`octet-align=1`; else bandwidth-efficient."""
    modes: Annotated[tuple[Annotated[int, msgspec.Meta(ge=0, le=8)], ...], msgspec.Meta(max_length=9)] = ()
    """The modes that may be sent (`mode-set`); all if empty. AMR has 0 to 7, AMR-WB 0 to 8."""
    mode: Annotated[int, msgspec.Meta(ge=0, le=8)] | None = None
    """The mode to begin with; the highest allowed if omitted. Requests in what legs send change it: all who share
    the stream are sent the lowest mode that one of them asks for."""
    dtx: bool = False
    """Send comfort noise parameters (SID) while nobody speaks."""


class Tone(Value, frozen=True, kw_only=True):
    """A sine, or a pause."""

    hz: Annotated[float, msgspec.Meta(ge=0.0, le=20000.0)] = 0.0
    """Frequency; 0 is a pause. Above half the rate of a mix nothing is left of it."""
    ms: Annotated[int, msgspec.Meta(ge=1, le=3_600_000)]
    level_dbov: Annotated[float, msgspec.Meta(ge=-90.0, le=-3.0)] = -20.0
    """RMS below that of the loudest square wave; -3 is a sine at full scale."""
