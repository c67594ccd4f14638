"""A peer that says exactly what it is told to, over UDP: no stack of ours is in between."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from tests.control.focus.house import House

KEY: Final = base64.b64encode(bytes(range(1, 31))).decode()
AUDIO: Final = "m=audio 40000 RTP/SAVP 0"
CRYPTO: Final = f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"


def offer(*media: str, address: str = "IN IP4 127.0.0.1") -> str:
    """An SDP with these lines from the first m= on; a sound one without."""
    lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", f"c={address}", "t=0 0", *(media or (AUDIO, CRYPTO))]
    return "".join(f"{line}\r\n" for line in lines)


@dataclass
class Answer:
    """One response, or one request of the other side."""

    first: str
    headers: dict[str, str]
    body: str

    @property
    def status(self) -> int:
        """0 if it is a request."""
        words = self.first.split()
        return int(words[1]) if words[0] == "SIP/2.0" else 0


@dataclass
class Peer:
    """One who calls a room; each request is made of parts that may be lies."""

    here: House
    transport: asyncio.DatagramTransport
    room: str = "room"
    user: str = "eve"
    call_id: str = field(default_factory=lambda: secrets.token_hex(8))
    tag: str = field(default_factory=lambda: secrets.token_hex(4))
    to_tag: str = ""
    cseq: int = 1
    polite: bool = False
    """Whoever hangs up on it is answered by itself."""
    arrived: asyncio.Queue[Answer] = field(default_factory=asyncio.Queue)

    @property
    def address(self) -> str:
        host, number = self.transport.get_extra_info("sockname")
        return f"{host}:{number}"

    def request(
        self, method: str, body: str = "", headers: Mapping[str, str] | None = None, *, branch: str = ""
    ) -> str:
        """The text of one; `headers` are added, or taken in place of what it would have."""
        to = f"<{self.here.uri(self.room)}>" + (f";tag={self.to_tag}" if self.to_tag else "")
        fields = {
            "Via": f"SIP/2.0/UDP {self.address};rport;branch=z9hG4bK{branch or secrets.token_hex(8)}",
            "Max-Forwards": "70",
            "From": f"<sip:{self.user}@127.0.0.1>;tag={self.tag}",
            "To": to,
            "Call-ID": self.call_id,
            "CSeq": f"{self.cseq} {method}",
            "Contact": f"<sip:{self.user}@{self.address}>",
            **({"Content-Type": "application/sdp"} if body else {}),
            **(headers or {}),
        }
        fields.setdefault("Content-Length", str(len(body.encode())))
        lines = [f"{method} {self.here.uri(self.room)} SIP/2.0", *(f"{name}: {said}" for name, said in fields.items())]
        return "\r\n".join(lines) + "\r\n\r\n" + body

    def send(self, text: str | bytes) -> None:
        """Put it on the wire."""
        octets = text if isinstance(text, bytes) else text.encode()
        self.transport.sendto(octets, self.here.address)

    async def final(self, method: str = "") -> Answer:
        """The next final response, to that method if it is given."""
        async with asyncio.timeout(10):
            while True:
                answer = await self.arrived.get()
                if answer.status >= 200 and method in answer.headers["cseq"]:
                    return answer

    async def ask(self, method: str, body: str = "", headers: Mapping[str, str] | None = None) -> Answer:
        """Send a request and wait for its final response; a refused INVITE is acknowledged."""
        branch = secrets.token_hex(8)
        self.send(self.request(method, body, headers, branch=branch))
        answer = await self.final(method)
        if method == "INVITE":
            if answer.status < 300 or not self.to_tag:
                self.to_tag = tag_of(answer)
            self.send(self.request("ACK", branch=branch if answer.status >= 300 else ""))
            if answer.status >= 300 and self.cseq == 1:
                self.to_tag = ""
        self.cseq += 1
        return answer

    async def request_of(self, method: str) -> Answer:
        """The next request of the other side by that method; what comes before is passed over."""
        async with asyncio.timeout(10):
            while True:
                request = await self.arrived.get()
                if request.first.startswith(f"{method} "):
                    return request

    def reply(self, request: Answer, status: str = "200 OK", headers: Mapping[str, str] | None = None) -> None:
        """Answer a request of the other side."""
        names = ("via", "from", "to", "call-id", "cseq")
        fields = {name: request.headers[name] for name in names} | dict(headers or {}) | {"content-length": "0"}
        lines = [f"SIP/2.0 {status}", *(f"{name}: {said}" for name, said in fields.items())]
        self.send("\r\n".join(lines) + "\r\n\r\n")

    async def silence(self) -> None:
        """Be sure that nothing more is to come: what is asked last is answered last."""
        other = Peer(self.here, self.transport)
        self.send(other.request("OPTIONS"))
        async with asyncio.timeout(10):
            answer = await self.arrived.get()
        assert "OPTIONS" in answer.headers["cseq"], answer.first


class _Socket(asyncio.DatagramProtocol):
    peer: Peer

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        head, _, body = data.decode().partition("\r\n\r\n")
        first, *lines = head.split("\r\n")
        headers = {name.lower(): said.strip() for name, _, said in (line.partition(":") for line in lines)}
        answer = Answer(first, headers, body)
        if self.peer.polite and first.startswith("BYE "):
            self.peer.reply(answer)
        self.peer.arrived.put_nowait(answer)


def tag_of(answer: Answer) -> str:
    """The tag that the other side has given itself."""
    return answer.headers["to"].rpartition(";tag=")[2]


@asynccontextmanager
async def peer(here: House, **parts: Any) -> AsyncIterator[Peer]:
    """A peer on a socket of its own."""
    loop = asyncio.get_running_loop()
    transport, socket = await loop.create_datagram_endpoint(_Socket, ("127.0.0.1", 0))
    socket.peer = Peer(here, transport, **parts)
    try:
        yield socket.peer
    finally:
        transport.close()
