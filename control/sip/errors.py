"""What can go wrong between two user agents. Every message says what to do, and none carries a secret."""

from __future__ import annotations

from collections.abc import Sequence


class SipError(Exception):
    """Anything that SIP could not do."""


class SipTimeout(SipError):
    """The peer has not answered in time."""


class TransportLost(SipError):
    """The request cannot reach the peer: no connection, or it broke."""


class DialogGone(SipError):
    """The peer does not know the dialog any more, or did not answer in it: forget it."""


class CallRefused(SipError):
    """A call came to an end before it began."""

    def __init__(self, status: int, reason: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(f"the call was refused: {status} {reason}")
        self.status = status
        self.reason = reason
        self.headers = list(headers)


class Unauthenticated(SipError):
    """No credentials, or none that are true. `stale`: they were, but the nonce is used up: challenge again."""

    def __init__(self, message: str, *, stale: bool = False) -> None:
        super().__init__(message)
        self.stale = stale
