"""What can be refused here, and why."""

from __future__ import annotations

from enum import StrEnum


class Refusal(StrEnum):
    """Why there is no subscription."""

    CLOSED = "closed"
    """The conference is over."""
    FULL = "full"
    """There are as many subscriptions as there may be."""
    TOO_MANY = "too-many"
    """The same for those of one identity."""


class SubscriptionRefused(Exception):
    """There is no subscription: `refusal` for programs, the message for people."""

    def __init__(self, refusal: Refusal, message: str) -> None:
        super().__init__(message)
        self.refusal = refusal


class Malformed(Exception):
    """The octets are no conference-info document, or none that may be read."""
