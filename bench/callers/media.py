"""The media socket of a caller: it says a packet every 20 ms, and writes down what comes.

Knows: one UDP socket and the clock. Must never know: SIP, or where keys come from; it is given a keyring to open
with and a function to seal with, and both may change while it talks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, TypeAlias

from bench.callers.keyring import Keyring
from bench.callers.mouth import Mouth, Seal
from bench.callers.recording import Recording

PTIME_S: Final = 0.02
_SMALLEST: Final = 12
_DTLS: Final = range(20, 64)
_RTCP: Final = range(192, 224)
"""What the first and the second octet tell (RFC 7983, RFC 5761 section 4)."""
_HELLOS: Final = 4

Address: TypeAlias = tuple[str, int]


class Media(asyncio.DatagramProtocol):
    """One socket, from the first offer to the end of the call."""

    def __init__(self, mouth: Mouth, ear: Recording) -> None:
        self.mouth, self.ear = mouth, ear
        self.keyring: Keyring | None = None
        self.seal: Seal | None = None
        """None while there is no key to send under: nothing is said then."""
        self.remote: Address | None = None
        self.muted = False
        self._shaking: Callable[[bytes], None] | None = None
        self._hellos: list[bytes] = []
        self.said_ns: list[int] = []
        """When each packet was sent."""
        self._begin_s = 0.0
        self._tick = 0
        self._timer: asyncio.Handle | None = None
        self._transport: asyncio.DatagramTransport

    @classmethod
    async def open(cls, mouth: Mouth, ear: Recording, host: str = "127.0.0.1") -> Media:
        """A socket on a free port."""
        loop = asyncio.get_running_loop()
        _, media = await loop.create_datagram_endpoint(lambda: cls(mouth, ear), (host, 0))
        return media

    @property
    def address(self) -> Address:
        """Where it hears."""
        host, port = self._transport.get_extra_info("sockname")[:2]
        return host, port

    @property
    def talking(self) -> bool:
        return self._timer is not None

    def talk(self) -> None:
        """Begin to say packets, on a clock of its own."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._begin_s, self._tick = loop.time(), 0
            self._timer = loop.call_soon(self._say)

    def shake(self, take: Callable[[bytes], None]) -> None:
        """Hand datagrams of DTLS to `take`, those too that came before the answer did."""
        self._shaking = take
        for hello in self._hellos:
            take(hello)
        self._hellos.clear()

    def send(self, datagram: bytes) -> None:
        """Anything else, such as DTLS."""
        if self.remote is not None and not self._transport.is_closing():
            self._transport.sendto(datagram, self.remote)

    def stop(self) -> None:
        """Say no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        self.stop()
        self._transport.close()

    # -- what asyncio calls -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        now = time.monotonic_ns()
        if len(data) < _SMALLEST or data[1] in _RTCP:
            return
        if data[0] in _DTLS:
            self._shake(data)
            return
        self.ear.arrived.append((now, data))
        if self.keyring is None or not self.keyring.taken:
            self.ear.early += 1
            return
        clear = self.keyring.open(data, now / 1e9)
        if clear is None:
            self.ear.refused += 1
        else:
            self.ear.take(clear, now)

    def _shake(self, datagram: bytes) -> None:
        if self._shaking is not None:
            self._shaking(datagram)
        else:
            self._hellos = [*self._hellos, datagram][-_HELLOS:]

    def _say(self) -> None:
        loop = asyncio.get_running_loop()
        if self.seal is not None and self.remote is not None and not self.muted:
            self._transport.sendto(self.seal(self.mouth.packet(self._tick)), self.remote)
            self.said_ns.append(time.monotonic_ns())
        else:
            self.mouth.pause()
        self._tick += 1
        self._timer = loop.call_at(self._begin_s + self._tick * PTIME_S, self._say)
