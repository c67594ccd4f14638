"""Who can be in a conference: users, their endpoints and media, RFC 4575 sections 5.6 to 5.8.

Knows the words for them. Must never know SIP, XML, or who is looking.

    Conference      what is said of the whole
      User          one participant; the key is the URI of its identity
        Endpoint    one device of it, in one call; the key is its contact URI
          Medium    one stream of the call; the key is its id
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

MediumStatus = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
Status = Literal[
    "pending",
    "dialing-out",
    "dialing-in",
    "alerting",
    "on-hold",
    "connected",
    "muted-via-focus",
    "disconnecting",
    "disconnected",
]
Joining = Literal["dialed-in", "dialed-out", "focus-owner"]
Departure = Literal["departed", "booted", "failed", "busy"]
Keying = Literal["group", "unique"]
Security = Literal["sdes", "dtls", "mikey", "none"]
Proof = Literal["digest", "certificate", "asserted", "fingerprint", "none"]

PRESENT: Final = frozenset({"on-hold", "connected", "muted-via-focus", "disconnecting"})
"""The statuses of an endpoint that takes part."""


@dataclass(frozen=True, slots=True)
class Medium:
    """One stream. `status` is the direction as the endpoint sees it; `ssrc` tells whose a CSRC is."""

    id: str
    type: str = "audio"
    label: str = ""
    ssrc: int | None = None
    status: MediumStatus = "sendrecv"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One device in one call. `keying` and `security` say how its media are keyed, and how the keys came."""

    entity: str
    display: str = ""
    status: Status = "connected"
    joining_method: Joining | None = None
    joined: datetime | None = None
    disconnection_method: Departure | None = None
    disconnection_reason: str = ""
    media: tuple[Medium, ...] = ()
    keying: Keying | None = None
    security: Security | None = None


@dataclass(frozen=True, slots=True)
class User:
    """One participant. `anonymous`: it asked for privacy. `proof`: how it proved to be `entity`."""

    entity: str
    display: str = ""
    roles: tuple[str, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    anonymous: bool = False
    proof: Proof | None = None

    @property
    def present(self) -> bool:
        """It takes part with some endpoint, and is counted."""
        return any(each.status in PRESENT for each in self.endpoints)


@dataclass(frozen=True, slots=True)
class Conference:
    """The conference as a whole. `active`: calling it works. `locked`: nobody else is let in."""

    entity: str
    subject: str = ""
    maximum: int | None = None
    active: bool = True
    locked: bool = False
