"""A message from octets, checked: what passes here has all that RFC 3261 section 8.1.1 demands.

Knows the rules of the message's form. Must never know transactions, dialogs or sockets. The library's own parser
is too trusting for peers nobody knows (no folded lines, no limits, nothing mandatory), so the lines are read here
and its types are filled.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sipmessage import URI, Headers, Request, Response
from sipmessage.message import COMPACT_FORMS

from control.sip.errors import SipError
from control.sip.uris import parse_uri
from control.sip.values import NameAddr, Via, parse_name_addr, parse_via, split_list

MAX_LINES: Final = 200
MAX_LINE: Final = 8192
MAX_CSEQ: Final = 2**31  # section 8.1.1.5


class Malformed(SipError):
    """Not a message. `request` is what could be read of it, if that is enough to answer; None asks for silence."""

    def __init__(self, why: str, *, status: int = 400, request: Request | None = None) -> None:
        super().__init__(why)
        self.status = status
        self.request = request


@dataclass(slots=True)
class Envelope:
    """A checked message, with what every room above asks of it read once."""

    message: Request | Response
    via: Via
    """The topmost."""
    sender: NameAddr
    """From."""
    to: NameAddr
    call_id: str
    cseq: int
    method: str
    """Of CSeq, which is the request's own."""

    @property
    def headers(self) -> Headers:
        return self.message.headers

    @property
    def status(self) -> int:
        """Of a response; 0 for a request."""
        return self.message.code if isinstance(self.message, Response) else 0

    @property
    def request(self) -> Request:
        """Of what is known to be one."""
        assert isinstance(self.message, Request)
        return self.message

    @property
    def response(self) -> Response:
        """Of what is known to be one."""
        assert isinstance(self.message, Response)
        return self.message


def parse(octets: bytes) -> Envelope:
    """Read one message.

    Raises:
        Malformed: and nothing else, whatever the octets are.
    """
    head, blank, body = octets.lstrip(b"\r\n").partition(b"\r\n\r\n")
    if not blank:
        raise Malformed("a message without an end of its header")
    start, *lines = _unfold(head.decode("utf-8", "replace")).split("\r\n")
    message, complaint = _start(start)
    try:
        _fill(message.headers, lines)
        envelope = _check(message)
        message.body = _cut(message.headers, body)
    except ValueError as error:
        raise _complain(message, Malformed(str(error))) from None
    if complaint is not None:
        raise _complain(message, complaint)
    return envelope


def _start(line: str) -> tuple[Request | Response, Malformed | None]:
    """The message that the first line begins, and what is wrong with it although it can be answered."""
    found = _STATUS_LINE.match(line)
    if found:
        return Response(int(found.group(1)), found.group(2)), None
    found = _REQUEST_LINE.match(line)
    if not found:
        raise Malformed("neither a request line nor a status line")
    method, uri, version = found.groups()
    scheme = uri.partition(":")[0].lower()
    if len(uri) > MAX_LINE:
        return Request(method, _NOWHERE), Malformed(f"a URI has {MAX_LINE} octets at most", status=414)
    if version != "2.0":
        return Request(method, _NOWHERE), Malformed("only SIP/2.0 is spoken here", status=505)
    if _SCHEME.fullmatch(scheme) and scheme not in {"sip", "sips", "tel"}:
        return Request(method, _NOWHERE), Malformed("no such scheme here: use sip or sips", status=416)
    try:
        return Request(method, parse_uri(uri)), None
    except ValueError:
        return Request(method, _NOWHERE), Malformed("the Request-URI is not a URI")


def _fill(headers: Headers, lines: list[str]) -> None:
    if len(lines) > MAX_LINES:
        raise ValueError("too many header fields")
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.rstrip(" \t")
        if not colon or not _TOKEN.fullmatch(name):
            raise ValueError("a line of the header is no field")
        if len(line) > MAX_LINE or _CONTROL.search(value):
            raise ValueError("a header field is too long, or has control characters")
        headers.add(COMPACT_FORMS.get(name.lower(), name), value.strip(" \t"))


def _check(message: Request | Response) -> Envelope:
    headers = message.headers
    for name in ("From", "To", "Call-ID", "CSeq"):
        if len(headers.getlist(name)) != 1:
            raise ValueError(f"{name} must be there once")
    number, method = _cseq(headers["CSeq"])
    if isinstance(message, Request):
        if method != message.method:
            raise ValueError("CSeq names another method")
        forwards = headers.get("Max-Forwards", "70") or ""
        if not _DIGITS.fullmatch(forwards):
            raise ValueError("Max-Forwards is not a number")
    call_id = headers["Call-ID"]
    if not call_id or " " in call_id:
        raise ValueError("Call-ID is not one word")
    vias = split_list(headers.get("Via") or "")
    if not vias:
        raise ValueError("there is no Via")
    for routes in headers.getlist("Record-Route"):  # of responses too: a dialog is made of them
        for route in split_list(routes):
            parse_name_addr(route)
    sender, to = parse_name_addr(headers["From"]), parse_name_addr(headers["To"])
    return Envelope(message, parse_via(vias[0]), sender, to, call_id, number, method)


def _cseq(text: str) -> tuple[int, str]:
    found = _CSEQ.fullmatch(text)
    if not found:
        raise ValueError("CSeq is not a number and a method")
    if int(found.group(1)) >= MAX_CSEQ:
        raise ValueError("CSeq is 2^31 or more")
    return int(found.group(1)), found.group(2)


def _cut(headers: Headers, body: bytes) -> bytes:
    """The body by Content-Length: what follows it in a datagram is not there (section 18.3)."""
    lengths = headers.getlist("Content-Length")
    if not lengths:
        return body
    if len(set(lengths)) > 1 or not _DIGITS.fullmatch(lengths[0]):
        raise ValueError("Content-Length is not one number")
    length = int(lengths[0])
    if length > len(body):
        raise ValueError("the body is shorter than Content-Length")
    return body[:length]


def _complain(message: Request | Response, complaint: Malformed) -> Malformed:
    """With the request, if it can be answered; nobody answers a response or an ACK."""
    if isinstance(message, Request) and message.method != "ACK":
        needed = ("Via", "From", "To", "Call-ID", "CSeq")
        if all(message.headers.get(name) for name in needed):
            complaint.request = message
    return complaint


def _unfold(head: str) -> str:
    return _FOLD.sub(" ", head) if "\r\n " in head or "\r\n\t" in head else head


_NOWHERE: Final = URI(scheme="sip", host="invalid")
_TOKEN: Final = re.compile(r"[A-Za-z0-9.!%*_+`'~-]++")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*+")
_DIGITS: Final = re.compile(r"[0-9]{1,9}")
_FOLD: Final = re.compile(r"\r\n[ \t]++")  # no blanks before the break: a long run of them would be tried from each
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_CSEQ: Final = re.compile(r"0*([0-9]{1,10})\s++([A-Za-z0-9.!%*_+`'~-]++)")
_REQUEST_LINE: Final = re.compile(r"([A-Za-z0-9.!%*_+`'~-]{1,64}+) ([^ ]++) [Ss][Ii][Pp]/([0-9]+\.[0-9]+)\Z")
_STATUS_LINE: Final = re.compile(r"[Ss][Ii][Pp]/2\.0 ([1-6][0-9][0-9]) ([^\r\n]*)\Z")
