"""Every way in which a request can fail, with its number. The numbers are part of the protocol.

-32700 to -32600 are those of JSON-RPC 2.0; -32000 and below belong to this server; the positive ones
name the refusals of the mixer, one each.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from mixer.port import Refusal

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603

LINE_TOO_LONG: Final = -32001
ID_REUSED: Final = -32002
FORBIDDEN: Final = -32003
TOO_MANY_CLIENTS: Final = -32004

UNREACHABLE: Final = -32099
"""Never on the wire: the client's own code for a connection that failed or broke."""

PROTOCOL_ERRORS: Final[dict[int, str]] = {
    PARSE_ERROR: "The line is not JSON.",
    INVALID_REQUEST: "The line is JSON, but not a JSON-RPC 2.0 request. Batches are not taken.",
    METHOD_NOT_FOUND: "There is no such method.",
    INVALID_PARAMS: "A parameter is missing, unknown, or of the wrong type; the message says which.",
    INTERNAL_ERROR: "A fault of the mixer. It is in the mixer's log; please report it.",
    LINE_TOO_LONG: "The line is longer than 65536 octets. The connection is closed.",
    ID_REUSED: "The request id was used before on this connection, with other content.",
    FORBIDDEN: "The peer's uid or certificate may not control this mixer. The connection is closed.",
    TOO_MANY_CLIENTS: "Too many controllers are connected. The connection is closed.",
}

REFUSAL_CODES: Final[dict[Refusal, int]] = {
    Refusal.UNKNOWN_CONFERENCE: 1001,
    Refusal.UNKNOWN_LEG: 1002,
    Refusal.UNKNOWN_EPOCH: 1003,
    Refusal.DUPLICATE_CONFERENCE: 1004,
    Refusal.DUPLICATE_LEG: 1005,
    Refusal.BAD_KEY: 1006,
    Refusal.KEY_REUSED: 1007,
    Refusal.KEY_MISSING: 1008,
    Refusal.BAD_EPOCH: 1009,
    Refusal.BAD_BOOT: 1010,
    Refusal.SSRC_CONFLICT: 1011,
    Refusal.INVALID: 1012,
    Refusal.LIMIT: 1013,
    Refusal.DRAINING: 1014,
    Refusal.UNAVAILABLE: 1015,
    Refusal.UNKNOWN_PLAY: 1016,
    Refusal.DUPLICATE_PLAY: 1017,
    Refusal.UNKNOWN_RECORD: 1018,
    Refusal.DUPLICATE_RECORD: 1019,
    Refusal.BAD_FILE: 1020,
}


class ControlError(Exception):
    """A request failed: `code` and `refusal` for programs, the message for people.

    `refusal` is None unless the service itself refused the command; then nothing has changed. After
    `retry_after_s` seconds, if it is given, the same may be asked again; `highest`, if it is given, is the epoch
    to go above.
    """

    def __init__(
        self,
        code: int,
        message: str,
        refusal: StrEnum | None = None,
        retry_after_s: float | None = None,
        highest: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.refusal = refusal
        self.retry_after_s = retry_after_s
        self.highest = highest

    @property
    def message(self) -> str:
        return str(self)
