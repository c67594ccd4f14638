"""Requests within a dialog: who may send them, in which order, and what they change. Spoofed ones change nothing."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control.sip.dialogs import Dialog
from control.sip.errors import DialogGone, SipError, SipTimeout, TransportLost
from control.sip.flows import Flow
from control.sip.message import Envelope
from control.sip.origin import Origin
from control.sip.single import SingleRequest
from tests.control.sip.house import OVER_TLS, PEER, House, call, request


def state(house: House) -> list[tuple[object, ...]]:
    return [
        (d.key, d.remote_cseq, d.local_cseq, d.remote_target, d.routes, d.flow, d.early, d.ended)
        for d in house.core.dialogs
    ]


def reply(request: Envelope, status: int, extra: str = "", tag: str = "a1") -> str:
    """A response of the peer, as text."""
    headers = request.headers
    to = headers["To"] if request.to.tag else f"{headers['To']};tag={tag}"
    return (
        f"SIP/2.0 {status} Well\r\nVia: {headers['Via']}\r\nFrom: {headers['From']}\r\nTo: {to}\r\n"
        f"Call-ID: {request.call_id}\r\nCSeq: {headers['CSeq']}\r\n{extra}Content-Length: 0\r\n\r\n"
    )


@pytest.mark.parametrize(
    "wrong",
    [{"to_tag": "guess"}, {"from_tag": "guess"}, {"call_id": "guess"}, {"to_tag": ""}],
    ids=["our tag", "their tag", "Call-ID", "no tag"],
)
def test_a_spoofed_bye_changes_nothing(wrong: dict[str, str]) -> None:
    house = House()
    dialog = call(house)
    before = state(house)
    spoofer = Flow("udp", PEER.local, ("203.0.113.66", 666))
    text = request("BYE", **{"branch": "z9hG4bKbye", "to_tag": dialog.local_tag, "cseq": 9, **wrong})  # type: ignore[arg-type]
    [answer] = house.hear(text, spoofer)
    assert answer.status == 481
    assert house.application.heard == []
    assert state(house) == before


@pytest.mark.parametrize("method", ["BYE", "INVITE", "UPDATE", "INFO"])
def test_a_dialog_of_tls_stays_there(method: str) -> None:
    house = House()
    dialog = call(house, OVER_TLS)
    before = state(house)
    [answer] = house.hear(request(method, branch="z9hG4bK9", to_tag=dialog.local_tag, cseq=9))
    assert answer.status == 403
    assert house.application.heard == []
    assert state(house) == before


def test_numbers_must_rise() -> None:
    house = House()
    dialog = call(house, cseq=5)
    for number in (5, 4):
        [answer] = house.hear(request("INFO", branch=f"z9hG4bK{number}", to_tag=dialog.local_tag, cseq=number))
        assert (answer.status, answer.headers.get("Retry-After") is not None) == (500, True)
    house.hear(request("INFO", branch="z9hG4bK6", to_tag=dialog.local_tag, cseq=6))
    assert house.application.heard == ["INFO"]


def test_a_request_from_a_new_address_moves_the_dialog() -> None:
    house = House()
    dialog = call(house)
    moved = Flow("udp", PEER.local, ("192.0.2.77", 6000))
    house.hear(request("INFO", branch="z9hG4bK6", to_tag=dialog.local_tag, cseq=6), moved)
    assert dialog.flow == moved


def test_a_second_invite_waits_for_the_first() -> None:
    house = House()
    dialog = call(house)
    house.hear(request(branch="z9hG4bK2", to_tag=dialog.local_tag, cseq=2, body="offer"))
    [answer] = house.hear(request(branch="z9hG4bK3", to_tag=dialog.local_tag, cseq=3, body="offer"))
    assert answer.status == 500
    assert house.application.heard == ["INVITE"]


def test_a_target_refresh_counts_when_it_is_accepted() -> None:
    house = House()
    dialog = call(house)
    moved = ("m: <sip:alice@192.0.2.50>",)
    for number, status, target in ((2, 488, "sip:alice@192.0.2.9:5060"), (3, 200, "sip:alice@192.0.2.50")):
        text = request(
            branch=f"z9hG4bK{number}", to_tag=dialog.local_tag, cseq=number, extra=moved, without=("Contact",)
        )
        house.hear(text)
        house.application.incoming[-1].respond(status)
        assert dialog.remote_target == target


def test_bye_ends_an_invite_that_nobody_has_answered() -> None:
    house = House()
    house.hear(request())
    dialog = house.application.incoming[0].respond(180)
    assert dialog is not None
    assert dialog.early
    house.said()
    [answer] = house.hear(request("BYE", branch="z9hG4bK2", to_tag=dialog.local_tag, cseq=2))
    assert (answer.status, answer.method) == (487, "INVITE")
    house.application.incoming[1].respond(200)
    assert len(house.core.dialogs) == 0


def test_a_dialog_that_ended_sends_nothing_more() -> None:
    house = House()
    house.hear(request())
    dialog = house.application.incoming[0].respond(200)
    assert dialog is not None
    dialog.end()
    house.said()
    assert house.until(31) == []
    assert len(house.core.dialogs) == 0


async def start(house: House, dialog: Dialog, method: str, **more: object) -> tuple[asyncio.Task[object], Envelope]:
    """Begin a request of ours: the task that waits, and what was sent."""
    task: asyncio.Task[object] = asyncio.create_task(dialog.request(method, **more))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    [sent] = house.said()
    return task, sent


async def test_our_request_goes_by_routes_to_the_target() -> None:
    house = House()
    dialog = call(house, extra=("Record-Route: <sip:p1;lr>, <sip:p2;lr>",))
    task, sent = await start(house, dialog, "INFO", body=b"x", content_type="text/plain")
    assert str(sent.request.uri) == "sip:alice@192.0.2.9:5060"
    assert sent.headers.getlist("Route") == ["<sip:p1;lr>", "<sip:p2;lr>"]
    assert (sent.sender.tag, sent.to.tag, sent.headers["Content-Type"]) == (dialog.local_tag, "a1", "text/plain")
    house.hear(reply(sent, 200))
    assert (await task).code == 200  # type: ignore[attr-defined]


async def test_a_strict_router_is_the_request_uri() -> None:
    house = House()
    dialog = call(house, extra=("Record-Route: <sip:p1>, <sip:p2;lr>",))
    task, sent = await start(house, dialog, "INFO")
    assert str(sent.request.uri) == "sip:p1"
    assert sent.headers.getlist("Route") == ["<sip:p2;lr>", "<sip:alice@192.0.2.9:5060>"]
    task.cancel()


async def test_a_target_keeps_its_octets() -> None:
    house = House()
    contact = ("m: <sip:alice@192.0.2.9;alias=10.0.0.1:5060;x=%61%3b?>",)
    dialog = call(house, extra=contact, without=("Contact",))
    assert (
        dialog.compose("INFO")
        .encode()
        .startswith(b"INFO sip:alice@192.0.2.9;alias=10.0.0.1:5060;x=%61%3b? SIP/2.0\r\n")
    )


async def test_our_invite_is_acknowledged_each_time_its_answer_comes() -> None:
    house = House()
    dialog = call(house)
    task, sent = await start(house, dialog, "INVITE", body=b"offer", ack_body=lambda response: b"answer")
    answer = reply(sent, 200, "Contact: <sip:alice@192.0.2.60>\r\n")
    for _ in range(2):
        [ack] = house.hear(answer)
        assert (ack.method, ack.cseq, ack.request.body) == ("ACK", sent.cseq, b"answer")
        assert ack.via.branch != sent.via.branch
    assert (await task).code == 200  # type: ignore[attr-defined]
    assert dialog.remote_target == "sip:alice@192.0.2.60"


async def test_an_answer_that_comes_too_late_is_acknowledged_still() -> None:
    house = House()
    dialog = call(house)
    task, sent = await start(house, dialog, "INVITE", body=b"offer")
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    [ack] = house.hear(reply(sent, 200))
    assert ack.method == "ACK"
    assert not dialog.ended


async def test_glare() -> None:
    """Both ask at once: theirs is refused while ours is open, and ours is sent again later with a new number."""
    house = House()
    dialog = call(house)
    task, sent = await start(house, dialog, "INVITE", body=b"offer")
    [refusal] = house.hear(request(branch="z9hG4bK2", to_tag=dialog.local_tag, cseq=2, body="offer"))
    assert refusal.status == 491
    [ack] = house.hear(reply(sent, 491))
    assert ack.method == "ACK"
    assert house.hear(request("UPDATE", branch="z9hG4bK3", to_tag=dialog.local_tag, cseq=3, body="offer")) == []
    spoken = [(when, said) for when, said in house.until(2.0) if said.method == "INVITE" and not said.status]
    assert spoken  # the peer chose the Call-ID: we wait two seconds at most
    again = spoken[0][1]
    assert again.cseq == sent.cseq + 1
    house.hear(reply(again, 200))
    assert (await task).code == 200  # type: ignore[attr-defined]


async def test_after_glare_who_is_sooner_goes_first() -> None:
    """Each would wait for the other: the application for its own offer to be done, and ours for theirs."""
    house = House()
    dialog = call(house)
    dialog.caller = True  # so we wait the longer
    task, sent = await start(house, dialog, "INVITE", body=b"offer")
    house.hear(reply(sent, 100))
    house.hear(reply(sent, 491))
    house.until(2.0)
    assert not task.done()
    assert house.hear(request(branch="z9hG4bK4", to_tag=dialog.local_tag, cseq=4, body="offer")) == []
    assert house.application.heard == ["INVITE"]
    assert (await task).code == 491  # type: ignore[attr-defined]
    assert [said.status for _, said in house.until(30.0)] == [100]
    assert not dialog.turn.locked()


@pytest.mark.parametrize("status", [481, 408])
async def test_481_ends_the_dialog(status: int) -> None:
    house = House()
    dialog = call(house)
    task, sent = await start(house, dialog, "INFO")
    house.hear(reply(sent, status))
    with pytest.raises(DialogGone):
        await task
    assert (house.application.heard, dialog.ended, len(house.core.dialogs)) == (["failed"], True, 0)


async def test_silence_ends_the_dialog() -> None:
    house = House()
    dialog = call(house)
    task, _ = await start(house, dialog, "UPDATE")
    house.until(32)
    with pytest.raises(DialogGone):
        await task
    assert house.application.heard == ["failed"]


async def test_a_refusal_does_not() -> None:
    house = House()
    dialog = call(house)
    task, sent = await start(house, dialog, "INVITE", body=b"offer")
    house.hear(reply(sent, 488))
    assert (await task).code == 488  # type: ignore[attr-defined]
    assert (house.application.heard, dialog.ended) == ([], False)


async def test_impatience_leaves_the_dialog_alone() -> None:
    house = House()
    dialog = call(house)
    with pytest.raises(SipTimeout):
        await dialog.request("INFO", timeout_s=0)
    assert (house.application.heard, dialog.ended) == ([], False)


async def test_a_broken_connection() -> None:
    house = House()
    dialog = call(house, OVER_TLS)
    task, _ = await start(house, dialog, "INFO")
    house.core.layer.lost(OVER_TLS)
    with pytest.raises(TransportLost):
        await task
    house.alive = False
    with pytest.raises(TransportLost):
        await dialog.request("INFO")
    assert not dialog.ended


words = st.sampled_from(["call-1", "a1", "x", ""])


@st.composite
def messages(draw: st.DrawFn, tag: str) -> str:
    """A request near a dialog, wrong in its tags at least, and perhaps in much else."""
    method = draw(
        st.sampled_from(["INVITE", "ACK", "BYE", "CANCEL", "UPDATE", "INFO", "PRACK", "NOTIFY", "REFER", "X"])
    )
    to_tag, from_tag, call_id = draw(st.sampled_from([("y", "a1", "call-1"), (tag, "y", "call-1"), (tag, "a1", "y")]))
    extra = draw(
        st.lists(st.sampled_from(["RAck: 1 1 INVITE", "Require: x", "k: 100rel", "m: <sip:evil@203.0.113.1>", "x: 1"]))
    )
    text = request(
        method,
        branch=draw(st.sampled_from(["z9hG4bK1", "z9hG4bK2", "1", ""])),
        to_tag=to_tag,
        from_tag=from_tag,
        call_id=call_id,
        cseq=draw(st.integers(0, 2**32)),
        extra=tuple(extra),
        body=draw(st.text(max_size=5)),
    )
    at = draw(st.integers(0, len(text)))
    return text[:at] + draw(st.text(max_size=3)) + text[at:] if draw(st.booleans()) else text


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_nothing_from_outside_a_dialog_changes_it(data: st.DataObject) -> None:
    house = House()
    dialog = call(house)
    before, house.mute = state(house), True
    for text in data.draw(st.lists(messages(dialog.local_tag), max_size=8)):
        house.core.layer.receive(text.encode("utf-8", "replace"), PEER)
        house.application.incoming.clear()
    house.until(100)
    assert [entry for entry in state(house) if entry[0] == dialog.key] == before
    assert not house.core.faults


@pytest.mark.parametrize("status", [481, 408, 0])
async def test_a_call_outlives_a_subscription_in_it(status: int) -> None:
    """Many a phone sends REFER in its call, and answers 481 to the NOTIFY that it has asked for."""
    house = House()
    dialog = call(house)
    task, sent = await start(house, dialog, "NOTIFY")
    if status:
        house.hear(reply(sent, status))
    else:
        house.until(33)
    with pytest.raises(DialogGone):
        await task
    assert not dialog.ended
    assert house.application.heard == []


async def test_a_subscription_of_its_own_ends_with_its_notify() -> None:
    house = House()
    house.hear(request("SUBSCRIBE"))
    dialog = house.application.incoming[0].respond(200)
    assert dialog is not None
    house.said()
    task, sent = await start(house, dialog, "NOTIFY")
    house.hear(reply(sent, 481))
    with pytest.raises(DialogGone):
        await task
    assert dialog.ended


@pytest.mark.parametrize("status", [489, 0])
async def test_a_subscription_that_came_to_nothing_leaves_no_dialog(status: int) -> None:
    """A NOTIFY may be here first (RFC 6665 section 4.1.2.4), and make one."""
    house = House()
    origin = Origin(house.core, "sip:conf@192.0.2.9", "sip:us@192.0.2.1", ())
    single = SingleRequest(house.core, origin, "SUBSCRIBE", b"", "", None)
    single.begin(PEER)
    [sent] = house.said()
    task = asyncio.create_task(single.dialog())
    await asyncio.sleep(0)
    house.hear(request("NOTIFY", branch="z9hG4bK2", call_id=sent.call_id, to_tag=sent.sender.tag))
    assert len(house.core.dialogs) == 1
    if status:
        house.hear(reply(sent, status))
    else:
        house.until(33)
    with pytest.raises(SipError):
        await task
    assert len(house.core.dialogs) == 0
