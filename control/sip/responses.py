"""Responses that we send: what is copied from the request, what they are called, and where they go.

Knows sections 8.2.6 and 18.2 of RFC 3261, and RFC 3581. Must never know transactions or dialogs.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import replace
from typing import Final

from sipmessage import Request

from control.sip.flows import Flow
from control.sip.message import Envelope
from control.sip.requests import Fields, clean, finish
from control.sip.values import Via, parse_name_addr, parse_via, split_list


def encode(
    request: Request,
    status: int,
    reason: str = "",
    *,
    to_tag: str = "",
    fields: Fields = (),
    body: bytes = b"",
    content_type: str = "application/sdp",
) -> bytes:
    """The octets of a response. `to_tag` is added if the request had none."""
    headers = request.headers
    lines = [f"SIP/2.0 {status} {clean(reason or REASONS.get(status, 'Unknown'))}"]
    lines += [f"Via: {via}" for via in headers.getlist("Via")]
    to = headers["To"]
    if to_tag and not _has_tag(to):
        to = f"{to};tag={to_tag}"
    lines += [
        f"From: {headers['From']}",
        f"To: {to}",
        f"Call-ID: {headers['Call-ID']}",
        f"CSeq: {headers['CSeq']}",
    ]
    lines += [f"{name}: {clean(value)}" for name, value in fields]
    return finish(lines, body, content_type)


def stateless_tag(request: Request) -> str:
    """A To tag for an answer that nobody remembers: the same for each retransmission (section 8.2.7)."""
    known = "|".join(request.headers.get(name) or "" for name in ("Via", "Call-ID", "CSeq", "From"))
    return hashlib.blake2b(known.encode("utf-8", "replace"), key=_SALT, digest_size=10).hexdigest()


def stamp(envelope: Envelope, flow: Flow) -> None:
    """Note in the topmost Via where the request really came from (section 18.2.1 and RFC 3581)."""
    envelope.via = stamp_via(envelope.request, envelope.via, flow)


def stamp_via(request: Request, via: Via, flow: Flow) -> Via:
    """The same for one that could not be read as a whole."""
    asked = "rport" in via.parameters
    if not asked and via.host == flow.remote[0]:
        return via
    values = request.headers.getlist("Via")
    first, *others = split_list(values[0])
    kept = [piece for piece in first.split(";") if _name(piece) not in {"received", "rport"}]
    added = [f"received={flow.remote[0]}"] + ([f"rport={flow.remote[1]}"] if asked else [])
    stamped = ";".join(kept + added)
    request.headers.setlist("Via", [stamped, *others, *values[1:]])
    return parse_via(stamped)


def way_back(via: Via, flow: Flow) -> Flow:
    """Where a response goes: back on a connection; over UDP to the port that sent, or to that of the Via."""
    if flow.reliable or "rport" in via.parameters:
        return flow
    return replace(flow, remote=(flow.remote[0], via.port or 5060))


def _has_tag(to: str) -> bool:
    try:
        return bool(parse_name_addr(to).tag)
    except ValueError:  # of a message that is answered for being malformed
        return ";tag=" in to.lower()


def _name(piece: str) -> str:
    return piece.partition("=")[0].strip().lower()


_SALT: Final = secrets.token_bytes(32)

REASONS: Final = {
    100: "Trying",
    180: "Ringing",
    181: "Call Is Being Forwarded",
    182: "Queued",
    183: "Session Progress",
    200: "OK",
    202: "Accepted",
    204: "No Notification",
    302: "Moved Temporarily",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    410: "Gone",
    412: "Conditional Request Failed",
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    420: "Bad Extension",
    421: "Extension Required",
    422: "Session Interval Too Small",
    423: "Interval Too Brief",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    484: "Address Incomplete",
    485: "Ambiguous",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    489: "Bad Event",
    491: "Request Pending",
    493: "Undecipherable",
    500: "Server Internal Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Server Time-out",
    505: "Version Not Supported",
    513: "Message Too Large",
    600: "Busy Everywhere",
    603: "Decline",
    606: "Not Acceptable",
}
