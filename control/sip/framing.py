"""Framing: messages out of a stream of octets (RFC 3261 section 18.3, RFC 5626 section 4.4.1). Sans-IO.

Knows where a message ends. Must never know what it says. On a stream Content-Length is mandatory: without it nobody
knows where the next message begins, so the first doubt ends the connection.
"""

from __future__ import annotations

import re
from typing import Final

from control.sip.errors import SipError

PING: Final = b""
"""Stands for a keep-alive among the messages: answer it with PONG."""
PONG: Final = b"\r\n"


class Unframed(SipError):
    """No telling where the message ends, or too far away. `head` is what there is of it."""

    def __init__(self, why: str, status: int, head: bytes) -> None:
        super().__init__(why)
        self.status = status
        self.head = head


class Framing:
    """What has come on one connection. `limit` is the size of the longest message."""

    __slots__ = ("_buffer", "_limit", "_need", "_searched")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._searched = 0
        self._need = 0  # of octets, as soon as the header has told

    @property
    def partial(self) -> bool:
        """A message has begun and is not complete."""
        return len(self._buffer) > 3 or bool(self._buffer.strip(b"\r\n"))

    def feed(self, octets: bytes) -> list[bytes]:
        """More octets: the messages that are complete now, and a PING for each keep-alive.

        Raises:
            Unframed: close the connection. What was complete before is lost with it.
        """
        self._buffer += octets
        frames: list[bytes] = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def _next(self) -> bytes | None:
        buffer = self._buffer
        if not self._need:
            if self._pinged():
                return PING
            end = buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
            self._searched = len(buffer)
            if end < 0:
                self._bound(len(buffer))
                return None
            self._need = end + 4 + self._length(bytes(buffer[: end + 4]))
            self._bound(self._need)
        if len(buffer) < self._need:
            return None
        frame = bytes(buffer[: self._need])
        del buffer[: self._need]
        self._need = self._searched = 0
        return frame

    def _pinged(self) -> bool:
        """Drop the empty lines before a message: they mean nothing, but two are a keep-alive. More are one."""
        blank = 0
        while blank < len(self._buffer) and self._buffer[blank] in b"\r\n":
            blank += 1
        if blank >= 4 or blank < len(self._buffer):
            del self._buffer[:blank]
        return blank >= 4

    def _length(self, head: bytes) -> int:
        lengths = set(_LENGTH.findall(head))
        if len(lengths) != 1:
            raise Unframed("on a stream one Content-Length is mandatory", 400, head)
        return int(lengths.pop())

    def _bound(self, size: int) -> None:
        if size > self._limit:
            raise Unframed(f"more than {self._limit} octets", 513, bytes(self._buffer))


_LENGTH: Final = re.compile(rb"(?<=\n)(?:content-length|l)[ \t]*+:[ \t]*+([0-9]{1,9})[ \t]*+(?=\r\n)", re.IGNORECASE)
