"""Why the KMS refuses, with the numbers of the wire."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from control.errors import ControlError


class Refusal(StrEnum):
    """Why a request was refused. Nothing has changed when one of these is raised."""

    NOT_AUTHORISED = "not_authorised"
    """There is no such thing, or it is not the caller's to ask for. It is never said which."""
    DUPLICATE_CONFERENCE = "duplicate_conference"
    """The caller has registered that conference already."""
    UNKNOWN_MEMBER = "unknown_member"
    """The conference has no such member."""
    UNKNOWN_EPOCH = "unknown_epoch"
    """The key of that epoch is not kept: never made, superseded, expired, or forgotten."""
    BAD_EPOCH = "bad_epoch"
    """Not above every epoch ever made in that conference and cohort, or made before with another suite or kind."""
    BAD_MESSAGE = "bad_message"
    """Not base64, or not a MIKEY message that can be answered."""
    RATE_LIMITED = "rate_limited"
    """Too many requests; `error.data.retry_after_s` says when the next one will do."""
    LIMIT = "limit"
    """Too many conferences, members or cohorts."""
    NOT_OFFERED = "not_offered"
    """This KMS has no MIKEY-TICKET side."""


REFUSAL_CODES: Final[dict[Refusal, int]] = {
    Refusal.NOT_AUTHORISED: 2001,
    Refusal.DUPLICATE_CONFERENCE: 2002,
    Refusal.UNKNOWN_MEMBER: 2003,
    Refusal.UNKNOWN_EPOCH: 2004,
    Refusal.BAD_EPOCH: 2005,
    Refusal.BAD_MESSAGE: 2006,
    Refusal.RATE_LIMITED: 2007,
    Refusal.LIMIT: 2008,
    Refusal.NOT_OFFERED: 2009,
}

NOT_YOURS: Final = "there is no such thing, or it is not yours to ask for"
"""All that is ever said with `not_authorised`, whatever was asked and whoever asked."""


class KmsError(ControlError):
    """The KMS refused: `refusal` for programs, the message for the caller, `why` for the audit only."""

    refusal: Refusal

    def __init__(
        self,
        refusal: Refusal,
        message: str,
        *,
        why: str = "",
        retry_after_s: float | None = None,
        highest: int | None = None,
    ) -> None:
        super().__init__(REFUSAL_CODES[refusal], message, refusal, retry_after_s, highest)
        self.why = why


def not_yours(why: str) -> KmsError:
    """The refusal that tells the caller nothing; `why` is for the audit."""
    return KmsError(Refusal.NOT_AUTHORISED, NOT_YOURS, why=why)
