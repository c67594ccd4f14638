"""Who may enter a room: the PIN and the list. Pure. Knows: what was dialled, and by whom. Must never know: SIP."""

from __future__ import annotations

import hmac

from control.focus.dialled import Dialled
from control.focus.identity import Identity, Refused
from control.focus.settings import RoomSettings


def enter(settings: RoomSettings, called: Dialled, identity: Identity) -> None:
    """Let somebody into a room, be it to talk or to watch.

    Raises:
        Refused: if that is not to be.
    """
    if settings.pin and not hmac.compare_digest(called.pin.encode(), settings.pin.encode()):
        raise Refused(403, "dial the room with its PIN: sip:room;pin=1234@host")
    if settings.allowed and (identity.proof == "none" or identity.uri not in settings.allowed):
        raise Refused(403, "this room is for others, who prove who they are")
