"""Session timers (RFC 4028): how a call ends whose peer has died without a word. Pure.

Knows intervals and who refreshes. Must never know a clock: it tells after how many seconds to refresh, or to hang up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from sipmessage import Headers

from control.sip.errors import SipError
from control.sip.values import tokens

SHORTEST: Final = 90
"""No Min-SE may be less (section 4)."""


class IntervalTooSmall(SipError):
    """Answer 422 with these fields."""

    def __init__(self, minimum: int) -> None:
        super().__init__(f"a session interval must be {minimum} s or more")
        self.fields = [("Min-SE", str(minimum))]


@dataclass(frozen=True, slots=True)
class Wish:
    """What we want of a session: its interval, and the least that we bear."""

    interval: int = 1800
    minimum: int = SHORTEST

    def fields(self) -> list[tuple[str, str]]:
        """Of a request of ours, an INVITE or an UPDATE."""
        return [("Session-Expires", str(self.interval)), ("Min-SE", str(self.minimum))]


@dataclass(frozen=True, slots=True)
class Terms:
    """What is agreed on, until the next refresh."""

    interval: int
    refresher: Literal["us", "them"]
    required: bool = True
    """The peer speaks RFC 4028, so our 2xx says Require."""

    @property
    def refresh_after(self) -> float | None:
        """When to send a re-INVITE or an UPDATE; None if that is the peer's business."""
        return self.interval / 2 if self.refresher == "us" else None

    @property
    def hang_up_after(self) -> float:
        """When to send BYE if no refresh has come (section 10)."""
        return self.interval - min(32, self.interval / 3)

    def fields(self, *, we_asked: bool) -> list[tuple[str, str]]:
        """Of the next refresh that we send, or (not `we_asked`) of our 2xx."""
        ours = self.refresher == "us"
        role = "uac" if ours is we_asked else "uas"
        fields = [("Session-Expires", f"{self.interval};refresher={role}")]
        return fields + ([("Require", "timer")] if self.required and not we_asked else [])


def answer(headers: Headers, wish: Wish) -> Terms | None:
    """What our 2xx to an INVITE or UPDATE agrees to (section 9); None if there is to be no timer.

    Raises:
        IntervalTooSmall: answer 422.
    """
    able = "timer" in tokens(headers.getlist("Supported"))
    asked = _read(headers.get("Session-Expires"))
    if asked is None:
        if not able:
            return Terms(wish.interval, "us", required=False) if wish.interval else None
        return Terms(max(wish.interval, _least(headers)), "us")
    interval, refresher = asked
    if interval < wish.minimum:
        if able:
            raise IntervalTooSmall(wish.minimum)
        interval = wish.minimum
    interval = max(min(interval, wish.interval), _least(headers), wish.minimum)
    if not able:
        return Terms(interval, "us", required=False)
    return Terms(interval, "us" if refresher == "uas" else "them")


def agreed(headers: Headers, wish: Wish) -> Terms | None:
    """What a 2xx to our own INVITE or UPDATE says (section 7.2). A peer that says nothing leaves it to us."""
    said = _read(headers.get("Session-Expires"))
    if said is None:
        return Terms(wish.interval, "us", required=False)
    interval, refresher = said
    return Terms(max(interval, SHORTEST), "them" if refresher == "uas" else "us")


def retried(headers: Headers, wish: Wish) -> Wish | None:
    """What to ask for after a 422 (section 7.4); None if it does not say."""
    least = _least(headers)
    return Wish(max(wish.interval, least), max(wish.minimum, least)) if headers.get("Min-SE") else None


def _read(text: str | None) -> tuple[int, str] | None:
    found = _SESSION_EXPIRES.match(text or "")
    if not found:
        return None
    role = _REFRESHER.search(text or "")
    return int(found[1]), role[1].lower() if role else ""


def _least(headers: Headers) -> int:
    found = _SESSION_EXPIRES.match(headers.get("Min-SE") or "")
    return max(SHORTEST, int(found[1])) if found else SHORTEST


_SESSION_EXPIRES: Final = re.compile(r"\s*+([0-9]{1,9})\s*+(?:;|\Z)")
_REFRESHER: Final = re.compile(r";\s*+refresher\s*+=\s*+(ua[cs])", re.IGNORECASE)
