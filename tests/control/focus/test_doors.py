"""Who gets in: passwords, PINs, lists, limits; and what everybody else is told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bench.callers.caller import CallRefused
from control.sip.agent import Credentials
from mixer.secret import Secret
from tests.control.focus.house import House, house, phones, until

DIGEST = """
[trust]
users_file = "{home}/users"
[room.staff]
callers = "digest"
[room.board]
callers = "digest"
allowed = ["sip:ann@example.net"]
[sip]
domains = ["example.net", "127.0.0.1"]
"""


def with_users(home: Path, users: Mapping[str, str]) -> str:
    path = home / "users"
    path.write_text("".join(f"{name} {password}\n" for name, password in users.items()))
    path.chmod(0o600)
    return DIGEST.format(home=home)


def as_user(name: str, password: str) -> Credentials:
    return Credentials(name, Secret(password.encode()))


async def refused(here: House, room: str, **options: object) -> CallRefused:
    """Dial, and be refused; nothing is left of it."""
    async with phones(("eve", 440), **options) as (eve,):
        with pytest.raises(CallRefused) as refusal:
            await eve.dial(here.uri(room))
    await until(lambda: len(here.focus.rooms) == 0)
    assert here.service.engine.legs_count == 0
    assert not here.focus.switchboard.calls
    return refusal.value


async def test_a_password_opens_the_door_and_says_who_it_is(tmp_path: Path) -> None:
    told = with_users(tmp_path, {"ann": "sesame"})
    async with house(tmp_path, told) as here:
        async with phones(("ann", 440), credentials=as_user("ann", "sesame"), domain="example.net") as (ann,):
            await ann.dial(here.uri("staff"))
            (call,) = [call for _, call in here.focus.switchboard.calls.values()]
            assert (call.identity.uri, call.identity.proof) == ("sip:ann@example.net", "digest")
        assert (await refused(here, "staff")).status == 401
        assert (await refused(here, "staff", credentials=as_user("ann", "guess"))).status == 401
        assert (await refused(here, "staff", credentials=as_user("bob", "sesame"))).status == 401
        # Who shows nothing is asked; who shows what is not true has guessed, and that is counted.
        assert here.focus.reception.refusals.by_status == {401: 2}


async def test_a_true_password_under_a_false_name(tmp_path: Path) -> None:
    told = with_users(tmp_path, {"ann": "sesame"})
    async with house(tmp_path, told) as here:
        # The caller is eve by her From line, and ann by her password.
        assert (await refused(here, "staff", credentials=as_user("ann", "sesame"))).status == 403


async def test_a_room_for_some(tmp_path: Path) -> None:
    told = with_users(tmp_path, {"ann": "sesame", "eve": "open"})
    async with house(tmp_path, told) as here:
        assert (await refused(here, "board", credentials=as_user("eve", "open"))).status == 403
        async with phones(("ann", 440), credentials=as_user("ann", "sesame")) as (ann,):
            await ann.dial(here.uri("board"))
            assert ann.in_call


async def test_a_pin(tmp_path: Path) -> None:
    async with house(tmp_path, '[room.secret]\npin = "4711"') as here:
        with capture_logs() as lines:
            assert (await refused(here, "secret;pin=0815")).status == 403
        (told,) = [line for line in lines if line["event"] == "refused"]
        assert (told["status"], told["source"], told["room"]) == (403, "127.0.0.1", "secret")
        assert "0815" not in str(told)
        async with phones(("ann", 440), ("bob", 700)) as (ann, bob):
            await ann.dial(here.uri("secret;pin=4711"))
            await bob.dial(here.uri("secret+4711"))
            assert [room.name for room in here.focus.rooms] == ["secret"]


async def test_rooms_that_nobody_made(tmp_path: Path) -> None:
    async with house(tmp_path, "[limits]\nrooms_on_dialling = false\n[room.known]\n") as here:
        assert (await refused(here, "unknown")).status == 404
        async with phones(("ann", 440)) as (ann,):
            await ann.dial(here.uri("known"))


@pytest.mark.parametrize("name", ["a%20b", "%C3%A4", "x" * 65, "a%2Fb"])
async def test_names_that_no_room_can_have(tmp_path: Path, name: str) -> None:
    async with house(tmp_path) as here:
        assert (await refused(here, name)).status == 404


async def test_beyond_the_limit_it_is_said_when_to_come_again(tmp_path: Path) -> None:
    async with (
        house(tmp_path, "[limits]\ncalls = 1\nretry_after_s = 7") as here,
        phones(("ann", 440), ("bob", 700)) as (ann, bob),
    ):
        await ann.dial(here.uri("room"))
        with pytest.raises(CallRefused) as refusal:
            await bob.dial(here.uri("room"))
        assert refusal.value.status == 503
        assert ("Retry-After", "7") in refusal.value.headers
        await ann.hang_up()
        await bob.dial(here.uri("room"))


async def test_a_room_that_is_full(tmp_path: Path) -> None:
    async with (
        house(tmp_path, "[room.small]\nmembers = 1") as here,
        phones(("ann", 440), ("bob", 700)) as (ann, bob),
    ):
        await ann.dial(here.uri("small"))
        with pytest.raises(CallRefused) as refusal:
            await bob.dial(here.uri("small"))
        assert refusal.value.status == 486
        await bob.dial(here.uri("other"))
        assert [len(room.calls) for room in here.focus.rooms] == [1, 1]


async def test_one_user_may_not_fill_the_house(tmp_path: Path) -> None:
    async with (
        house(tmp_path, "[limits]\ncalls_per_user = 1") as here,
        phones(("ann", 440)) as (first,),
        phones(("ann", 700)) as (second,),
        phones(("bob", 700)) as (bob,),
    ):
        await first.dial(here.uri("room"))
        with pytest.raises(CallRefused) as refusal:
            await second.dial(here.uri("room"))
        assert refusal.value.status == 486
        await bob.dial(here.uri("room"))


async def test_no_srtp_no_entry_unless_the_room_says_so(tmp_path: Path) -> None:
    async with house(tmp_path, "[room.open]\nclear = true") as here:
        assert (await refused(here, "room", security="clear")).status == 488
        async with phones(("ann", 440), security="clear") as (ann,):
            await ann.dial(here.uri("open"))
            (call,) = [call for _, call in here.focus.switchboard.calls.values()]
            assert call.agreed is not None
            assert call.agreed.security == "clear"


async def test_a_suite_that_is_not_allowed(tmp_path: Path) -> None:
    told = '[media]\nsuites = ["AEAD_AES_256_GCM"]\n[default_room]\nsuite = "AEAD_AES_256_GCM"'
    async with house(tmp_path, told) as here:
        refusal = await refused(here, "room")
        assert refusal.status == 488
        assert any(name == "Warning" for name, _ in refusal.headers)
