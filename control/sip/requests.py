"""Requests that we send, and the two that follow from an INVITE: CANCEL and the ACK of a refusal.

Knows how a request is written. Must never know who asked for it, nor what became of it. Targets and routes are
kept as the peer wrote them: a URI that is parsed and written again may come out with other octets.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from sipmessage import Response

from control.sip.flows import Flow, host_and_port

COOKIE: Final = "z9hG4bK"
"""A branch that begins so is unique (RFC 3261 section 8.1.1.7)."""

Fields = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Question:
    """What we ask in a dialog, before it has a number.

    Attributes:
        ack_body: what the ACK of a 2xx to INVITE says.
    """

    method: str
    fields: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    content_type: str = "application/sdp"
    ack_body: Callable[[Response], bytes] = lambda _: b""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request to be."""

    method: str
    uri: str
    sender: str
    """From, with its tag."""
    to: str
    call_id: str
    cseq: int
    via: str
    branch: str
    routes: tuple[str, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()
    """What else is in the header."""
    body: bytes = b""
    content_type: str = "application/sdp"
    key: tuple[str, str] = field(init=False)
    """Of its transaction (section 17.1.3)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", (self.branch, self.method))

    def encode(self) -> bytes:
        """The octets."""
        lines = [f"{self.method} {self.uri} SIP/2.0", f"Via: {self.via}"]
        lines += [f"Route: {route}" for route in self.routes]
        lines += [
            "Max-Forwards: 70",
            f"From: {self.sender}",
            f"To: {self.to}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {self.cseq} {self.method}",
        ]
        lines += [f"{name}: {clean(value)}" for name, value in self.fields]
        return finish(lines, self.body, self.content_type)

    def refused(self, to: str) -> Outgoing:
        """The ACK of a final response other than 2xx: in the INVITE's own transaction (section 17.1.1.3)."""
        return replace(self, method="ACK", to=to, fields=(), body=b"")

    def cancelled(self) -> Outgoing:
        """The CANCEL of it (section 9.1)."""
        return replace(self, method="CANCEL", fields=(), body=b"")


def finish(lines: list[str], body: bytes, content_type: str) -> bytes:
    """A header and a body as octets."""
    if body:
        lines.append(f"Content-Type: {content_type}")
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("utf-8", "replace") + b"\r\n\r\n" + body


def via_and_branch(flow: Flow, sent_by: str = "") -> tuple[str, str]:
    """A Via for a request on a flow, that asks for `rport` (RFC 3581), and its branch."""
    branch = COOKIE + secrets.token_hex(10)
    where = sent_by or host_and_port(flow.local)
    return f"SIP/2.0/{flow.transport.upper()} {where};rport;branch={branch}", branch


def new_tag() -> str:
    """80 random bits: what proves to us that a request comes from who is in the dialog."""
    return secrets.token_hex(10)


def new_call_id() -> str:
    return secrets.token_hex(16)


def clean(value: str) -> str:
    """A value that cannot break out of its field."""
    return value if value.isprintable() else "".join(char if char.isprintable() else " " for char in value)
