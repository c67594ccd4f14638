"""Every word that can be said to a focus, and every word that it says back.

Knows: values only. Must never know: SIP, sockets, JSON.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, TypeAlias

import msgspec

from control.api import Api, Method
from control.errors import ControlError
from mixer.port import Done, Identifier

Uri: TypeAlias = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^sips?:[!-~]{1,250}$(?!\n)",
        extra={"words": "a SIP URI, as in sip:ann@example.net, of at most 250 characters without spaces"},
    ),
]


class Refusal(StrEnum):
    """Why a focus refused. Nothing has changed when one of these is raised."""

    UNKNOWN_ROOM = "unknown_room"
    UNKNOWN_CALL = "unknown_call"
    NOT_ANSWERED = "not_answered"
    """Who was called would not come, or could not be reached; the message says why."""
    LIMIT = "limit"
    MIXER = "mixer"
    """The mixer would not, or cannot be reached."""


REFUSAL_CODES: Final[dict[Refusal, int]] = {refusal: 3001 + place for place, refusal in enumerate(Refusal)}


class FocusError(ControlError):
    """A focus refused: `refusal` for programs, the message for people."""

    def __init__(self, refusal: Refusal, message: str) -> None:
        super().__init__(REFUSAL_CODES[refusal], message, refusal)


class _Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every message."""


class FocusInfo(_Message, frozen=True, kw_only=True):
    """Ask how the focus is doing."""


class RoomList(_Message, frozen=True, kw_only=True):
    """Ask for the rooms that are open."""


class RoomShow(_Message, frozen=True, kw_only=True):
    """Ask who is in a room."""

    room: Identifier


class RoomClose(_Message, frozen=True, kw_only=True):
    """Hang up on everybody in a room."""

    room: Identifier


class CallDial(_Message, frozen=True, kw_only=True):
    """Call somebody into a room; answered when they have picked up."""

    uri: Uri
    room: Identifier


class CallHangUp(_Message, frozen=True, kw_only=True):
    """Hang up on one call. The room is rekeyed as its policy says."""

    call: Identifier
    evict: bool = False
    """Treat it as an intruder: rekey at once."""


class FocusStatus(_Message, frozen=True, kw_only=True):
    """State of a focus. Counters run since its start."""

    version: str
    listening: dict[str, str]
    """Addresses by transport."""
    rooms: int
    calls: int
    joining: int
    """Calls being set up."""
    calls_made: int
    """That came up, ever."""
    refused: dict[str, int]
    """Requests refused, by SIP status; 401 are wrong passwords."""
    subscriptions: int
    faults: int
    """Errors of our own; they are in the log. Not one is right."""


class RoomNames(_Message, frozen=True, kw_only=True):
    """Rooms that are open."""

    rooms: list[str]


class CallStatus(_Message, frozen=True, kw_only=True):
    """One phone in a room."""

    call: str
    """Its leg on the mixer."""
    user: str
    proof: str
    """How the user was proved: `certificate`, `digest`, `asserted` or `none`."""
    joined_by: str
    agent: str
    codec: str
    security: str
    """`sdes`, `dtls` or `clear`."""
    keying: str
    """`group` or `own`: which key it hears under."""
    direction: str
    ssrc: int
    waiting: bool = False
    """It has still to key in the PIN: it hears nobody, and nobody hears it."""


class RoomStatus(_Message, frozen=True, kw_only=True):
    """Who is in a room."""

    room: str
    subject: str
    keying: str
    style: str
    calls: list[CallStatus]


METHODS: Final[dict[str, Method]] = {
    method.name: method
    for method in (
        Method("focus.info", FocusInfo, FocusStatus, query=True),
        Method("room.list", RoomList, RoomNames, query=True),
        Method("room.show", RoomShow, RoomStatus, query=True),
        Method("room.close", RoomClose, Done),
        Method("call.dial", CallDial, CallStatus),
        Method("call.hangup", CallHangUp, Done),
    )
}
FOCUS: Final = Api(METHODS, REFUSAL_CODES, noun="focus", use="use this focus", clients="clients")
