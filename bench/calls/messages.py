"""What a phone under load says: SIP and SDP as octets, filled in by name, and no more read than is needed.

Knows: one phone's side of RFC 3261 and RFC 4568. Must never know: time, or other calls.

A SIP stack of the focus's kind would need as much CPU as the focus itself; this one needs a twentieth.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Final

HOST: Final = "127.0.0.1"


@dataclass(slots=True)
class Dialog:
    """What the messages of one call have in common."""

    call: int
    room: str
    focus: tuple[str, int]
    port: int
    """Of our SIP socket."""
    body: bytes = b""
    """Of the offer, and of every answer but for its version and tag."""
    target: str = ""
    """The focus's Contact."""
    remote_tag: str = ""

    @property
    def uri(self) -> str:
        return f"sip:{self.room}@{self.focus[0]}:{self.focus[1]}"

    @property
    def caller(self) -> str:
        return f"sip:load-{self.call}@{HOST}"

    @property
    def call_id(self) -> str:
        return f"{self.call}@load"


def sdp(address: str, port: int, suite: str, key: bytes, ssrc: int) -> bytes:
    """The offer of a phone."""
    return (
        f"v=0\r\no=- {ssrc} 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n"
        f"m=audio {port} RTP/SAVP 0\r\na=rtpmap:0 PCMU/8000\r\na=ptime:20\r\n"
        f"a=crypto:1 {suite} inline:{base64.b64encode(key).decode()}\r\n"
        f"a=ssrc:{ssrc} cname:{ssrc}\r\na=rtcp-mux\r\na=sendrecv\r\n"
    ).encode()


def request(dialog: Dialog, method: str, number: int, *, branch: str = "", body: bytes = b"") -> bytes:
    """A request of ours. `branch`: of the Via, another for each transaction."""
    tag = f";tag={dialog.remote_tag}" if dialog.remote_tag else ""
    lines = [
        f"{method} {dialog.target or dialog.uri} SIP/2.0",
        f"Via: SIP/2.0/UDP {HOST}:{dialog.port};branch=z9hG4bK{dialog.call}{branch or method}{number};rport",
        "Max-Forwards: 70",
        f"From: <{dialog.caller}>;tag={dialog.call}",
        f"To: <{dialog.uri}>{tag}",
        f"Call-ID: {dialog.call_id}",
        f"CSeq: {number} {method}",
        f"Contact: <sip:load-{dialog.call}@{HOST}:{dialog.port}>",
        "Allow: INVITE, ACK, BYE, CANCEL, UPDATE",
        "User-Agent: mrfp-load",
    ]
    return _whole(lines, body)


def response(head: bytes, contact: str, *, status: str = "200 OK", body: bytes = b"") -> bytes:
    """An answer to a request of the focus."""
    lines = [f"SIP/2.0 {status}"]
    lines += [line.decode() for line in head.split(b"\r\n")[1:] if _COPIED.match(line)]
    return _whole([*lines, f"Contact: <{contact}>", "User-Agent: mrfp-load"], body)


def answer(dialog: Dialog, offer: bytes, version: int) -> bytes:
    """The answer to an offer of another key: ours stays (RFC 4568 section 7.1.4)."""
    tag = _TAG.search(offer)
    body = dialog.body.replace(b" 1 IN IP4", b" %d IN IP4" % version, 1)
    return body.replace(b"a=crypto:1 ", b"a=crypto:%s " % (tag[1] if tag else b"1"), 1)


@dataclass(frozen=True, slots=True)
class Arrived:
    """As much of a message as a phone under load looks at."""

    call: int
    number: int
    method: str
    """Of the CSeq."""
    status: int
    """0 for a request."""
    tag: str
    """Of the focus."""
    contact: str
    head: bytes
    body: bytes


def read(octets: bytes) -> Arrived:
    """Read a message. Raises `ValueError` if it is none of a call of ours."""
    head, _, body = octets.partition(b"\r\n\r\n")
    call_id, cseq, contact = _CALL_ID.search(head), _CSEQ.search(head), _CONTACT.search(head)
    if call_id is None or cseq is None:
        raise ValueError("a message of no call of ours")
    status = int(head[8:11]) if head.startswith(b"SIP/2.0 ") else 0
    tag = _TO_TAG.search(head)
    return Arrived(
        call=int(call_id[1]),
        number=int(cseq[1]),
        method=cseq[2].decode(),
        status=status,
        tag=tag[1].decode() if tag else "",
        contact=contact[1].decode() if contact else "",
        head=head,
        body=body,
    )


def _whole(lines: list[str], body: bytes) -> bytes:
    kind = ["Content-Type: application/sdp"] if body else []
    return "\r\n".join([*lines, *kind, f"Content-Length: {len(body)}", "", ""]).encode() + body


_COPIED: Final = re.compile(rb"(?i)(via|from|to|call-id|cseq|record-route):")
_CALL_ID: Final = re.compile(rb"(?im)^Call-ID:[ \t]*(\d+)@load[ \t]*\r?$")
_CSEQ: Final = re.compile(rb"(?im)^CSeq:[ \t]*(\d+)[ \t]+([A-Z]+)")
_CONTACT: Final = re.compile(rb"(?im)^Contact:[^<\r\n]*<([^>\r\n]+)>")
_TO_TAG: Final = re.compile(rb"(?im)^To:[^\r\n]*;tag=([^;\s]+)")
_TAG: Final = re.compile(rb"(?m)^a=crypto:(\d+) ")
