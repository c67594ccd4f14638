"""Why an offer or an answer is not acceptable, in the words of a SIP Warning header.

Knows the warning codes of RFC 3261 section 20.43. Must never carry a line of an SDP: it could hold a key.
"""

from __future__ import annotations

from enum import IntEnum


class Warn(IntEnum):
    """The warn-codes that we use."""

    NETWORK_PROTOCOL = 300
    NETWORK_ADDRESS = 301
    TRANSPORT = 302
    MEDIA_TYPE = 304
    MEDIA_FORMAT = 305
    PARAMETER = 307
    MULTICAST = 330
    MISCELLANEOUS = 399


class Unacceptable(Exception):
    """No session comes of this offer or answer: 488 with a Warning, or the end of the call."""

    def __init__(self, warning: int, text: str) -> None:
        super().__init__(text)
        self.warning = int(warning)
        self.text = text
