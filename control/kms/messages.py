"""Every word that can be said to the KMS, and every word that it says back.

Knows: values only. Must never know: sockets, JSON, or who may ask for what.

Conferences are named by their conference system, members by the identity with which they come to the
KMS: a name in their certificate, or `uid:N` on a Unix socket. Keys are base64url.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from control.api import Api, Method
from control.kms.errors import REFUSAL_CODES
from mixer.port import Done, Epoch, Identifier
from mixer.secret import Secret
from mixer.suites import SuiteName

Member: TypeAlias = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[!-~]{1,255}$(?!\n)", extra={"words": "1 to 255 characters of printable ASCII without spaces"}
    ),
]
Cohort: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Kind: TypeAlias = Literal["secret", "key"]


class _Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every message."""


# ---------------------------------------------------------------------------------------------
# Requests


class KmsInfo(_Message, frozen=True, kw_only=True):
    """Ask how the KMS is doing, and which life of it this is. For conference systems and auditors."""


class ConferenceRegister(_Message, frozen=True, kw_only=True):
    """Make a conference known. The conference system that does so owns it: no other may ask for its keys."""

    conference: Identifier
    members: tuple[Member, ...] = ()
    """Who is admitted at once."""


class ConferenceClose(_Message, frozen=True, kw_only=True):
    """End a conference: its keys are wiped, its members forgotten. Its epochs are never made again."""

    conference: Identifier


class MemberAdmit(_Message, frozen=True, kw_only=True):
    """Let a member have the keys of epochs made from now on. Nothing changes if it is one already."""

    conference: Identifier
    member: Member


class MemberExpel(_Message, frozen=True, kw_only=True):
    """Let a member have no key any more. Make a new epoch then: it keeps what it was told."""

    conference: Identifier
    member: Member


class EpochCreate(_Message, frozen=True, kw_only=True):
    """Have a key made from fresh random octets, and get it. For the owner of the conference.

    The same request again gets the same key as long as it is kept, so that a lost reply can be asked for again.
    """

    conference: Identifier
    cohort: Cohort = 0
    """Epochs of different cohorts have nothing to do with each other."""
    epoch: Epoch
    """Above every epoch ever made in that conference and cohort."""
    suite: SuiteName = "AES_CM_128_HMAC_SHA1_80"
    kind: Kind = "secret"
    """`secret`: 32 octets from which SRTP keys are derived. `key`: key || salt of the suite, for members
    that can only take an SRTP key."""


class EpochFetch(_Message, frozen=True, kw_only=True):
    """Get the key of an epoch. For members: only while they are, and only of epochs made since their admission."""

    conference: Identifier
    cohort: Cohort = 0
    epoch: Epoch


class EpochForget(_Message, frozen=True, kw_only=True):
    """Have the key of an epoch wiped before its time. For the owner of the conference."""

    conference: Identifier
    cohort: Cohort = 0
    epoch: Epoch


class MikeyExchange(_Message, frozen=True, kw_only=True):
    """Hand over a MIKEY-TICKET message (RFC 6043) and get the answer. For whoever shares a key with the KMS."""

    message: Annotated[str, msgspec.Meta(max_length=60_000)]
    """base64 of one MIKEY message, as behind `mikey` in SDP (RFC 4567)."""


class AuditTail(_Message, frozen=True, kw_only=True):
    """Read the newest audit lines. For auditors."""

    first: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Number of the first line wanted. Lines older than the KMS keeps in memory are in the file only."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    """Lines at most."""


# ---------------------------------------------------------------------------------------------
# Replies


class KmsStatus(_Message, frozen=True, kw_only=True):
    """State of the KMS. Counters run since its start."""

    version: str
    boot_id: str
    """Names this life of the KMS. With every start it is new, and conferences must be registered again."""
    conferences: int
    """Registered now, by all conference systems."""
    epochs_kept: int
    """Keys in memory."""
    epochs_made: int
    refused: int
    rate_limited: int
    """Of the refused, those that came too fast."""
    faults: int
    """Requests that ended in an error of our own; they are in the log. Not one is right."""
    audit_lines: int
    """Lines in the audit file."""
    audit_head: str
    """SHA-256 of the last of them: kept elsewhere, it shows later that no line was taken off the end."""


class EpochKey(_Message, frozen=True, kw_only=True):
    """The key of an epoch."""

    conference: str
    cohort: int
    epoch: int
    suite: SuiteName
    kind: Kind
    secret: Secret
    """base64url: 32 octets, or key || salt of the suite, as `kind` says."""
    expires_in_s: float
    """Seconds until the KMS wipes it. Use another epoch by then."""


class MikeyAnswer(_Message, frozen=True, kw_only=True):
    """What the KMS says to a MIKEY message."""

    message: str
    """base64 of one MIKEY message."""


class AuditRecord(_Message, frozen=True, kw_only=True, omit_defaults=True):
    """One operation. Fields that do not apply are left out. Nothing in it is, or was made from, a key."""

    n: int
    """Number of the line; the first is 1."""
    time: str
    """UTC, RFC 3339."""
    boot: str
    who: str
    """Identities of the caller, comma between them."""
    op: str
    """The method, or `kms.start`, `kms.stop`, `audit.cut`."""
    outcome: Literal["ok", "refused"]
    prev: str
    """SHA-256 of the line before, its newline not counted; zeros for the first."""
    conference: str = ""
    cohort: int = -1
    epoch: int = 0
    member: str = ""
    suite: str = ""
    kind: str = ""
    refusal: str = ""
    reason: str = ""
    """Why it was refused, more exactly than the caller was told."""
    unwritten: int = 0
    """Requests of this caller just before that were refused as too fast, and have no line of their own."""


class AuditLines(_Message, frozen=True, kw_only=True):
    """Audit lines, oldest first."""

    records: list[AuditRecord]
    next: int
    """Ask from here on the next time."""


METHODS: Final[dict[str, Method]] = {
    method.name: method
    for method in (
        Method("kms.info", KmsInfo, KmsStatus, query=True),
        Method("conference.register", ConferenceRegister, Done),
        Method("conference.close", ConferenceClose, Done),
        Method("member.admit", MemberAdmit, Done),
        Method("member.expel", MemberExpel, Done),
        Method("epoch.create", EpochCreate, EpochKey, confides=True),
        Method("epoch.fetch", EpochFetch, EpochKey, query=True, confides=True),
        Method("epoch.forget", EpochForget, Done),
        Method("mikey.exchange", MikeyExchange, MikeyAnswer),
        Method("audit.tail", AuditTail, AuditLines, query=True),
    )
}
KMS: Final = Api(METHODS, REFUSAL_CODES, noun="KMS", use="use this KMS", clients="clients")
