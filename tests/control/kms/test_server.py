"""The KMS at its Unix socket: one peer is the conference system, others are members, and one is nobody."""

from __future__ import annotations

import asyncio

import pytest

from control import errors
from control.kms.client import ControlError, Disconnected, Refusal
from tests.control.conftest import request, until
from tests.control.fakes import spellings
from tests.control.kms.conftest import KmsHouse


async def test_a_conference_from_register_to_close(kms: KmsHouse) -> None:
    focus, member = await kms.client(1), await kms.client(2)
    await focus.register("room", ["uid:2"])
    made = await focus.create_epoch("room", epoch=1, suite="AEAD_AES_128_GCM", kind="key")
    assert [made.secret.reveal()] == kms.world.made
    assert (await member.fetch_epoch("room", epoch=1)).secret == made.secret
    await focus.admit("room", "uid:3")
    await focus.expel("room", "uid:2")
    with pytest.raises(ControlError) as refused:
        await member.fetch_epoch("room", epoch=1)
    assert refused.value.refusal is Refusal.NOT_AUTHORISED
    await focus.create_epoch("room", epoch=2, cohort=3)
    assert (await (await kms.client(3)).fetch_epoch("room", epoch=2, cohort=3)).kind == "secret"
    await focus.forget_epoch("room", epoch=2, cohort=3)
    await focus.close_conference("room")
    assert (await focus.info()).conferences == 0


async def test_a_lost_reply_is_asked_for_again(kms: KmsHouse) -> None:
    first = await kms.client()
    await first.register("room")
    made = await first.create_epoch("room", epoch=1)
    await first.close()
    with pytest.raises(Disconnected):
        await first.create_epoch("room", epoch=1)
    await kms.connect(first)
    assert (await first.create_epoch("room", epoch=1)).secret == made.secret
    assert len(kms.world.made) == 1


async def test_a_nobody_is_turned_away_at_the_door(kms: KmsHouse) -> None:
    raw = await kms.raw(uid=4242)
    raw.write(request("epoch.fetch", conference="room", epoch=1))
    error = (await raw.read())["error"]
    assert (error["code"], error["message"]) == (errors.FORBIDDEN, "uid 4242 may not use this KMS")


async def test_one_member_cannot_take_all_places(kms: KmsHouse) -> None:
    members = [await kms.client(2) for _ in range(4)]
    with pytest.raises(ControlError, match="you have 4 connections") as refused:
        await (await kms.client(2)).info()
    assert refused.value.code == errors.TOO_MANY_CLIENTS
    assert (await (await kms.client(1)).info()).conferences == 0
    await members[0].close()
    await until(lambda: kms.server.clients == 4)
    with pytest.raises(ControlError) as heard:
        await (await kms.client(2)).info()
    assert heard.value.refusal is Refusal.NOT_AUTHORISED, "there is a place again"


async def test_bad_lines_change_nothing(kms: KmsHouse) -> None:
    focus = await kms.client()
    await focus.register("room", ["uid:2"])
    before = await focus.info()
    raw = await kms.raw()
    for line, code in (
        (b"{", errors.PARSE_ERROR),
        (b"\xff\xfe", errors.PARSE_ERROR),
        (b"[" + request("conference.close", conference="room") + b"]", errors.INVALID_REQUEST),
        (request("conference.close", 1, conference="room", force=True), errors.INVALID_PARAMS),
        (request("epoch.create", 2, conference="room", epoch="1"), errors.INVALID_PARAMS),
        (request("epoch.make", 3, conference="room", epoch=1), errors.METHOD_NOT_FOUND),
    ):
        assert (await raw.ask(line))["error"]["code"] == code
    raw.write(b'{"jsonrpc":"2.0","method":"conference.close","params":{"conference":"room"}}')
    raw.write(request("kms.info", 9))
    assert (await raw.read())["result"]["conferences"] == 1
    assert await focus.info() == before
    assert not kms.world.made


async def test_a_fault_of_ours_tells_nothing_and_is_counted(kms: KmsHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    focus = await kms.client()
    await focus.register("room")
    with monkeypatch.context() as broken:
        broken.setattr(kms.world.floors, "raise_to", lambda *_: (_ for _ in ()).throw(OSError("hunter2")))
        with pytest.raises(ControlError, match="the KMS failed") as fault:
            await focus.create_epoch("room", epoch=1)
    assert fault.value.code == errors.INTERNAL_ERROR
    assert "hunter2" not in str(fault.value)
    assert (await focus.info()).faults == 1
    assert await focus.create_epoch("room", epoch=1)


async def test_calls_overlap_and_each_gets_its_own_key(kms: KmsHouse) -> None:
    focus = await kms.client()
    await focus.register("room")
    made = await asyncio.gather(*(focus.create_epoch("room", epoch=1, cohort=cohort) for cohort in range(200)))
    assert [key.cohort for key in made] == list(range(200))
    assert len({key.secret.reveal() for key in made}) == 200


async def test_keys_leave_in_their_own_reply_only(kms: KmsHouse) -> None:
    """Invariant I12: everything else that a conference system, a member and a nobody hear holds none."""
    focus = await kms.client()
    await focus.register("room", ["uid:2"])
    await focus.create_epoch("room", epoch=1)
    heard = b""
    for uid in (1, 2, 3):
        raw = await kms.raw(uid)
        for line in (
            request("kms.info", 1),
            request("audit.tail", 2),
            request("member.admit", 3, conference="room", member="uid:2"),
            request("epoch.create", 4, conference="room", epoch=1, kind="key"),
            request("epoch.fetch", 5, conference="room", epoch=2),
            request("epoch.forget", 6, conference="room", epoch=2),
            request("mikey.exchange", 7, message="AAAA"),
        ):
            raw.write(line)
            heard += await raw.line()
    assert heard.count(b"\n") == 21
    for spelling in spellings(kms.world.made[0]):
        assert spelling not in heard


async def test_nobody_there(kms: KmsHouse) -> None:
    client = await kms.client()
    await client.info()
    await kms.server.stop()
    with pytest.raises(Disconnected):
        await client.info()
    await client.close()
    with pytest.raises(Disconnected, match="no KMS answers"):
        await client.connect()
