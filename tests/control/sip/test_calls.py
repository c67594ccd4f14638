"""Calls that we make, against our own other half on a wire that loses, and against answers written by hand."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from control.sip.calls import OutgoingCall
from control.sip.digest import Credentials, Digest
from control.sip.errors import CallRefused, SipTimeout, TransportLost, Unauthenticated
from control.sip.incoming import Incoming
from control.sip.message import Envelope
from control.sip.origin import Origin
from mixer.secret import Secret
from tests.control.sip.house import PEER, House, Wire, request
from tests.control.sip.test_in_dialog import reply

CONTACT = "Contact: <sip:bob@192.0.2.9>\r\n"


def dial(house: House, body: bytes = b"offer", credentials: Credentials | None = None) -> OutgoingCall:
    origin = Origin(house.core, "sip:bob@192.0.2.2", "sip:alice@192.0.2.1", ())
    return OutgoingCall(house.core, origin, body, credentials)


def place(wire: Wire, body: bytes = b"offer", credentials: Credentials | None = None) -> OutgoingCall:
    call = dial(wire.caller, body, credentials)
    call.begin(wire.to_callee)
    wire.settle()
    return call


def alone(body: bytes = b"offer") -> tuple[House, OutgoingCall, Envelope]:
    """A call towards a peer that the test plays."""
    house = House()
    call = dial(house, body)
    call.begin(PEER)
    [invite] = house.said()
    return house, call, invite


async def test_a_call_from_offer_to_bye() -> None:
    wire = Wire()
    wire.callee.application.act = lambda incoming: incoming.respond(200, body=b"answer")
    call = place(wire)
    dialog, response = await call.answered()
    assert response.body == b"answer"
    assert wire.callee.application.heard == ["INVITE", "acknowledged"]
    task = asyncio.create_task(dialog.request("BYE"))
    await asyncio.sleep(0)
    wire.settle()
    assert (await task).code == 200
    assert wire.callee.application.heard[-1] == "BYE"


@pytest.mark.parametrize("lost", range(1, 16))
async def test_a_call_gets_through_whatever_is_lost_once(lost: int) -> None:
    """Every combination of the first INVITE, 200, ACK and BYE being lost."""
    wire = Wire()
    left = {name for bit, name in enumerate((b"INVITE", b"SIP/2.0 200", b"ACK", b"BYE")) if lost >> bit & 1}

    def lose(octets: bytes) -> bool:
        for name in list(left):
            if octets.startswith(name):
                left.discard(name)
                return True
        return False

    wire.lose = lose
    wire.callee.application.act = lambda incoming: incoming.respond(200)
    call = place(wire)
    wire.until(10)
    dialog, _ = await call.answered()
    task = asyncio.create_task(dialog.request("BYE"))
    await asyncio.sleep(0)
    wire.until(20)
    assert (await task).code == 200
    assert not left
    assert wire.callee.application.heard == ["INVITE", "acknowledged", "BYE"]
    assert wire.callee.application.incoming[0].dialog is not None


async def test_an_offer_in_the_answer_is_answered_in_the_ack() -> None:
    wire = Wire()
    wire.callee.application.act = lambda incoming: incoming.respond(200, body=b"offer")
    call = place(wire, body=b"")
    await call.answered()
    assert wire.callee.application.heard == ["INVITE"]
    call.dialog_ack(b"answer")
    call.dialog_ack(b"twice")
    wire.settle()
    wire.until(10)
    assert wire.callee.application.bodies == [b"answer"]


async def test_a_refusal_tells_why() -> None:
    wire = Wire()
    wire.callee.application.act = lambda incoming: incoming.respond(486, headers=[("Retry-After", "7")])
    call = place(wire)
    with pytest.raises(CallRefused) as refused:
        await call.answered()
    assert (refused.value.status, refused.value.reason) == (486, "Busy Here")
    assert ("Retry-After", "7") in refused.value.headers
    assert "ACK sip:bob@192.0.2.2" in wire.passed


async def test_nobody_answers() -> None:
    wire = Wire()
    wire.lose = lambda octets: True
    call = place(wire)
    wire.until(32)
    with pytest.raises(SipTimeout):
        await call.answered()


async def test_no_way() -> None:
    house = House()
    house.alive = False
    call = dial(house)
    call.begin(PEER)
    with pytest.raises(TransportLost):
        await call.answered()


async def test_ringing_and_then_cancelled() -> None:
    wire = Wire()
    rung: list[int] = []
    wire.callee.application.act = lambda incoming: incoming.respond(180)
    call = dial(wire.caller)
    call.ringing = lambda response: rung.append(response.code)
    call.begin(wire.to_callee)
    wire.settle()
    task = asyncio.create_task(call.cancel())
    await asyncio.sleep(0)
    wire.settle()
    await task
    with pytest.raises(CallRefused, match="487"):
        await call.answered()
    assert rung == [180]
    assert wire.callee.application.heard == ["INVITE", "cancelled"]
    assert (len(wire.caller.core.dialogs), len(wire.callee.core.dialogs)) == (0, 0)


async def test_cancel_waits_for_the_first_word() -> None:
    """RFC 3261 section 9.1: a CANCEL that overtakes its INVITE would find nothing."""
    house, call, invite = alone()
    task = asyncio.create_task(call.cancel())
    await asyncio.sleep(0)
    assert house.said() == []
    [cancel] = house.hear(reply(invite, 100))
    assert (cancel.method, cancel.via.branch, cancel.cseq) == ("CANCEL", invite.via.branch, invite.cseq)
    assert house.hear(reply(invite, 180)) == []
    house.hear(reply(invite, 487))
    await task


async def test_cancel_that_crosses_the_answer_hangs_up() -> None:
    house, call, invite = alone()
    house.hear(reply(invite, 180))
    task = asyncio.create_task(call.cancel())
    await asyncio.sleep(0)
    house.said()
    spoken = house.hear(reply(invite, 200, CONTACT))
    assert [said.method for said in spoken] == ["ACK", "BYE"]
    assert [said.method for said in house.hear(reply(invite, 200, CONTACT))] == ["ACK"]
    await task
    with pytest.raises(CallRefused, match="487"):
        await call.answered()
    assert len(house.core.dialogs) == 0


async def test_cancel_of_a_peer_that_died_ends_after_64_t1() -> None:
    house, call, invite = alone()
    house.hear(reply(invite, 180))
    task = asyncio.create_task(call.cancel())
    await asyncio.sleep(0)
    house.until(32)
    await task
    with contextlib.suppress(CallRefused):
        await call.answered()
        pytest.fail("it was not answered")


async def test_the_second_of_two_answers_is_hung_up_on() -> None:
    house, call, invite = alone()
    for tag in ("one", "two"):
        house.hear(reply(invite, 180, CONTACT, tag=tag))
    assert len(house.core.dialogs) == 2
    assert [said.method for said in house.hear(reply(invite, 200, CONTACT, tag="two"))] == ["ACK"]
    assert len(house.core.dialogs) == 1
    spoken = house.hear(reply(invite, 200, CONTACT, tag="one"))
    assert [(said.method, said.to.tag) for said in spoken] == [("ACK", "one"), ("BYE", "one")]
    assert [said.method for said in house.hear(reply(invite, 200, CONTACT, tag="one"))] == ["ACK"]
    assert [said.to.tag for said in house.hear(reply(invite, 200, CONTACT, tag="two"))] == ["two"]
    dialog, _ = await call.answered()
    assert (dialog.remote_tag, list(house.core.dialogs)) == ("two", [dialog])


async def test_routes_of_the_answer_are_taken_from_the_end() -> None:
    house, call, invite = alone()
    record = "Record-Route: <sip:192.0.2.8;lr>, <sip:192.0.2.7;lr>\r\n"
    house.core.layer.receive(reply(invite, 200, CONTACT + record).encode(), PEER)
    (flow, _), [ack] = house.out[0], house.said()
    assert flow.remote == ("192.0.2.7", 5060)
    assert ack.headers.getlist("Route") == ["<sip:192.0.2.7;lr>", "<sip:192.0.2.8;lr>"]
    assert str(ack.request.uri) == "sip:bob@192.0.2.9"
    await call.answered()


async def test_reliable_ringing_is_acknowledged_once_and_in_order() -> None:
    house, call, invite = alone()
    rung: list[int] = []
    call.ringing = lambda response: rung.append(response.code)

    def ring(status: int, number: int) -> list[Envelope]:
        return house.hear(reply(invite, status, f"{CONTACT}Require: 100rel\r\nRSeq: {number}\r\n"))

    [prack] = ring(180, 700)
    assert (prack.method, prack.headers["RAck"], prack.to.tag) == ("PRACK", f"700 {invite.cseq} INVITE", "a1")
    assert ring(180, 700) == []
    assert ring(183, 702) == []
    [prack] = ring(183, 701)
    assert prack.headers["RAck"] == f"701 {invite.cseq} INVITE"
    assert rung == [180, 183]
    house.hear(reply(invite, 200, CONTACT))
    await call.answered()


async def test_progress_returns_with_its_prack() -> None:
    wire = Wire()
    done: list[str] = []

    async def ring(incoming: Incoming) -> None:
        await incoming.progress(183, body=b"early")
        done.append("acknowledged")
        incoming.respond(200, body=b"answer")

    tasks: list[asyncio.Task[None]] = []
    wire.callee.application.act = lambda incoming: tasks.append(asyncio.create_task(ring(incoming)))
    call = place(wire)
    assert done == []
    for _ in range(4):
        await asyncio.sleep(0)
        wire.settle()
    assert done == ["acknowledged"]
    dialog, _ = await call.answered()
    assert wire.callee.application.heard == ["INVITE", "acknowledged"]
    assert not dialog.early
    assert wire.passed.count("SIP/2.0 183 Session Progress") == 1


async def test_progress_is_sent_again_until_the_call_is_given_up() -> None:
    wire = Wire()
    wire.lose = lambda octets: octets.startswith(b"PRACK")
    task: list[asyncio.Task[None]] = []
    wire.callee.application.act = lambda incoming: task.append(asyncio.create_task(incoming.progress(180)))
    call = place(wire)
    await asyncio.sleep(0)
    wire.until(33)
    await task[0]
    assert wire.passed.count("SIP/2.0 180 Ringing") == 7  # at 0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5
    with pytest.raises(CallRefused, match="504"):
        await call.answered()


async def test_without_100rel_progress_is_plain() -> None:
    house = House(supported=())
    house.hear(request(extra=("Supported: 100rel",)))
    await house.application.incoming[0].progress(180)
    [ringing] = house.said()
    assert ringing.headers.get("RSeq") is None


async def test_whoever_requires_100rel_gets_it() -> None:
    house = House()
    house.hear(request(extra=("Require: 100rel",)))
    house.application.incoming[0].respond(180)
    [ringing] = house.said()
    assert ringing.headers["Require"] == "100rel"
    stray = request("PRACK", branch="z9hG4bK2", to_tag=ringing.to.tag, cseq=2, extra=("RAck: 1 1 INVITE",))
    [answer] = house.hear(stray)
    assert answer.status == 481
    rack = f"RAck: {ringing.headers['RSeq']} 1 INVITE"
    [answer] = house.hear(request("PRACK", branch="z9hG4bK3", to_tag=ringing.to.tag, cseq=3, extra=(rack,)))
    assert answer.status == 200
    assert house.until(33) == []


def guarded(digest: Digest, clock: Callable[[], float]) -> Callable[[Incoming], object]:
    def act(incoming: Incoming) -> object:
        try:
            digest.verify(incoming.request, clock())
        except Unauthenticated as error:
            return incoming.respond(401, headers=digest.challenge(clock(), stale=error.stale))
        return incoming.respond(200)

    return act


async def test_a_challenge_is_answered() -> None:
    wire = Wire()
    wire.callee.application.act = guarded(Digest("mrfp", {"alice": Secret(b"secret")}), wire.clock)
    call = place(wire, credentials=Credentials("alice", "secret"))
    await call.answered()
    assert wire.callee.application.heard == ["INVITE", "INVITE", "acknowledged"]


async def test_a_wrong_password_is_tried_once() -> None:
    wire = Wire()
    wire.callee.application.act = guarded(Digest("mrfp", {"alice": Secret(b"secret")}), wire.clock)
    call = place(wire, credentials=Credentials("alice", "guess"))
    with pytest.raises(CallRefused, match="401"):
        await call.answered()
    assert wire.callee.application.heard == ["INVITE", "INVITE"]
    assert not any("secret" in line or "guess" in line for line in wire.passed)


async def test_an_answer_with_a_broken_route_is_no_answer() -> None:
    """Nothing can be sent along it; the call ends as one that nobody answers, and does not hang."""
    house, call, invite = alone()
    assert house.hear(reply(invite, 200, CONTACT + "Record-Route: <sip:p;lr\r\n")) == []
    assert house.core.layer.dropped == {"malformed": 1}
    house.until(33)
    with pytest.raises(SipTimeout):
        await call.answered()


async def test_a_contact_of_another_address_family_is_reached_the_way_the_answer_came() -> None:
    """The socket would raise on it, and no ACK be sent."""
    house, call, invite = alone()
    house.core.layer.receive(reply(invite, 200, "Contact: <sip:bob@[2001:db8::9]>\r\n").encode(), PEER)
    [(flow, ack)] = house.out
    assert ack.startswith(b"ACK sip:bob@[2001:db8::9] ")
    assert flow == PEER
    await call.answered()
