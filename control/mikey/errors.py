"""Why a MIKEY message was not believed. Knows the reasons; must never carry octets of a message or key."""

from __future__ import annotations

from control.mikey.numbers import ErrorNo


class MikeyError(Exception):
    """A message cannot be used, or a caller asked for one that must not be made. Raised as one of its kinds."""


class Malformed(MikeyError):
    """The octets are not a MIKEY message, or a value does not fit its field."""


class Forged(MikeyError):
    """The MAC is wrong: another key, another peer, or a message that was changed on its way."""


class Replayed(MikeyError):
    """Authentic, but used before or out of date."""


class Refused(MikeyError):
    """Well formed, but not what this end accepts. `number` is what an Error message would say of it."""

    def __init__(self, reason: str, number: ErrorNo = ErrorNo.UNSPECIFIED) -> None:
        super().__init__(reason)
        self.number = number


class Reported(MikeyError):
    """The peer answered with an Error message (RFC 3830 section 5.1.2, RFC 6043 section 5.4)."""

    def __init__(self, numbers: tuple[int, ...], *, authentic: bool) -> None:
        """Keep the error numbers, and whether a MAC vouches for them; without one they are only a hint."""
        names = ", ".join(_name(number) for number in numbers) or "no reason"
        super().__init__(f"the peer answered with an error: {names}" + ("" if authentic else " (not authenticated)"))
        self.numbers = numbers
        self.authentic = authentic


def _name(number: int) -> str:
    try:
        return ErrorNo(number).name.replace("_", " ").lower()
    except ValueError:
        return f"error {number}"
