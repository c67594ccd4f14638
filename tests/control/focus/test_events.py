"""Conference events over SIP: who is told of whom, and who is told nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from lxml import etree

from control.roster.reader import Picture
from control.sip.agent import Agent, Dialog, Incoming, SipSettings
from control.sip.errors import CallRefused
from control.sip.flows import Flow, Transport
from tests.control.focus.house import House, house, phones, until
from tests.control.focus.raw import offer, peer
from tests.control.focus.test_doors import as_user, with_users

SCHEMA = Path(__file__).parent.parent / "roster" / "conference-info.xsd"
OPEN = '[default_room]\nobservers = "none"\n'


class Watcher:
    """A subscriber that keeps the picture of a conference, and checks every document by the schema."""

    def __init__(self) -> None:
        self.agent = Agent(SipSettings(udp_port=0, tcp_port=-1), self)
        self.picture = Picture()
        self.documents: list[bytes] = []
        self.states: list[str] = []
        self._schema = etree.XMLSchema(etree.parse(SCHEMA))

    def arrived(self, incoming: Incoming) -> None:
        self.states.append(incoming.header("Subscription-State") or "")
        incoming.respond(200)
        if incoming.body:
            self._schema.assertValid(etree.fromstring(incoming.body))
            self.documents.append(incoming.body)
            self.picture.apply(incoming.body)

    def cancelled(self, incoming: Incoming) -> None: ...

    def acknowledged(self, dialog: Dialog, body: bytes) -> None: ...

    def unacknowledged(self, dialog: Dialog) -> None: ...

    def failed(self, dialog: Dialog) -> None: ...

    async def subscribe(self, here: House, room: str, **options: object) -> Dialog:
        return await self.agent.subscribe(
            here.uri(room),
            from_uri="sip:eve@127.0.0.1",
            event="conference",
            **options,  # type: ignore[arg-type]
        )


@asynccontextmanager
async def watcher() -> AsyncIterator[Watcher]:
    watching = Watcher()
    await watching.agent.open()
    try:
        yield watching
    finally:
        await watching.agent.close()


async def test_a_roster_that_names_who_speaks(tmp_path: Path) -> None:
    async with house(tmp_path, OPEN) as here, phones(("ann", 440), ("bob", 700)) as (ann, bob), watcher() as eve:
        await ann.dial(here.uri("room"))
        await until(lambda: next(iter(here.focus.switchboard.calls.values()))[1].ssrc)
        await eve.subscribe(here, "room")
        await until(lambda: eve.documents)
        (user,) = eve.picture.users.values()
        (endpoint,) = user.endpoints
        assert (user.entity, user.proof, endpoint.security) == ("sip:ann@127.0.0.1", "none", "sdes")
        assert endpoint.media[0].ssrc == ann.call.media.mouth.ssrc
        room = here.focus.rooms.get("room")
        assert room is not None
        assert bob.name not in str(eve.picture.users)


async def test_a_change_is_told_and_the_end_too(tmp_path: Path) -> None:
    async with house(tmp_path, OPEN) as here, phones(("ann", 440)) as (ann,), watcher() as eve:
        await ann.dial(here.uri("room"))
        await eve.subscribe(here, "room")
        await until(lambda: eve.documents)
        await ann.hang_up()
        await until(lambda: eve.states and eve.states[-1].startswith("terminated"))
        assert b'state="deleted"' in eve.documents[-1]
        assert len(here.focus.watchers) == 0


async def test_a_watcher_must_prove_who_it_is(tmp_path: Path) -> None:
    told = with_users(tmp_path, {"eve": "open"})
    async with house(tmp_path, told) as here, phones(("ann", 440)) as (ann,), watcher() as eve:
        await ann.dial(here.uri("room"))
        with pytest.raises(CallRefused) as refusal:
            await eve.subscribe(here, "room")
        assert refusal.value.status == 401
        assert not eve.documents
        await eve.subscribe(here, "room", credentials=as_user("eve", "open"))
        await until(lambda: eve.documents)


async def test_there_is_nothing_to_watch_in_a_room_that_is_not(tmp_path: Path) -> None:
    async with house(tmp_path, OPEN) as here, watcher() as eve:
        with pytest.raises(CallRefused) as refusal:
            await eve.subscribe(here, "room")
        assert refusal.value.status == 404
        assert len(here.focus.rooms) == 0


async def test_who_went_silent_is_forgotten(tmp_path: Path) -> None:
    async with house(tmp_path, OPEN + "[sip]\nt1 = 0.02\n") as here, phones(("ann", 440), ("bob", 700)) as (ann, bob):
        await ann.dial(here.uri("room"))
        async with watcher() as eve:
            await eve.subscribe(here, "room")
            await until(lambda: eve.documents)
            assert len(here.focus.watchers) == 1
        await bob.dial(here.uri("room"))
        await ann.hang_up()
        await bob.hang_up()
        await until(lambda: len(here.focus.watchers) == 0)


@pytest.mark.parametrize(
    ("transport", "remote", "allowed"),
    [
        ("udp", "192.0.2.9", False),
        ("tcp", "192.0.2.9", False),
        ("tls", "192.0.2.9", True),
        ("udp", "127.0.0.1", True),
        ("udp", "::1", True),
    ],
)
async def test_a_roster_travels_over_tls_only(tmp_path: Path, transport: Transport, remote: str, allowed: bool) -> None:
    async with house(tmp_path, OPEN) as here, peer(here) as ann, peer(here) as eve:
        assert (await ann.ask("INVITE", offer())).status == 200
        flow = Flow(transport, ("192.0.2.1", 5060), (remote, 5060))
        layer = here.focus.agent.core.layer
        send = layer.send
        layer.send = lambda to, octets: to.remote == flow.remote or send(to, octets)  # the flow is made up
        layer.receive(eve.request("SUBSCRIBE", headers={"Event": "conference"}).encode(), flow)
        await until(lambda: here.focus.reception.refusals.by_status.get(403) or len(here.focus.watchers))
        assert len(here.focus.watchers) == allowed
        assert (await ann.ask("BYE")).status == 200
