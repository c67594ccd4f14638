"""Messages: odd ones that are right are read, bad ones are refused with the right status, and none does harm."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.sip.message import MAX_LINE, Malformed, parse
from control.sip.uris import parameter_of
from tests.control.sip.house import request

ODD = (
    "INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\r\n"
    "TO :\r\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n\r\n"
    'from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8\r\n'
    "MaX-fOrWaRdS: 0068\r\n"
    "Call-ID: wsinv.ndaksdj@192.0.2.1\r\n"
    "Content-Length   : 4\r\n"
    "cseq: 0009\r\n  INVITE\r\n"
    "Via  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=z9hG4bK30239\r\n"
    "s :\r\n"
    "NewFangledHeader:   newfangled value\r\n continued newfangled value\r\n"
    "UnknownHeaderWithUnusualValue: ;;,,;;,;\r\n"
    "Route:\r\n <sip:services.example.com;lr;unknownwith=value;unknown-no-value>\r\n"
    "v:  SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8  ,\r\n"
    " SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n z9hG4bK30239\r\n"
    'm:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =\r\n  newvalue ;\r\n  secondparam ; q = 0.33\r\n'
    "\r\nbody and more"
)


def test_folded_and_spaced_to_the_limit() -> None:
    message = parse(ODD.encode())
    assert (message.method, message.cseq, message.call_id) == ("INVITE", 9, "wsinv.ndaksdj@192.0.2.1")
    assert (message.sender.display, message.sender.tag) == ('J Rosenberg \\"', "98asjd8")
    assert (message.to.uri, message.to.tag) == ("sip:vivekg@chair-dnrc.example.com", "1918181833n")
    assert (message.via.transport, message.via.host, message.via.branch) == ("udp", "192.0.2.2", "z9hG4bK30239")
    assert len(message.headers.getlist("Via")) == 2
    assert message.headers["Contact"].startswith('"Quoted string')
    assert message.request.body == b"body"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("Call-ID", "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{"),
        ("X-Long", "x" * (MAX_LINE - 20)),
        ("Subject", "żółw 亀 🐢"),
        ("X-Empty", ""),
    ],
)
def test_unusual_values(field: str, value: str) -> None:
    text = request(extra=(f"{field}: {value}",)).replace(
        "Call-ID: call-1\r\n", "" if field == "Call-ID" else "Call-ID: 1\r\n"
    )
    assert parse(text.encode()).headers.get(field) == value


def test_unusual_method_and_escapes() -> None:
    text = request("!interesting-Method0123456789_*+`.%indeed'~", uri="sip:sips%3Auser%40example.com@example.net")
    message = parse(text.encode())
    assert message.request.uri.host == "example.net"
    assert message.method == "!interesting-Method0123456789_*+`.%indeed'~"


@pytest.mark.parametrize("phrase", ["", "= 2**3 * 5**2 но сто девяносто девять - простое"])
def test_unusual_reason_phrases(phrase: str) -> None:
    text = request().replace("INVITE sip:conf@192.0.2.1 SIP/2.0", f"SIP/2.0 200 {phrase}")
    assert parse(text.encode()).response.phrase == phrase


def test_compact_forms_and_a_tel_uri() -> None:
    text = request(uri="tel:+15551212", extra=("k: 100rel", "x: 90", "o: conference"))
    message = parse(text.encode())
    assert message.headers["Supported"] == "100rel"
    assert message.headers["Session-Expires"] == "90"
    assert message.headers["Event"] == "conference"
    assert message.request.uri.scheme == "tel"


@pytest.mark.parametrize(
    ("text", "user", "host", "port"),
    [
        ("sip:conf@pbx1", "conf", "pbx1", None),
        ("SIP:conf@my_host.x-1:5070;self=1;lr", "conf", "my_host.x-1", 5070),
        ("sips:[2001:db8::9]:5061", None, "[2001:db8::9]", 5061),
        ("sip:a;b=c%40d:secret@192.0.2.1;transport=tcp?subject=x", "a;b=c@d", "192.0.2.1", None),
    ],
)
def test_uris_that_the_library_refuses_or_that_are_odd(
    text: str, user: str | None, host: str, port: int | None
) -> None:
    uri = parse(request(uri=text).encode()).request.uri
    assert (uri.user, uri.host, uri.port) == (user, host, port)


def test_a_parameter_of_a_uri() -> None:
    assert parameter_of("sip:a;transport=udp@b;x;Transport=TCP", "transport") == "tcp"
    assert parameter_of("sip:a@b;lr", "lr") == ""
    assert parameter_of("sip:a@b?transport=tls", "transport") is None


def test_empty_lines_before_and_octets_after() -> None:
    assert parse(b"\r\n\r\n" + request(body="v=0").encode() + b"INVITE again").request.body == b"v=0"


BAD = {
    "no Call-ID": (request(without=("Call-ID",)), 0),
    "no Via": (request(without=("Via",)), 0),
    "no From": (request(without=("From",)), 0),
    "no CSeq": (request(without=("CSeq",)), 0),
    "two of To": (request(extra=("To: <sip:b@example.net>",)), 400),
    "two of CSeq": (request(extra=("CSeq: 2 INVITE",)), 400),
    "CSeq of another method": (request().replace("1 INVITE", "1 OPTIONS"), 400),
    "CSeq too large": (request(cseq=2**31), 400),
    "CSeq far too large": (request(cseq=36893488147419103232), 400),
    "CSeq of no number": (request().replace("CSeq: 1", "CSeq: one"), 400),
    "negative Content-Length": (request().replace("Content-Length: 0", "Content-Length: -999"), 400),
    "body cut off": (request(body="v=0")[:-1], 400),
    "two Content-Lengths": (request(extra=("l: 5",), body="v=0"), 400),
    "Max-Forwards of no number": (request().replace("Max-Forwards: 70", "Max-Forwards: x"), 400),
    "another version": (request().replace("SIP/2.0\r\n", "SIP/7.0\r\n", 1), 505),
    "unknown scheme": (request(uri="nobodyKnowsThisScheme:totallyopaquecontent"), 416),
    "http": (request(uri="http://example.net"), 416),
    "too long a URI": (request(uri=f"sip:{'a' * MAX_LINE}@b"), 414),
    "a URI with a port of six digits": (request(uri="sip:a@b:123456"), 400),
    "a URI whose bracket does not close": (request(uri="sip:a@[::1"), 400),
    "a URI with @ and no user": (request(uri="sip:@b"), 400),
    "a tel URI of no number": (request(uri="tel:nobody!"), 400),
    "URI in angle brackets": (request(uri="<sip:user@example.com>"), 400),
    "URI without host": (request(uri="sip:"), 400),
    "spaces in the request line": (request(uri="sip:user@example.com; lr"), 0),
    "To whose quote does not close": (request().replace("To: <sip", 'To: "Mr. <sip'), 400),
    "To without a URI": (request().replace("To: <sip:conf@192.0.2.1>", "To: nobody"), 400),
    "a header line that is no field": (request(extra=("just words",)), 400),
    "a bare line feed": (request(extra=("Subject: a\nVia: SIP/2.0/UDP evil",)), 400),
    "a NUL": (request(extra=("Subject: a\0b",)), 400),
    "too many fields": (request(extra=tuple(f"X-{n}: 1" for n in range(300))), 0),
    "too long a field": (request(extra=("X: " + "a" * MAX_LINE,)), 400),
    "no end of the header": (request().rstrip(), 0),
    "an ACK with a bad CSeq": (request("ACK", cseq=2**31), 0),
    "a response with a bad CSeq": (
        request(cseq=2**31).replace("INVITE sip:conf@192.0.2.1 SIP/2.0", "SIP/2.0 200 OK"),
        0,
    ),
    "a status of four digits": (request().replace("INVITE sip:conf@192.0.2.1 SIP/2.0", "SIP/2.0 4294 Well"), 0),
    "nothing": ("", 0),
    "noise": ("\x01\x02\x03\x04", 0),
}


@pytest.mark.parametrize(("text", "status"), BAD.values(), ids=BAD.keys())
def test_bad_messages_get_a_status_or_silence(text: str, status: int) -> None:
    with pytest.raises(Malformed) as refused:
        parse(text.encode())
    assert (refused.value.status if refused.value.request is not None else 0) == status


pieces = st.sampled_from(
    [
        b"\r\n",
        b" ",
        b":",
        b";",
        b",",
        b'"',
        b"\\",
        b"<",
        b">",
        b"=",
        b"SIP/2.0",
        b"INVITE",
        b"sip:a@b",
        b"Via",
        b"\xff",
        b"\0",
    ]
)
noise = st.lists(st.one_of(pieces, st.binary(max_size=8)), max_size=60).map(b"".join)


@given(noise)
def test_noise_is_malformed_or_a_message(octets: bytes) -> None:
    with contextlib.suppress(Malformed):
        parse(octets)


@given(st.data())
def test_a_message_with_some_octets_changed(data: st.DataObject) -> None:
    octets = bytearray(ODD.encode())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(octets) - 1))
        octets[at : at + data.draw(st.integers(0, 5))] = data.draw(st.one_of(pieces, st.binary(max_size=3)))
    try:
        message = parse(bytes(octets))
    except Malformed:
        return
    assert message.cseq < 2**31
    assert "\n" not in "".join(value for name in message.headers.keys() for value in message.headers.getlist(name))  # noqa: SIM118


@pytest.mark.timeout(10)
@pytest.mark.parametrize("filler", ['"', "\\", "<", ",", ";", " ", '"a" <', "a=", '\\"', ';a="', "(", "\t", "a,"])
@pytest.mark.parametrize("name", ["From", "Via", "Contact", "Record-Route", "CSeq", "Content-Length", "Max-Forwards"])
def test_no_value_takes_long(name: str, filler: str) -> None:
    """A pattern that goes back and forth would take hours for this."""
    value = (filler * MAX_LINE)[: MAX_LINE - 100]
    start, rest = request(without=(name,)).split("\r\n", 1)
    text = f"{start}\r\n{name}: {value}X\r\n{rest}"
    with contextlib.suppress(Malformed):
        parse(text.encode())


@pytest.mark.timeout(10)
def test_blanks_in_a_message_with_a_folded_line_take_no_longer() -> None:
    """Lines are put together before any limit is looked at: it was two seconds for each of these datagrams."""
    text = request(extra=("Subject: a\r\n b", f"X: {' ' * 60_000}x"))
    for _ in range(10):
        with pytest.raises(Malformed):
            parse(text.encode())
