"""SIP over TLS: certificates say who calls, trusted peers give their word for others, and privacy is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bench.callers.caller import Caller, CallRefused
from bench.callers.lines import Lines
from control.sip.agent import SipSettings
from control.sip.errors import TransportLost
from tests.control.focus.house import House, house, until
from tests.control.focus.raw import offer, peer
from tests.control.focus.test_doors import as_user, with_users
from tests.control.focus.test_events import Watcher, watcher
from tests.control.test_tls import Authority

SECURE = """
[sip]
tls_port = 0
certificate = "{0.certificate}"
key = "{0.key}"
authority = "{0.authority}"
domains = ["example.net", "localhost", "127.0.0.1"]
[default_room]
observers = "none"
[room.sealed]
callers = "certificate"
"""
TRUSTING = """
[trust]
peers = ["127.0.0.1"]
[default_room]
observers = "none"
"""


@asynccontextmanager
async def secured(home: Path, ours: Authority, more: str = "") -> AsyncIterator[House]:
    async with house(home, SECURE.format(ours.issue("localhost")) + more) as here:
        yield here


def sips(here: House, room: str) -> str:
    return f"sips:{room}@localhost:{here.focus.agent.listening['tls'][1]}"


@asynccontextmanager
async def phone(name: str, trusts: Authority, issued: str, by: Authority | None = None) -> AsyncIterator[Caller]:
    """A caller of that name whose certificate has the name `issued`; without one if that is empty."""
    shown = (by or trusts).issue(issued) if issued else None
    settings = SipSettings(
        udp_port=-1,
        tcp_port=-1,
        certificate=str(shown.certificate) if shown else "",
        key=str(shown.key) if shown else "",
        authority=str(trusts.path),
    )
    lines = await Lines.open("tls", settings=settings)
    caller = await Caller.open(name, lines=lines, transport="tls", domain="example.net")
    try:
        yield caller
    finally:
        await caller.close()
        await lines.close()


def proofs(here: House) -> dict[str, str]:
    return {call.identity.uri: call.identity.proof for _, call in here.focus.switchboard.calls.values()}


@pytest.mark.parametrize("issued", ["ann", "ann@example.net", "sip:ann@example.net"])
async def test_a_certificate_proves_who_calls(tmp_path: Path, issued: str) -> None:
    ours = Authority(tmp_path, "ours")
    async with secured(tmp_path, ours) as here, phone("ann", ours, issued) as ann, watcher() as eve:
        await ann.dial(sips(here, "sealed"))
        assert proofs(here) == {"sip:ann@example.net": "certificate"}
        await ann.hang_up()
        await ann.dial(sips(here, "room"))
        await eve.subscribe(here, "room")
        await until(lambda: eve.documents)
        (user,) = eve.picture.users.values()
        assert (user.entity, user.proof) == ("sip:ann@example.net", "certificate")
        await ann.hang_up()


async def test_who_shows_none_is_taken_at_its_word_where_that_is_enough(tmp_path: Path) -> None:
    ours = Authority(tmp_path, "ours")
    async with secured(tmp_path, ours) as here, phone("ann", ours, "") as ann:
        with pytest.raises(CallRefused) as refusal:
            await ann.dial(sips(here, "sealed"))
        assert refusal.value.status == 403
        await ann.dial(sips(here, "room"))
        assert proofs(here) == {"sip:ann@example.net": "none"}
        await ann.hang_up()
        await here.nothing_left()


async def test_a_certificate_of_another_authority_opens_nothing(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    async with secured(tmp_path, ours) as here, phone("ann", ours, "ann", by=theirs) as ann:
        with pytest.raises(TransportLost):
            await ann.dial(sips(here, "room"))
        await here.nothing_left()


async def test_a_name_that_is_not_in_the_certificate(tmp_path: Path) -> None:
    ours = Authority(tmp_path, "ours")
    async with secured(tmp_path, ours) as here, phone("eve", ours, "ann") as eve:
        with pytest.raises(CallRefused) as refusal:
            await eve.dial(sips(here, "room"))
        assert refusal.value.status == 403
        await here.nothing_left()


async def test_a_name_without_a_host_is_of_our_domain_only(tmp_path: Path) -> None:
    ours = Authority(tmp_path, "ours")
    told = '[room.board]\ncallers = "certificate"\nallowed = ["sip:ann@elsewhere.example"]\n'
    async with secured(tmp_path, ours, told) as here, phone("ann", ours, "ann") as ann:
        ann.options = ann.options.__class__(transport="tls", domain="elsewhere.example")
        with pytest.raises(CallRefused) as refusal:
            await ann.dial(sips(here, "board"))
        assert refusal.value.status == 403


async def test_the_word_of_a_trusted_peer(tmp_path: Path) -> None:
    words = {
        "<sip:cyd@example.org>": ("sip:cyd@example.org", "asserted"),
        '"Doe, Cyd" <sip:cyd@example.org>, <tel:+1555>': ("sip:cyd@example.org", "asserted"),
        "nonsense <": ("sip:eve@127.0.0.1", "none"),
    }
    async with house(tmp_path, TRUSTING) as here:
        for word, (uri, proof) in words.items():
            async with peer(here) as eve:
                answer = await eve.ask("INVITE", offer(), {"P-Asserted-Identity": word})
                assert answer.status == 200, word
                assert proofs(here) == {uri: proof}, word
                await eve.ask("BYE")
        await here.nothing_left()


async def test_the_word_of_anybody_else_is_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as here, peer(here) as eve:
        await eve.ask("INVITE", offer(), {"P-Asserted-Identity": "<sip:cyd@example.org>"})
        assert proofs(here) == {"sip:eve@127.0.0.1": "none"}
        await eve.ask("BYE")


async def test_a_trusted_peer_may_be_known_by_its_certificate(tmp_path: Path) -> None:
    ours = Authority(tmp_path, "ours")
    told = '[trust]\npeers = ["proxy.example"]\n'
    async with secured(tmp_path, ours, told) as here, phone("ann", ours, "proxy.example") as ann:
        await ann.dial(sips(here, "room"))
        assert proofs(here) == {"sip:ann@example.net": "none"}, "it says nothing of her"
        await ann.hang_up()


@pytest.mark.parametrize("headers", [{"Privacy": "id"}, {"Privacy": "header;id"}])
async def test_who_wants_privacy_is_nobody_to_the_others(tmp_path: Path, headers: dict[str, str]) -> None:
    told = with_users(tmp_path, {"root": "toor", "dan": "open"})
    told = told.replace("[trust]", '[trust]\nadmins = ["sip:root@example.net"]')
    async with house(tmp_path, told) as here, peer(here) as cyd, watcher() as dan, watcher() as root:
        assert (await cyd.ask("INVITE", offer(), headers)).status == 200
        await watch(dan, here, "dan", "open")
        await watch(root, here, "root", "toor")
        await until(lambda: dan.documents and root.documents)
        told_others, told_root = b"".join(dan.documents), b"".join(root.documents)
        for trace in (b"eve@", b"sip:eve", cyd.address.encode()):
            assert trace not in told_others
        assert b"sip:eve@127.0.0.1" in told_root
        await cyd.ask("BYE")


async def watch(watching: Watcher, here: House, name: str, password: str) -> None:
    await watching.agent.subscribe(
        here.uri("room"),
        from_uri=f"sip:{name}@example.net",
        event="conference",
        credentials=as_user(name, password),
    )


async def test_a_member_watches_in_its_own_call(tmp_path: Path) -> None:
    async with house(tmp_path) as here, peer(here) as ann, peer(here) as eve:
        wanted = {"Event": "conference"}
        assert (await ann.ask("INVITE", offer())).status == 200
        assert (await eve.ask("SUBSCRIBE", headers=wanted)).status == 403, "observers must show a password"
        assert (await ann.ask("SUBSCRIBE", headers=wanted)).status == 200
        notice = await ann.request_of("NOTIFY")
        assert "sip:eve@127.0.0.1" in notice.body
        ann.reply(notice)
        assert (await ann.ask("BYE")).status == 200
        await here.nothing_left()


async def test_a_pin_is_for_watchers_too(tmp_path: Path) -> None:
    told = '[room.secret]\npin = "4711"\nobservers = "none"\n'
    async with house(tmp_path, told) as here, peer(here, room="secret;pin=4711") as ann, watcher() as eve:
        assert (await ann.ask("INVITE", offer())).status == 200
        with pytest.raises(CallRefused) as refusal:
            await eve.subscribe(here, "secret")
        assert refusal.value.status == 403
        await eve.subscribe(here, "secret;pin=4711")
        await until(lambda: eve.documents)
        await ann.ask("BYE")


async def test_a_subscriber_has_so_many_and_no_dialog_more(tmp_path: Path) -> None:
    told = '[default_room]\nobservers = "none"\n'
    async with house(tmp_path, told) as here, peer(here) as ann, watcher() as eve:
        assert (await ann.ask("INVITE", offer())).status == 200
        for _ in range(16):
            await eve.subscribe(here, "room")
        for _ in range(3):
            with pytest.raises(CallRefused) as refusal:
                await eve.subscribe(here, "room")
            assert refusal.value.status == 503
        assert len(here.focus.agent.core.dialogs) == 1 + 16
        await ann.ask("BYE")
        await here.nothing_left()


@pytest.mark.parametrize("expires", ["soon", "-1", "²", "9" * 5000])
async def test_an_expires_that_is_no_number(tmp_path: Path, expires: str) -> None:
    async with house(tmp_path, TRUSTING) as here, peer(here) as eve:
        wanted = {"Event": "conference", "Expires": expires}
        assert (await eve.ask("SUBSCRIBE", headers=wanted)).status == 400
        await here.nothing_left()
