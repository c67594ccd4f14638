"""What was dialled: a room, and perhaps its PIN. Knows: SIP URIs. Must never know: which rooms there are.

sip:room@host    sip:room;pin=1234@host    sip:room@host;pin=1234    sip:room+1234@host
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from control.focus.identity import Refused


@dataclass(frozen=True, slots=True)
class Dialled:
    """A room as it was asked for."""

    room: str
    pin: str = ""


def dialled(uri: str) -> Dialled:
    """Read a Request-URI.

    Raises:
        Refused: if it is none of ours.
    """
    scheme, _, rest = uri.partition(":")
    if scheme.lower() not in ("sip", "sips"):
        raise Refused(416, "dial sip: or sips:")
    address, _, parameters = rest.partition("?")[0].partition(";") if "@" not in rest else _split(rest)
    user, at, _ = address.rpartition("@")
    if not at:
        return Dialled("")
    user, _, own = user.partition(";")
    name, _, pin = unquote(user).partition("+")
    return Dialled(name, pin or _pin(own) or _pin(parameters))


def _split(rest: str) -> tuple[str, str, str]:
    """Parameters of the URI begin behind the host; those before the @ are the user's."""
    user, _, host = rest.partition("?")[0].rpartition("@")
    host, mark, parameters = host.partition(";")
    return f"{user}@{host}", mark, parameters


def _pin(parameters: str) -> str:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "pin":
            return unquote(value.strip())
    return ""
