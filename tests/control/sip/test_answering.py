"""The server: what is refused before anybody looks at it, how a dialog is made, and the races of CANCEL."""

from __future__ import annotations

import pytest

from control.sip.incoming import Incoming
from control.sip.settings import SipSettings
from tests.control.sip.house import OVER_TCP, OVER_TLS, PEER, House, call, request

REFUSED = {
    "a method we have not": (request("MESSAGE"), 405, "Allow", "INVITE, ACK, BYE"),
    "a method nobody has": (request("FROBNICATE"), 405, "Allow", "INVITE, ACK, BYE"),
    "an extension we lack": (request(extra=("Require: 100rel, nothing",)), 420, "Unsupported", "nothing"),
    "a tag of no dialog": (request(to_tag="guess"), 481, "Server", "mrfp"),
    "BYE without a dialog": (request("BYE"), 481, "Server", "mrfp"),
    "NOTIFY without a dialog": (request("NOTIFY"), 481, "Server", "mrfp"),
    "no Contact": (request(without=("Contact",)), 400, "Server", "mrfp"),
    "a Contact that calls nobody": (request(without=("Contact",), extra=("m: <mailto:a@b>",)), 400, "Server", "mrfp"),
    "a Record-Route that is none": (request(extra=("Record-Route: <sip:p;lr", )), 400, "From", "Alice"),
    "CANCEL of nothing": (request("CANCEL"), 481, "From", "Alice"),
    "an unknown scheme": (request(uri="soap.beep://192.0.2.103:3002"), 416, "From", "Alice"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "status", "field", "value"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_by_the_stack(text: str, status: int, field: str, value: str) -> None:
    house = House()
    [answer] = house.hear(text)
    assert answer.status == status
    assert answer.headers[field].startswith(value)
    assert answer.to.tag
    assert house.application.heard == []
    assert len(house.core.dialogs) == 0


@pytest.mark.parametrize("tag", [";tag=x", " ;\ttag = x", ';y=">";tag=x', ";TAG=x"])
def test_a_to_with_a_tag_goes_back_as_it_is(tag: str) -> None:
    house = House()
    [answer] = house.hear(request("OPTIONS").replace("To: <sip:conf@192.0.2.1>", f"To: <sip:conf@192.0.2.1>{tag}"))
    assert (answer.status, answer.headers["To"]) == (481, f"<sip:conf@192.0.2.1>{tag}")


def test_what_cannot_be_read_is_answered_with_what_could() -> None:
    house = House()
    house.core.layer.receive(request(cseq=2**31).encode(), PEER)
    [(flow, octets)] = house.out
    assert flow == PEER
    assert octets.startswith(
        b"SIP/2.0 400 CSeq is 2^31 or more\r\nVia: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK1;received="
    )
    assert b"\r\nCSeq: 2147483648 INVITE\r\n" in octets


def test_too_many_hops_if_somebody_else_is_meant() -> None:
    settings = SipSettings(domains=("conf.example.net",))
    last = request("OPTIONS", uri="sip:x@conf.example.net").replace("Forwards: 70", "Forwards: 0")
    assert House(settings=settings).hear(last) == []  # it is for us: the application has it
    [answer] = House(settings=settings).hear(last.replace("x@conf.example.net", "x@elsewhere.example.net"))
    assert answer.status == 483


def test_what_came_on_two_ways_is_a_loop() -> None:
    house = House()
    house.hear(request(branch="z9hG4bKone"))
    [answer] = house.hear(request(branch="z9hG4bKtwo"))
    assert answer.status == 482
    assert house.application.heard == ["INVITE"]


def test_nobody_answers_an_ack_or_a_response() -> None:
    house = House()
    assert house.hear(request("ACK", to_tag="guess")) == []
    assert house.hear(request().replace("INVITE sip:conf@192.0.2.1 SIP/2.0", "SIP/2.0 200 OK")) == []
    assert house.core.layer.dropped == {"ack": 1, "response": 1}


def test_the_answer_goes_to_where_the_request_came_from() -> None:
    house = House()
    house.application.act = lambda incoming: incoming.respond(200)
    text = request("OPTIONS").replace("192.0.2.9:5060;rport", "10.0.0.1:5070;rport")
    house.core.layer.receive(text.encode(), PEER)
    assert house.out[-1][0] == PEER
    [answer] = house.said()
    assert answer.via.parameters == {"branch": "z9hG4bK1", "received": "192.0.2.9", "rport": "5060"}


def test_without_rport_it_goes_to_the_port_of_the_via() -> None:
    house = House()
    house.application.act = lambda incoming: incoming.respond(200)
    text = request("OPTIONS").replace("192.0.2.9:5060;rport", "10.0.0.1:5070")
    house.core.layer.receive(text.encode(), PEER)
    assert house.out[-1][0].remote == ("192.0.2.9", 5070)


def test_a_2xx_makes_a_dialog() -> None:
    house = House()
    routes = ("Record-Route: <sip:p2;lr>, <sip:p1;lr>", "Record-Route: <sip:p0;lr>")
    house.hear(request(extra=routes, body="offer"))
    [incoming] = house.application.incoming
    dialog = incoming.respond(200, body=b"answer")
    [answer] = house.said()
    assert dialog is not None
    assert (answer.to.tag, answer.request if answer.status == 0 else answer.response.body) == (
        dialog.local_tag,
        b"answer",
    )
    assert len(dialog.local_tag) >= 16
    assert answer.headers["Contact"] == "<sip:conf@192.0.2.1:5060>;isfocus"
    assert answer.headers.getlist("Record-Route") == ["<sip:p2;lr>, <sip:p1;lr>", "<sip:p0;lr>"]
    assert dialog.routes == ("<sip:p2;lr>", "<sip:p1;lr>", "<sip:p0;lr>")
    assert dialog.remote_target == "sip:alice@192.0.2.9:5060"
    assert dialog.remote_identity == "Alice"
    assert not dialog.early
    assert incoming.respond(200) is None


@pytest.mark.parametrize("flow", [PEER, OVER_TCP])
def test_2xx_is_sent_until_its_ack(flow: object) -> None:
    house = House()
    house.hear(request(body="offer"), flow)  # type: ignore[arg-type]
    dialog = house.application.incoming[0].respond(200)
    assert dialog is not None
    house.said()
    assert [when for when, _ in house.until(8)] == [0.5, 1.5, 3.5, 7.5]
    house.hear(request("ACK", branch="z9hG4bKack", to_tag=dialog.local_tag, body="late answer"), flow)  # type: ignore[arg-type]
    house.hear(request("ACK", branch="z9hG4bKack", to_tag=dialog.local_tag, body="late answer"), flow)  # type: ignore[arg-type]
    assert house.until(100) == []
    assert house.application.heard == ["INVITE", "acknowledged"]
    assert house.application.bodies == [b"late answer"]


def test_no_ack_is_told_after_64_t1() -> None:
    house = House()
    house.hear(request())
    house.application.incoming[0].respond(200)
    house.until(31.99)
    assert house.application.heard == ["INVITE"]
    house.until(32)
    assert house.application.heard == ["INVITE", "unacknowledged"]
    assert house.until(100) == []


def test_the_ack_of_a_2xx_in_the_transaction_of_the_invite() -> None:
    """Not by the book, but seen."""
    house = House()
    house.hear(request())
    dialog = house.application.incoming[0].respond(200)
    assert dialog is not None
    house.hear(request("ACK", to_tag=dialog.local_tag))
    assert house.application.heard[-1] == "acknowledged"


def test_cancel_before_the_answer() -> None:
    house = House()
    house.hear(request())
    house.application.incoming[0].respond(180)
    house.said()
    answers = house.hear(request("CANCEL"))
    assert [(answer.status, answer.method) for answer in answers] == [(200, "CANCEL"), (487, "INVITE")]
    assert house.application.heard == ["INVITE", "cancelled"]
    assert house.application.incoming[0].cancelled
    assert len(house.core.dialogs) == 0
    assert house.application.incoming[0].respond(200) is None
    assert house.said() == []


def test_cancel_after_the_answer_changes_nothing() -> None:
    house = House()
    house.hear(request())
    dialog = house.application.incoming[0].respond(200)
    house.said()
    [answer] = house.hear(request("CANCEL"))
    assert (answer.status, answer.method) == (200, "CANCEL")
    assert house.application.heard == ["INVITE"]
    assert list(house.core.dialogs) == [dialog]


@pytest.mark.parametrize("invited", [PEER, OVER_TLS])
def test_a_stranger_cannot_cancel(invited: object) -> None:
    house = House()
    house.hear(request(), invited)  # type: ignore[arg-type]
    stranger = type(PEER)("udp", PEER.local, ("203.0.113.66", 5060))
    [answer] = house.hear(request("CANCEL"), stranger)
    assert answer.status == 481
    assert not house.application.incoming[0].answered


def test_an_invite_from_before_rfc_3261() -> None:
    """No branch to go by, and the ACK has a tag where the INVITE had none."""
    house = House()
    house.application.act = lambda incoming: incoming.respond(486)
    old = request().replace(";branch=z9hG4bK1", ";branch=1")
    [refusal] = house.hear(old)
    [again] = house.hear(old)
    assert refusal.to.tag == again.to.tag
    house.hear(request("ACK", to_tag=refusal.to.tag).replace(";branch=z9hG4bK1", ";branch=1"))
    assert house.until(60) == []


def test_a_fault_of_the_application_is_answered() -> None:
    house = House()

    def fail(_: Incoming) -> None:
        raise RuntimeError("a fault")

    house.application.act = fail
    [answer] = house.hear(request())
    assert answer.status == 500
    assert house.core.faults == {"application": 1}


@pytest.mark.parametrize(
    "limit", ["max_pending", "max_pending_per_source", "max_transactions", "max_transactions_per_source"]
)
def test_too_many_invites(limit: str) -> None:
    house = House(settings=SipSettings(**{limit: 2}))  # type: ignore[arg-type]
    for number in range(2):
        assert house.hear(request(branch=f"z9hG4bK{number}", call_id=f"c{number}")) == []
    one, two = (house.hear(request(branch=f"z9hG4bK{number}", call_id=f"c{number}"))[0] for number in (7, 7))
    assert (one.status, one.headers["Retry-After"]) == (503, "5")
    assert one.to.tag == two.to.tag  # although nobody remembers it
    assert len(house.application.heard) == 2
    house.application.incoming[0].respond(486)
    house.until(40)
    house.said()
    assert house.hear(request(branch="z9hG4bK8", call_id="c8")) == []


def test_one_source_does_not_crowd_out_another() -> None:
    house = House(settings=SipSettings(max_pending_per_source=1))
    house.hear(request(branch="z9hG4bK1", call_id="c1"))
    other = type(PEER)("udp", PEER.local, ("192.0.2.10", 5060))
    assert house.hear(request(branch="z9hG4bK2", call_id="c2"), other) == []


def test_a_flood_leaves_nothing_behind() -> None:
    house = House(settings=SipSettings(max_transactions=50))
    house.application.act = lambda incoming: (incoming.respond(180), incoming.respond(486))
    for number in range(200):
        house.hear(request(branch=f"z9hG4bK{number}", call_id=f"c{number}"))
    assert (house.core.layer.admission.alive, house.core.layer.admission.refused) == (50, 150)
    house.until(33)
    assert (house.core.layer.admission.alive, house.core.layer.admission.pending) == (0, 0)
    assert house.timers.due() is None


@pytest.mark.parametrize("method", ["OPTIONS", "INVITE"])
def test_a_flood_from_addresses_that_nobody_has_keeps_nobody_out(method: str) -> None:
    """What is answered at once is forgotten at once when half the memory is taken."""
    house = House(settings=SipSettings(max_transactions=50))
    house.application.act = lambda incoming: incoming.respond(486 if incoming.method == "INVITE" else 200)
    for number in range(200):
        source = type(PEER)("udp", PEER.local, (f"203.0.113.{number}", 5060))
        house.hear(request(method, branch=f"z9hG4bK{number}", call_id=f"c{number}"), source)
    assert (house.core.layer.admission.alive, house.core.layer.admission.refused) == (25, 0)
    assert len(house.application.incoming) == 200
    house.application.act = lambda incoming: None
    house.hear(request(branch="z9hG4bKhonest", call_id="honest"))
    assert house.application.incoming[200].respond(200) is not None
    house.until(33)
    assert house.core.layer.admission.alive <= 1


def test_sources_are_forgotten_with_what_they_asked() -> None:
    """Else each address that somebody pretends to have would be remembered for ever."""
    house = House()
    house.application.act = lambda incoming: incoming.respond(200 if incoming.method == "OPTIONS" else 486)
    for number, method in enumerate(["OPTIONS", "INVITE"] * 20):
        source = type(PEER)("udp", PEER.local, (f"203.0.113.{number}", 5060))
        house.hear(request(method, branch=f"z9hG4bK{number}", call_id=f"c{number}"), source)
    assert house.core.layer.admission.sources == 40
    house.until(40)
    assert house.core.layer.admission.sources == 0


@pytest.mark.parametrize("method", ["SUBSCRIBE", "REFER"])
def test_other_methods_that_make_a_dialog(method: str) -> None:
    house = House()
    house.hear(request(method))
    assert house.application.incoming[0].respond(489) is None
    house.hear(request(method, branch="z9hG4bK2", cseq=2))
    dialog = house.application.incoming[1].respond(202)
    assert dialog is not None
    assert list(house.core.dialogs) == [dialog]


def test_the_contact_of_a_call_over_tls_and_of_one_to_sips() -> None:
    house = House()
    assert call(house, OVER_TLS).contact == "<sip:conf@192.0.2.1:5060;transport=tls>;isfocus"
    house = House()
    assert call(house, OVER_TLS, uri="sips:conf@192.0.2.1").contact == "<sips:conf@192.0.2.1:5060>;isfocus"


def test_the_contact_of_a_call_to_a_telephone_number_is_a_sip_uri() -> None:
    assert call(House(), uri="tel:+15551234").contact == "<sip:+15551234@192.0.2.1:5060>;isfocus"
