"""Two things at once: ends that come while a call comes up, rooms that open and close, mixers that go in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bench.callers.caller import CallRefused
from bench.callers.habits import Habits
from control.client import MixerClient
from control.errors import ControlError
from control.focus.identity import Refused
from mixer import port
from tests.control.focus.house import House, house, phones, until
from tests.control.focus.raw import Peer, offer, peer, tag_of


class Gate:
    """Holds commands of one kind on their way to the mixer until it is opened."""

    def __init__(self, kind: type) -> None:
        self.kind = kind
        self.waiting = 0
        self.open = asyncio.Event()


@asynccontextmanager
async def held(monkeypatch: pytest.MonkeyPatch, kind: type) -> AsyncIterator[Gate]:
    gate, request = Gate(kind), MixerClient.request

    async def slow(self: MixerClient, method: object, params: object) -> object:
        if isinstance(params, gate.kind) and type(self) is MixerClient:
            gate.waiting += 1
            await gate.open.wait()
        return await request(self, method, params)  # type: ignore[arg-type]

    monkeypatch.setattr(MixerClient, "request", slow)
    yield gate
    gate.open.set()


async def cancelled(eve: Peer, branch: str) -> None:
    """CANCEL an INVITE, and see it answered 487."""
    eve.send(eve.request("CANCEL", branch=branch))
    answers = {answer.headers["cseq"].split()[1]: answer.status for answer in [await eve.final(), await eve.final()]}
    assert answers == {"CANCEL": 200, "INVITE": 487}


@pytest.mark.parametrize("step", [port.ConferenceCreate, port.LegAdd])
async def test_cancel_while_the_mixer_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: type) -> None:
    async with house(tmp_path) as here, peer(here) as eve, held(monkeypatch, step) as gate:
        eve.send(eve.request("INVITE", offer(), branch="one"))
        await until(lambda: gate.waiting)
        await cancelled(eve, "one")
        gate.open.set()
        await here.nothing_left()


async def test_the_room_is_closed_while_somebody_comes_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house(tmp_path) as here, peer(here) as eve, held(monkeypatch, port.LegAdd) as gate:
        eve.send(eve.request("INVITE", offer()))
        await until(lambda: gate.waiting)
        room = here.focus.rooms.get("room")
        assert room is not None
        closing = asyncio.create_task(here.focus.switchboard.ending.clear(room))
        await until(lambda: room.closing)
        with pytest.raises(Refused) as refusal:
            await here.focus.rooms.opened("room")
        assert refusal.value.status == 503
        gate.open.set()
        assert (await eve.final()).status == 503
        await closing
        await here.nothing_left()


async def test_a_call_that_is_ended_while_it_comes_up_never_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house(tmp_path) as here, peer(here) as eve, held(monkeypatch, port.LegAdd) as gate:
        eve.send(eve.request("INVITE", offer()))
        await until(lambda: gate.waiting)
        ((_, call),) = here.focus.switchboard.calls.values()
        await here.focus.switchboard.ending.hang_up(call, "enough")
        gate.open.set()
        assert (await eve.final()).status == 503
        await here.nothing_left()


async def test_who_is_called_and_hangs_up_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house(tmp_path) as here, phones(("bob", 0)) as (bob,), held(monkeypatch, port.LegAdd) as gate:
        dialling = asyncio.create_task(here.focus.switchboard.dial_out("room", bob.uri))
        await until(lambda: gate.waiting)
        await bob.hang_up()
        gate.open.set()
        with pytest.raises(ControlError):
            await dialling
        await here.nothing_left()


async def test_a_call_out_that_is_given_up_stops_ringing(tmp_path: Path) -> None:
    async with house(tmp_path) as here, peer(here) as eve:
        dialling = asyncio.create_task(here.focus.switchboard.dial_out("room", f"sip:eve@{eve.address}"))
        invite = await eve.arrived.get()
        eve.reply(invite, "180 Ringing", {"to": f"{invite.headers['to']};tag=a"})
        dialling.cancel()
        await asyncio.gather(dialling, return_exceptions=True)
        request = await eve.request_of("CANCEL")
        eve.reply(request)
        eve.reply(invite, "487 Request Terminated", {"to": f"{invite.headers['to']};tag=a"})
        await here.nothing_left()


async def test_who_does_not_pick_up_stops_ringing(tmp_path: Path) -> None:
    async with house(tmp_path, "[limits]\nringing_s = 0.1") as here, peer(here) as eve:
        dialling = asyncio.create_task(here.focus.switchboard.dial_out("room", f"sip:eve@{eve.address}"))
        invite = await eve.arrived.get()
        eve.reply(invite, "180 Ringing", {"to": f"{invite.headers['to']};tag=a"})
        with pytest.raises(CallRefused, match="nobody picks up"):
            await dialling
        eve.reply(await eve.request_of("CANCEL"))
        eve.reply(invite, "487 Request Terminated", {"to": f"{invite.headers['to']};tag=a"})
        await here.nothing_left()


async def test_the_last_is_dropped_and_the_room_with_it(tmp_path: Path) -> None:
    told = "[media]\nsilence_s = 0.3"
    async with house(tmp_path, told) as here, phones(("ann", 0), habits=Habits(says_nothing=True)) as (ann,):
        await ann.dial(here.uri("room"))
        await until(lambda: ann.call.ended)
        await here.nothing_left()


async def test_a_lone_caller_without_an_offer(tmp_path: Path) -> None:
    async with house(tmp_path) as here, phones(("ann", 0), offers=False) as (ann,):
        await ann.dial(here.uri("room"))
        await until(lambda: here.service.engine.legs_count == 1)
        assert len(here.focus.rooms) == 1
        await ann.hang_up()
        await here.nothing_left()


async def test_an_offer_before_ours_is_answered(tmp_path: Path) -> None:
    async with house(tmp_path) as here, peer(here) as eve:
        eve.send(eve.request("INVITE"))
        answer = await eve.final("INVITE")
        eve.to_tag, eve.cseq = tag_of(answer), 2
        assert (await eve.ask("UPDATE", offer())).status == 491
        assert (await eve.ask("BYE")).status == 200
        await here.nothing_left()


async def test_a_cancelled_reinvite_changes_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as here, peer(here) as eve:
        assert (await eve.ask("INVITE", offer())).status == 200
        ((_, call),) = here.focus.switchboard.calls.values()
        agreed = call.agreed
        assert call.dialog is not None
        layer, flow = here.focus.agent.core.layer, call.dialog.flow
        layer.receive(eve.request("INVITE", offer().replace("40000", "41000"), branch="two").encode(), flow)
        layer.receive(eve.request("CANCEL", branch="two").encode(), flow)  # before the focus has looked at the other
        statuses = {answer.headers["cseq"]: answer.status for answer in [await eve.final(), await eve.final()]}
        assert statuses == {"2 CANCEL": 200, "2 INVITE": 487}
        await eve.ask("OPTIONS")
        assert call.agreed is agreed
        await eve.ask("BYE")
        await here.nothing_left()


async def test_bye_while_a_reinvite_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house(tmp_path) as here, peer(here) as eve, held(monkeypatch, port.LegModify) as gate:
        assert (await eve.ask("INVITE", offer())).status == 200
        assert (await eve.ask("INVITE", offer().replace("40000", "41000"))).status == 200
        await until(lambda: gate.waiting)
        assert (await eve.ask("BYE")).status == 200
        gate.open.set()
        await here.nothing_left()


async def test_hung_up_twice_is_said_once(tmp_path: Path) -> None:
    async with house(tmp_path) as here, peer(here) as eve:
        assert (await eve.ask("INVITE", offer())).status == 200
        ((_, call),) = here.focus.switchboard.calls.values()
        hang_up = here.focus.switchboard.ending.hang_up
        both = asyncio.gather(hang_up(call, "one"), hang_up(call, "two"))
        bye = await eve.arrived.get()
        assert bye.first.startswith("BYE ")
        assert '"one"' in bye.headers["reason"]
        eve.reply(bye)
        await both
        await eve.silence()
        await here.nothing_left()


async def test_both_hang_up_at_once(tmp_path: Path) -> None:
    async with house(tmp_path) as here, peer(here) as eve:
        assert (await eve.ask("INVITE", offer())).status == 200
        ((_, call),) = here.focus.switchboard.calls.values()
        ending = asyncio.create_task(here.focus.switchboard.ending.hang_up(call, "enough"))
        bye = await eve.arrived.get()
        assert (await eve.ask("BYE")).status in (200, 481)
        eve.reply(bye, "481 Call/Transaction Does Not Exist")
        await ending
        await here.nothing_left()


async def test_one_room_for_all_who_come_at_once(tmp_path: Path) -> None:
    async with house(tmp_path) as here, phones(("ann", 0), ("bob", 0), ("cyd", 0)) as callers:
        for _ in range(3):
            await asyncio.gather(*(caller.dial(here.uri("room")) for caller in callers))
            assert (len(here.focus.rooms), here.service.engine.legs_count) == (1, 3)
            await asyncio.gather(*(caller.hang_up() for caller in callers))
        await here.nothing_left()


async def test_a_room_is_dialled_while_it_closes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        house(tmp_path) as here,
        phones(("ann", 0), ("bob", 0), ("cyd", 0)) as (ann, bob, cyd),
        held(monkeypatch, port.ConferenceDestroy) as gate,
    ):
        await ann.dial(here.uri("room"))
        former = here.focus.rooms.get("room")
        await ann.hang_up()
        await until(lambda: gate.waiting)
        dialling = asyncio.gather(bob.dial(here.uri("room")), cyd.dial(here.uri("room")))
        await until(lambda: here.focus.switchboard.joining == 2)
        gate.open.set()
        await dialling
        room = here.focus.rooms.get("room")
        assert room is not None
        assert room is not former
        assert len(room.calls) == 2


async def _dial_all(here: House, peers: list[Peer]) -> list[int]:
    for each in peers:
        each.send(each.request("INVITE", offer()))
    return sorted([(await each.final()).status for each in peers])


@pytest.mark.parametrize(
    ("limits", "rooms", "wanted"),
    [
        ("calls = 1", ("room", "room"), [200, 503]),
        ("calls_per_user = 1", ("room", "room"), [200, 486]),
        ("rooms = 1", ("one", "two"), [200, 503]),
    ],
)
async def test_limits_hold_for_those_who_come_at_once(
    tmp_path: Path, limits: str, rooms: tuple[str, str], wanted: list[int]
) -> None:
    async with (
        house(tmp_path, f"[limits]\n{limits}") as here,
        peer(here, room=rooms[0], polite=True) as one,
        peer(here, room=rooms[1], polite=True) as two,
    ):
        assert await _dial_all(here, [one, two]) == wanted
        await here.focus.switchboard.close()


async def test_nobody_comes_in_while_the_focus_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house(tmp_path) as here, peer(here) as ann, peer(here) as eve, held(monkeypatch, port.LegAdd) as gate:
        gate.open.set()
        assert (await ann.ask("INVITE", offer())).status == 200
        ending = asyncio.create_task(here.focus.switchboard.close())
        bye = await ann.request_of("BYE")
        assert (await eve.ask("INVITE", offer())).status == 503
        ann.reply(bye)
        await ending
        await here.nothing_left()


async def test_names_that_are_refused_leave_no_trace(tmp_path: Path) -> None:
    async with house(tmp_path, "[limits]\nrooms = 1") as here, phones(("ann", 0)) as (ann,):
        await ann.dial(here.uri("room"))
        for number in range(20):
            async with peer(here, room=f"other{number}") as eve:
                assert (await eve.ask("INVITE", offer())).status == 503
        assert here.focus.reception.refusals.by_status == {503: 20}
        await ann.hang_up()
        await here.nothing_left()
