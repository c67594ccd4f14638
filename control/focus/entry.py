"""Who may enter a room: the PIN and the list, and how often a PIN may be guessed.

Knows: what was dialled or keyed in, by whom, and from where. Must never know: SIP, or how a call goes on.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from control.focus.dialled import Dialled
from control.focus.identity import Identity, Refused
from control.focus.settings import LimitSettings, RoomSettings

MANY_CALLERS: Final = 10_000
"""So many who have shown a wrong PIN are remembered; then the first of them is forgotten."""


class Entry:
    """Of one focus."""

    def __init__(self, limits: LimitSettings, now: Callable[[], float] = time.monotonic) -> None:
        """`now`: seconds, of a clock that does not jump."""
        self._limits, self._now = limits, now
        self._wrong: dict[str, tuple[float, int]] = {}
        """By caller: when it began to guess, and how often it did so wrongly since."""

    def enter(self, settings: RoomSettings, called: Dialled, identity: Identity, address: str) -> bool:
        """Let somebody into a room, be it to talk or to watch. False if the PIN is still wanted.

        Raises:
            Refused: if that is not to be.
        """
        if settings.allowed and (identity.proof == "none" or identity.uri not in settings.allowed):
            raise Refused(403, "this room is for others, who prove who they are")
        if not settings.pin:
            return True
        if not called.pin:
            self._check(caller(identity, address))
            return False
        if not self.try_pin(settings.pin, called.pin, caller(identity, address)):
            raise Refused(403, DIAL_IT)
        return True

    def try_pin(self, pin: str, shown: str, who: str) -> bool:
        """Whether a PIN is the right one.

        Raises:
            Refused: if the caller has guessed too often.
        """
        self._check(who)
        if hmac.compare_digest(shown.encode(), pin.encode()):
            return True
        since, count = self._guesses(who)
        self._wrong.pop(who, None)
        if len(self._wrong) >= MANY_CALLERS:
            del self._wrong[next(iter(self._wrong))]
        self._wrong[who] = since, count + 1
        return False

    def _check(self, who: str) -> None:
        if self._guesses(who)[1] >= self._limits.wrong_pins:
            raise Refused(403, "too many wrong PINs: try again later")

    def _guesses(self, who: str) -> tuple[float, int]:
        now = self._now()
        since, count = self._wrong.get(who, (now, 0))
        return (since, count) if now - since < self._limits.wrong_pins_s else (now, 0)


DIAL_IT: Final = "dial the room with its PIN: sip:room;pin=1234@host"


def caller(identity: Identity, address: str) -> str:
    """Who guesses: a user that has proved who it is, or else an address (of IPv6 the /64: one host has all of it)."""
    if identity.proof != "none":
        return identity.uri
    number = ip_address(address.partition("%")[0])
    if isinstance(number, IPv6Address) and number.ipv4_mapped:  # a socket for both kinds shows all of IPv4 so
        number = number.ipv4_mapped
    return str(ip_network((number, 64), strict=False)) if isinstance(number, IPv6Address) else str(number)
