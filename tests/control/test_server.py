"""The control socket, from outside: good order, bad input, bad clients."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from pathlib import Path

import pytest

from control import errors, listen
from control.client import Disconnected, MixerClient
from control.connection import Limits
from control.errors import ControlError
from control.messages import EventsUnsubscribe, Missed, NodeAudit, NodeDrain
from control.server import ControlServer
from mixer import port
from mixer.port import Refusal
from mixer.secret import Secret
from tests.control.conftest import House, MakeHouse, request, until
from tests.control.fakes import FakeMixer, fresh_key, talking


async def test_a_conference_from_create_to_destroy(house: House) -> None:
    mixer = await house.client()
    created = await mixer.call(port.ConferenceCreate(conference="room", keying="group", key=fresh_key()))
    assert created == port.Done()
    added = await mixer.call(port.LegAdd(conference="room", leg="alice", rx=fresh_key(), tx=fresh_key()))
    assert added.port == 40000
    await mixer.call(port.KeyPrepare(conference="room", key=fresh_key(epoch=2)))
    await mixer.call(port.KeyActivate(conference="room", epoch=2))
    await mixer.call(port.LegModify(leg="alice", mute=True))
    assert (await mixer.call(port.ConferenceList())).conferences == ["room"]
    assert (await mixer.call(port.ConferenceShow(conference="room"))).legs[0].leg == "alice"
    assert (await mixer.call(port.LegRemove(leg="alice"))).sent == 499
    await mixer.call(port.ConferenceDestroy(conference="room"))
    assert (await mixer.node_info()).conferences == 0


async def test_the_key_arrives_as_it_was_sent(house: House) -> None:
    mixer = await house.client()
    key = fresh_key("AEAD_AES_256_GCM", epoch=7, mki="0a0b")
    await mixer.call(port.ConferenceCreate(conference="room", keying="group", key=key))
    assert house.mixer.conferences["room"].key == key


async def test_calls_overlap_on_one_connection(house: House) -> None:
    mixer = await house.client()
    names = [f"room{i}" for i in range(500)]
    await asyncio.gather(*(mixer.call(port.ConferenceCreate(conference=name)) for name in names))
    assert (await mixer.call(port.ConferenceList())).conferences == names


async def test_the_loop_breathes_between_commands(house: House) -> None:
    """A burst of joins is many short pauses for the tick, not a long one."""
    breaths = 0

    async def tick() -> None:
        nonlocal breaths
        while True:
            breaths += 1
            await asyncio.sleep(0)

    raw = await house.raw()
    ticking = asyncio.create_task(tick())
    raw.write(*(request("conference.create", i, conference=f"c{i}") for i in range(200)))
    await until(lambda: bool(house.mixer.commands))
    first, breaths_before = len(house.mixer.commands), breaths
    await until(lambda: len(house.mixer.commands) == 200)
    ticking.cancel()
    assert breaths - breaths_before >= 200 - first


async def test_a_refusal_that_nobody_waits_for_breaks_nothing(house: House) -> None:
    mixer = await house.client()
    given_up = asyncio.create_task(mixer.call(port.ConferenceShow(conference="nowhere")))
    await until(lambda: bool(house.mixer.commands))
    given_up.cancel()
    assert (await mixer.call(port.ConferenceList())).conferences == []


async def test_refusals_have_codes_and_change_nothing(house: House) -> None:
    mixer = await house.client()
    with pytest.raises(ControlError) as unknown:
        await mixer.call(port.ConferenceShow(conference="nowhere"))
    assert unknown.value.refusal is Refusal.UNKNOWN_CONFERENCE
    assert unknown.value.code == errors.REFUSAL_CODES[Refusal.UNKNOWN_CONFERENCE]
    assert "nowhere" in unknown.value.message
    for secret in (bytes(30), b"short", b"x", bytes(range(31))):
        key = port.Key(secret=Secret(secret))
        with pytest.raises(ControlError) as bad:
            await mixer.call(port.ConferenceCreate(conference="room", keying="group", key=key))
        assert bad.value.refusal is Refusal.BAD_KEY
    assert not house.mixer.conferences


async def test_unknown_and_duplicate_names(house: House) -> None:
    mixer = await house.client()
    await mixer.call(port.ConferenceCreate(conference="room"))
    await mixer.call(port.LegAdd(conference="room", leg="a", clear=True))
    for command, refusal in (
        (port.ConferenceCreate(conference="room"), Refusal.DUPLICATE_CONFERENCE),
        (port.LegAdd(conference="room", leg="a", clear=True), Refusal.DUPLICATE_LEG),
        (port.LegAdd(conference="room", leg="b"), Refusal.KEY_MISSING),
        (port.LegAdd(conference="attic", leg="b", clear=True), Refusal.UNKNOWN_CONFERENCE),
        (port.LegRemove(leg="b"), Refusal.UNKNOWN_LEG),
        (port.ConferenceCreate(conference="x", boot="earlier"), Refusal.BAD_BOOT),
    ):
        with pytest.raises(ControlError) as refused:
            await mixer.call(command)
        assert refused.value.refusal is refusal


def test_every_refusal_has_its_own_code() -> None:
    assert set(errors.REFUSAL_CODES) == set(Refusal)
    assert len(set(errors.REFUSAL_CODES.values())) == len(Refusal)


async def test_bad_lines_get_precise_errors_and_the_connection_lives(house: House) -> None:
    raw = await house.raw()
    for line, code in (
        (b"{", errors.PARSE_ERROR),
        (b"", errors.PARSE_ERROR),
        (b"\xff\xfe", errors.PARSE_ERROR),
        (b"[" * 60_000, errors.INVALID_REQUEST),
        (b'{"params":' + b"[" * 60_000, errors.PARSE_ERROR),
        (b'{"jsonrpc":"2.0","id":1,"method":"node.info","params":[}', errors.PARSE_ERROR),
        (b"17", errors.INVALID_REQUEST),
        (b"[" + request("node.info") + b"]", errors.INVALID_REQUEST),
        (b'{"jsonrpc":"1.0","id":1,"method":"node.info"}', errors.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"node.info"}', errors.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":1,"method":"node.info","extra":0}', errors.INVALID_REQUEST),
        (request("node.reboot", 2), errors.METHOD_NOT_FOUND),
        (request("conference.create", 3), errors.INVALID_PARAMS),
        (request("conference.create", 4, conference="a", colour="red"), errors.INVALID_PARAMS),
        (request("conference.create", 5, conference=6), errors.INVALID_PARAMS),
        (request("conference.create", 6, conference="two words"), errors.INVALID_PARAMS),
        (request("leg.add", 7, conference="a", leg="b", ptime=25), errors.INVALID_PARAMS),
    ):
        answer = await raw.ask(line)
        assert answer["error"]["code"] == code, line[:40]
    assert (await raw.ask(request("node.info", 8)))["result"]["boot_id"] == "b00t"
    assert not house.mixer.commands


async def test_an_error_names_the_field(house: House) -> None:
    raw = await house.raw()
    unknown = await raw.ask(request("conference.create", 1, conference="a", colour="red"))
    assert "`colour`" in unknown["error"]["message"]
    choice = await raw.ask(request("leg.add", 2, conference="a", leg="b", ptime=25))
    assert "10, 20, 30, 40, 60" in choice["error"]["message"]
    assert "$.ptime" in choice["error"]["message"]
    assert (await raw.ask(b'{"id":"seven","method":"x"}'))["id"] == "seven"


async def test_a_repeated_request_is_answered_and_not_run_again(house: House) -> None:
    raw = await house.raw()
    line = request("conference.create", "a", conference="room")
    first = await raw.ask(line)
    assert first == await raw.ask(line)
    assert "result" in first
    assert len(house.mixer.commands) == 1


async def test_the_same_id_for_something_else_is_an_error(house: House) -> None:
    raw = await house.raw()
    await raw.ask(request("conference.create", 1, conference="room"))
    answer = await raw.ask(request("conference.destroy", 1, conference="room"))
    assert answer["error"]["code"] == errors.ID_REUSED
    assert house.mixer.conferences


async def test_ids_are_forgotten_after_256_others(house: House) -> None:
    raw = await house.raw()
    line = request("conference.create", "first", conference="room")
    await raw.ask(line)
    for i in range(256):
        await raw.ask(request("node.info", i))
    assert (await raw.ask(line))["error"]["data"] == {"refusal": "duplicate_conference"}


async def test_notifications_are_neither_answered_nor_run(house: House) -> None:
    raw = await house.raw()
    raw.write(b'{"jsonrpc":"2.0","method":"conference.create","params":{"conference":"room"}}')
    assert (await raw.ask(request("conference.list")))["result"] == {"conferences": []}


async def test_an_endless_line_is_told_and_closed(house: House) -> None:
    raw = await house.raw()
    raw.writer.write(b"x" * 200_000)
    assert (await raw.read())["error"]["code"] == errors.LINE_TOO_LONG
    raw.writer.write_eof()
    assert await raw.line() == b""


async def test_a_cut_off_line_is_no_command(house: House) -> None:
    raw = await house.raw()
    raw.writer.write(request("conference.create", conference="room"))
    raw.writer.write_eof()
    assert await raw.line() == b""
    assert not house.mixer.commands


async def test_a_client_that_never_reads_is_not_served_for_ever(make_house: MakeHouse) -> None:
    house = await make_house(limits=Limits(write_buffer=4096, stall_s=0.05))
    house.mixer.conferences["room"] = port.ConferenceCreate(conference="room")
    for i in range(200):
        house.mixer.legs[str(i)] = port.LegAdd(conference="room", leg=str(i), clear=True)
    raw = await house.raw()
    raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
    raw.write(*(request("conference.show", i, conference="room") for i in range(400)))
    await until(lambda: len(house.mixer.commands) > 0)
    await until(lambda: house.server.clients == 0)
    assert len(house.mixer.commands) < 50


async def test_a_slow_subscriber_is_told_what_it_missed(make_house: MakeHouse) -> None:
    house = await make_house(limits=Limits(backlog=16))
    mixer = await house.client()
    await mixer.subscribe()
    house.mixer.emit(*(talking(f"leg{i}") for i in range(100)))
    heard: list[object] = []
    async with asyncio.timeout(10):
        async for event in mixer.events():
            heard.append(event)
            if event == talking("leg99"):
                break
    assert heard == [Missed(count=84), *(talking(f"leg{i}") for i in range(84, 100))]


async def test_a_slow_program_is_told_what_it_missed(house: House) -> None:
    mixer = await house.client(backlog=8)
    await mixer.subscribe()
    house.mixer.emit(*(talking(f"leg{i}") for i in range(20)))
    house.mixer.emit(port.Overrun(ticks=1))
    await mixer.call(EventsUnsubscribe())
    assert await anext(mixer.events()) == Missed(count=13)


async def test_events_are_filtered(house: House) -> None:
    mixer = await house.client()
    await mixer.subscribe(["talking", "overrun"], conference="room")
    house.mixer.emit(talking("x", "attic"), port.LegBye(conference="room", leg="a"), talking("y"))
    house.mixer.emit(port.Overrun(ticks=3))
    events = mixer.events()
    assert [await anext(events), await anext(events)] == [talking("y"), port.Overrun(ticks=3)]
    await mixer.call(EventsUnsubscribe())
    assert not house.mixer.subscribers


async def test_events_know_their_notification(house: House) -> None:
    raw = await house.raw()
    await raw.ask(request("events.subscribe"))
    house.mixer.emit(port.LegBye(conference="room", leg="a"))
    assert await raw.read() == {
        "jsonrpc": "2.0",
        "method": "events.leg_bye",
        "params": {"event": "leg_bye", "conference": "room", "leg": "a"},
    }


async def test_a_dead_controller_harms_no_conference(house: House) -> None:
    dying = await house.raw()
    await dying.ask(request("events.subscribe", 1))
    await dying.ask(request("conference.create", 2, conference="room"))
    house.mixer.hold = asyncio.Event()
    dying.write(request("leg.add", 3, conference="room", leg="a", clear=True))
    dying.writer.transport.abort()
    house.mixer.hold.set()
    await until(lambda: house.server.clients == 0)
    house.mixer.emit(talking())
    assert not house.mixer.subscribers
    audit = await (await house.client()).call(NodeAudit())
    assert (audit.boot_id, [c.conference for c in audit.conferences]) == ("b00t", ["room"])


async def test_audit_tells_epochs_and_legs(house: House) -> None:
    mixer = await house.client()
    key = fresh_key(epoch=5)
    await mixer.call(port.ConferenceCreate(conference="room", keying="group", key=key))
    await mixer.call(port.LegAdd(conference="room", leg="a", clear=True, ssrc=77))
    (conference,) = (await mixer.call(NodeAudit())).conferences
    assert (conference.cohorts, conference.legs[0].leg, conference.legs[0].ssrc) == ([], "a", 77)


async def test_drain(house: House) -> None:
    mixer = await house.client()
    await mixer.call(NodeDrain())
    assert house.mixer.drained
    assert (await mixer.node_info()).draining


async def test_a_fault_of_ours_costs_one_request(house: House) -> None:
    mixer = await house.client()
    house.mixer.fault = RuntimeError("a bug, with the word hunter2 in it")
    with pytest.raises(ControlError) as fault:
        await mixer.call(port.ConferenceList())
    assert fault.value.code == errors.INTERNAL_ERROR
    assert "hunter2" not in fault.value.message
    house.mixer.fault = None
    assert await mixer.call(port.ConferenceList())
    assert house.server.director.faults == 1


async def test_a_foreign_uid_is_turned_away(make_house: MakeHouse) -> None:
    house = await make_house(peer_uid=lambda _: 4242)
    raw = await house.raw()
    raw.write(request("conference.create", conference="room"))
    error = (await raw.read())["error"]
    assert error["code"] == errors.FORBIDDEN
    assert "4242" in error["message"]
    raw.writer.write_eof()
    assert await raw.line() == b""
    assert not house.mixer.commands


async def test_the_kernel_knows_our_uid(make_house: MakeHouse) -> None:
    house = await make_house(allowed_uids=[os.geteuid()])
    assert (await (await house.client()).node_info()).boot_id == "b00t"


async def test_too_many_controllers(make_house: MakeHouse) -> None:
    house = await make_house(limits=Limits(clients=1))
    first = await house.client()
    await first.node_info()
    with pytest.raises(ControlError) as refused:
        await (await house.client()).node_info()
    assert refused.value.code == errors.TOO_MANY_CLIENTS
    assert await first.node_info()


async def test_only_the_owner_can_reach_the_socket(house: House) -> None:
    assert stat.S_IMODE(house.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(house.path.parent.stat().st_mode) == 0o700
    await house.server.stop()
    assert not house.path.exists()


async def test_others_can_reach_it_only_if_they_are_listed(make_house: MakeHouse) -> None:
    house = await make_house(allowed_uids=[os.geteuid(), 4242])
    assert stat.S_IMODE(house.path.stat().st_mode) == 0o666
    assert stat.S_IMODE(house.path.parent.stat().st_mode) == 0o755
    assert (await (await house.client()).node_info()).boot_id == "b00t"


async def test_a_dead_socket_is_replaced_and_a_live_one_is_not(house: House, tmp_path: Path) -> None:
    other = ControlServer(FakeMixer())
    with pytest.raises(listen.ListenError, match="another mixer answers"):
        await other.listen_unix(house.path)
    stale = tmp_path / "stale.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(stale))
    await other.listen_unix(stale)
    await other.stop()
    plain = tmp_path / "plain"
    plain.write_text("not a socket")
    with pytest.raises(listen.ListenError, match="not a socket"):
        await other.listen_unix(plain)
    assert plain.exists()


async def test_a_directory_open_to_others_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(listen.ListenError, match="writable"):
        await ControlServer(FakeMixer()).listen_unix(shared / "control.sock")


async def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(Disconnected, match="no mixer answers"):
        await MixerClient(f"unix:{tmp_path}/none.sock").connect()


async def test_a_mixer_that_goes_away_fails_calls_and_ends_events(house: House) -> None:
    mixer = await house.client()
    await mixer.subscribe()
    house.mixer.hold = asyncio.Event()
    call = asyncio.create_task(mixer.call(port.ConferenceList()))
    await asyncio.sleep(0)
    await house.server.stop()
    with pytest.raises(Disconnected):
        await call
    assert [event async for event in mixer.events()] == []
