"""A caller with bad manners: datagrams that no telephone sends, or not in that order.

Knows: just enough SIP to write a request by hand and to tell its answers apart. Must never know: what is called.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final, cast

_PATIENCE_S: Final = 5.0

OFFER: Final = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 9 RTP/SAVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
    b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0e\r\n"
)


@dataclass(frozen=True)
class Answer:
    """A response: to which method, with which status; `to` is its To header with the tag, `contact` the URI there."""

    octets: bytes
    status: int
    method: str
    to: str
    contact: str


@dataclass
class Rude(asyncio.DatagramProtocol):
    """One call of one caller, by hand."""

    uri: str
    answers: list[Answer] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    """What the other side asks of its own accord, such as BYE."""

    def __post_init__(self) -> None:
        self.call_id = secrets.token_hex(8)
        self._branch = _new_branch()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        self._port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: object) -> None:
        if data.startswith(b"SIP/2.0 "):
            self.answers.append(_parse(data))
        else:
            self.requests.append(data)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens: the answer that never comes tells as much."""

    # -- what it sends ------------------------------------------------------------------------

    def send(self, octets: bytes) -> None:
        self._transport.sendto(octets)

    def request(self, method: str, *, cseq: int = 1, within: Answer | None = None, body: bytes = b"") -> bytes:
        """A request of this call, or `within` the dialog of an answer.

        INVITE, CANCEL and the ACK of a refusal are one transaction (RFC 3261 sections 9.1 and 17.1.1.3).
        """
        accepted = within is not None and within.status < 300
        one = method in ("INVITE", "CANCEL") or (method == "ACK" and not accepted)
        lines = [
            f"{method} {within.contact if within and accepted else self.uri} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self._port};branch={self._branch if one else _new_branch()};rport",
            "Max-Forwards: 70",
            f"From: <sip:rude@127.0.0.1:{self._port}>;tag=rude",
            f"To: {within.to if within else f'<{self.uri}>'}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {cseq} {method}",
            f"Contact: <sip:rude@127.0.0.1:{self._port}>",
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def invite(self) -> bytes:
        return self.request("INVITE", body=OFFER)

    async def cancel_at_once(self) -> Answer:
        """INVITE and CANCEL back to back. Returns how the INVITE ended, acknowledged; 200 is hung up as well."""
        self.send(self.invite())
        self.send(self.request("CANCEL"))
        return await self.finish()

    async def invite_twice(self) -> Answer:
        """The same INVITE two times back to back, as after a lost answer. Returns the first final answer."""
        self.send(self.invite())
        self.send(self.invite())
        return await self.finish()

    async def finish(self) -> Answer:
        """Wait until the INVITE is answered, acknowledge, and hang up if there is a call."""
        final = await self.answer("INVITE")
        self.send(self.request("ACK", within=final))
        if final.status < 300:
            self.send(self.request("BYE", cseq=2, within=final))
            await self.answer("BYE")
        return final

    # -- what it hears ------------------------------------------------------------------------

    def finals(self, method: str) -> list[Answer]:
        """The final answers to a method."""
        return [answer for answer in self.answers if answer.method == method and answer.status >= 200]

    async def answer(self, method: str, seconds: float = _PATIENCE_S) -> Answer:
        """The first final answer to a method, once it is there."""
        try:
            async with asyncio.timeout(seconds):
                while not self.finals(method):
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"no final answer to {method} in {seconds:g} s: {self.answers}") from None
        return self.finals(method)[0]

    async def is_served(self) -> bool:
        """Whether somebody still answers OPTIONS."""
        self.send(self.request("OPTIONS"))
        return (await self.answer("OPTIONS")).status > 0


@contextlib.asynccontextmanager
async def rude_caller(uri: str) -> AsyncIterator[Rude]:
    """A caller of a URI without transport, from a socket of its own."""
    host, _, port = uri.partition("@")[2].partition(":")
    loop = asyncio.get_running_loop()
    transport, caller = await loop.create_datagram_endpoint(lambda: Rude(uri), remote_addr=(host, int(port)))
    try:
        yield caller
    finally:
        transport.close()
        await asyncio.sleep(0)  # transports close on the next turn of the loop


def malformed(caller: Rude) -> dict[str, bytes]:
    """Datagrams that break RFC 3261, by what is wrong with them."""
    good = caller.invite()
    return {
        "one octet": b"\0",
        "keepalive": b"\r\n\r\n",
        "zeros": bytes(64),
        "not UTF-8": good.replace(b"rude@", b"\xff\xfe@", 1),
        "no such method": good.replace(b"INVITE", b"INFLATE"),
        "no such version": good.replace(b"SIP/2.0\r\n", b"SIP/7.0\r\n", 1),
        "no start line": good.partition(b"\r\n")[2],
        "cut in the headers": good[:120],
        "cut in the body": good[:-40],
        "body longer than said": good + b"a=more\r\n" * 20,
        "negative length": re.sub(rb"Content-Length: \d+", b"Content-Length: -1", good),
        "endless length": re.sub(rb"Content-Length: \d+", b"Content-Length: " + b"9" * 40, good),
        "no Via": re.sub(rb"Via: [^\r]+\r\n", b"", good),
        "no Call-ID": re.sub(rb"Call-ID: [^\r]+\r\n", b"", good),
        "no From": re.sub(rb"From: [^\r]+\r\n", b"", good),
        "no To": re.sub(rb"To: [^\r]+\r\n", b"", good),
        "no CSeq": re.sub(rb"CSeq: [^\r]+\r\n", b"", good),
        "another CSeq method": good.replace(b"CSeq: 1 INVITE", b"CSeq: 1 BYE"),
        "endless CSeq": good.replace(b"CSeq: 1 ", b"CSeq: " + b"9" * 40 + b" "),
        "Via to nowhere": re.sub(rb"Via: SIP/2.0/UDP [^;]+", b"Via: SIP/2.0/UDP :0", good),
        "body that is no SDP": good.replace(b"v=0", b"v=x"),
        "a header of 40 kB": good.replace(b"Max-Forwards", b"X-Long: " + b"x" * 40_000 + b"\r\nMax-Forwards"),
        "2000 headers": good.replace(b"Max-Forwards", b"X: 1\r\n" * 2000 + b"Max-Forwards"),
        "answer to nothing": b"SIP/2.0 200 OK\r\n\r\n",
    }


def _new_branch() -> str:
    return f"z9hG4bK{secrets.token_hex(6)}"


def _parse(octets: bytes) -> Answer:
    text = octets.decode(errors="replace")

    def found(pattern: str) -> str:
        match = re.search(pattern, text, re.M | re.I)
        return match[1] if match else ""

    return Answer(
        octets=octets,
        status=int(text[8:11]),
        method=found(r"^CSeq:\s*\d+\s+(\w+)"),
        to=found(r"^(?:To|t):\s*([^\r\n]+)"),
        contact=found(r"^(?:Contact|m):[^<\r\n]*<([^>\r\n]+)>"),
    )
