"""Agents on real sockets of the loopback: UDP, TCP and TLS, many calls at once, and peers that mean no good."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvloop

from control.sip.agent import Agent, Credentials, SipSettings
from control.sip.errors import CallRefused, SipError, TransportLost
from control.sip.flows import Flow
from control.sip.incoming import Incoming
from control.sip.sockets import RECEIVE_BUFFER
from control.sip.streams import Connection, Streams
from control.sip.tls import TlsFilesUnfit
from tests.control.sip.house import Recorder, request
from tests.control.test_tls import Authority

PATIENCE_S = 10.0
GRANTED = int(Path("/proc/sys/net/core/rmem_max").read_text())
LOOPBACK = SipSettings(udp_port=0, tcp_port=0)


def polite(incoming: Incoming) -> None:
    """Take every call, and end it when the peer does."""
    if incoming.method == "INVITE":
        incoming.respond(180)
        incoming.respond(200, body=b"answer")
    elif incoming.method == "BYE" and incoming.dialog is not None:
        incoming.respond(200)
        incoming.dialog.end()
    else:
        incoming.respond(200)


@asynccontextmanager
async def agent(settings: SipSettings = LOOPBACK, act: Callable[[Incoming], Any] = polite) -> AsyncIterator[Agent]:
    made = Agent(settings, Recorder(act=act), contact_params=";isfocus")
    await made.open()
    try:
        yield made
    finally:
        await made.close()


def uri_of(there: Agent, transport: str = "udp", host: str = "") -> str:
    address = there.listening[transport]
    return f"sip:conf@{host or address[0]}:{address[1]};transport={transport}"


def heard(there: Agent) -> list[str]:
    recorder = there.core.application
    assert isinstance(recorder, Recorder)
    return recorder.heard


async def settled(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_call_with_requests_both_ways(transport: str) -> None:
    async with agent() as focus, agent() as phone:
        rung: list[int] = []
        call = phone.invite(
            uri_of(focus, transport),
            from_uri="Alice <sip:alice@h>",
            body=b"offer",
            ringing=lambda response: rung.append(response.code),
        )
        ours, response = await call.answered()
        assert (response.body, rung) == (b"answer", [180])
        assert ours.remote_target == f"sip:conf@127.0.0.1:{focus.listening[transport][1]}" + (
            "" if transport == "udp" else ";transport=tcp"
        )
        await settled(lambda: heard(focus) == ["INVITE", "acknowledged"])
        [theirs] = focus.core.dialogs
        assert theirs.remote_identity == "Alice"
        assert (await theirs.request("INVITE", body=b"new key")).code == 200
        assert (await ours.request("UPDATE", body=b"offer")).code == 200
        assert (await theirs.request("INFO", body=b"x", content_type="application/x")).code == 200
        assert (await ours.request("BYE")).code == 200
        ours.end()
        assert (len(focus.core.dialogs), len(phone.core.dialogs)) == (0, 0)
        assert not focus.core.faults + phone.core.faults


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_fifty_calls_at_once(transport: str) -> None:
    async with agent() as focus, agent() as phone:

        async def one(number: int) -> bytes:
            call = phone.invite(uri_of(focus, transport), from_uri=f"sip:u{number}@h", body=b"%d" % number)
            dialog, response = await call.answered()
            assert (await dialog.request("BYE")).code == 200
            dialog.end()
            return response.body

        assert await asyncio.gather(*map(one, range(50))) == [b"answer"] * 50
        assert sorted(heard(focus)) == ["BYE"] * 50 + ["INVITE"] * 50 + ["acknowledged"] * 50
        assert len({incoming.flow for incoming in focus.core.application.incoming}) == 1  # type: ignore[attr-defined]
        assert (len(focus.core.dialogs), len(phone.core.dialogs)) == (0, 0)
        assert not focus.core.faults + phone.core.faults


async def test_on_every_address_the_contact_is_the_one_that_the_peer_reaches() -> None:
    anywhere = SipSettings(host="0.0.0.0", udp_port=0, tcp_port=-1)
    named = SipSettings(udp_port=0, tcp_port=-1, advertise="conf.example.net")
    for settings, host in ((anywhere, "127.0.0.1"), (named, "conf.example.net")):
        async with agent(settings) as focus, agent() as phone:
            port = focus.listening["udp"][1]
            dialog, _ = await phone.invite(f"sip:127.0.0.1:{port}", from_uri="sip:a@h", body=b"x").answered()
            assert dialog.remote_target == f"sip:{host}:{port}"


@pytest.mark.skipif(GRANTED < RECEIVE_BUFFER, reason=f"net.core.rmem_max is {GRANTED}")
async def test_a_whole_room_may_answer_at_the_same_time() -> None:
    """Whatever comes while we are busy waits in the socket: a thousand messages, not two hundred."""
    message = b"SIP/2.0 200 OK\r\n" + b"X: y\r\n" * 150 + b"\r\n"
    async with agent() as focus:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as crowd:
            for _ in range(1000):
                crowd.sendto(message, focus.listening["udp"])
        await settled(lambda: focus.core.layer.dropped["malformed"] == 1000)


async def test_a_call_cancelled() -> None:
    async with agent(act=lambda incoming: incoming.respond(180)) as focus, agent() as phone:
        call = phone.invite(uri_of(focus), from_uri="sip:alice@h", body=b"offer")
        await settled(lambda: heard(focus) == ["INVITE"])
        await call.cancel()
        with pytest.raises(CallRefused, match="487"):
            await call.answered()
        assert heard(focus) == ["INVITE", "cancelled"]


async def test_options_and_a_subscription() -> None:
    def act(incoming: Incoming) -> None:
        if incoming.method == "SUBSCRIBE":
            dialogs.append(incoming.respond(200, headers=[("Expires", "60")]))
        else:
            incoming.respond(200)

    dialogs: list[Any] = []
    async with agent(act=act) as focus, agent() as phone:
        response = await phone.request("OPTIONS", uri_of(focus), from_uri="sip:alice@h")
        assert "INVITE" in (response.headers.get("Allow") or "")
        dialog = await phone.subscribe(uri_of(focus), from_uri="sip:alice@h", event="conference", expires=60)
        state = [("Event", "conference"), ("Subscription-State", "active;expires=60")]
        assert (await dialogs[0].request("NOTIFY", headers=state, body=b"<x/>", content_type="text/xml")).code == 200
        assert heard(phone) == ["NOTIFY"]
        assert [incoming.dialog for incoming in phone.core.application.incoming] == [dialog]  # type: ignore[attr-defined]


async def test_a_subscription_refused() -> None:
    async with agent(act=lambda incoming: incoming.respond(489)) as focus, agent() as phone:
        with pytest.raises(CallRefused, match="489"):
            await phone.subscribe(uri_of(focus), from_uri="sip:alice@h", event="nothing")
        assert phone.core.subscribing == {}


async def test_nobody_there_over_tcp() -> None:
    async with agent() as focus:
        uri = uri_of(focus, "tcp")
    async with agent() as phone:
        with pytest.raises(TransportLost):
            await phone.request("OPTIONS", uri, from_uri="sip:alice@h")
        with pytest.raises(TransportLost):
            await phone.invite("sip:a@b;transport=sctp", from_uri="sip:alice@h", body=b"x").answered()


async def test_a_connection_that_breaks_ends_what_waits_on_it() -> None:
    async with agent(act=lambda incoming: None) as focus, agent() as phone:
        waiting = asyncio.create_task(phone.request("OPTIONS", uri_of(focus, "tcp"), from_uri="sip:alice@h"))
        await settled(lambda: heard(focus) == ["OPTIONS"])
        await focus.close()
        with pytest.raises(TransportLost):
            await waiting


# ---------------------------------------------------------------------------------------------
# TLS


def over_tls(authority: Authority, name: str, *, trusts: Authority | None = None) -> SipSettings:
    identity = authority.issue(name, trusts=trusts)
    return SipSettings(
        udp_port=-1,
        tcp_port=-1,
        tls_port=0,
        certificate=str(identity.certificate),
        key=str(identity.key),
        authority=str(identity.authority),
    )


async def test_tls_proves_who_both_are(tmp_path: Path) -> None:
    ours = Authority(tmp_path, "ours")
    async with agent(over_tls(ours, "localhost")) as focus, agent(over_tls(ours, "alice.example.net")) as phone:
        dialog, _ = await phone.invite(
            uri_of(focus, "tls", "localhost"), from_uri="sip:alice@h", body=b"offer"
        ).answered()
        [theirs] = focus.core.dialogs
        assert theirs.secure
        assert theirs.flow.identities == {"alice.example.net"}
        assert dialog.secure
        assert (await theirs.request("INFO")).code == 200


async def test_tls_without_a_client_certificate_gives_no_identity(tmp_path: Path) -> None:
    ours = Authority(tmp_path, "ours")
    nameless = SipSettings(udp_port=-1, tcp_port=-1, authority=str(ours.path))
    async with agent(over_tls(ours, "localhost")) as focus, agent(nameless) as phone:
        await phone.invite(uri_of(focus, "tls", "localhost"), from_uri="sip:alice@h", body=b"offer").answered()
        [theirs] = focus.core.dialogs
        assert (theirs.secure, theirs.flow.identities) == (True, frozenset())


async def test_tls_refuses_a_server_of_another_authority_or_name(tmp_path: Path) -> None:
    ours, others = Authority(tmp_path, "ours"), Authority(tmp_path, "others")
    for server in (over_tls(others, "localhost"), over_tls(ours, "elsewhere.example.net")):
        async with agent(server) as focus, agent(over_tls(ours, "alice")) as phone:
            with pytest.raises(TransportLost, match="certificate"):
                await phone.request("OPTIONS", uri_of(focus, "tls", "localhost"), from_uri="sip:alice@h")
            assert heard(focus) == []


async def test_tls_refuses_a_client_of_another_authority(tmp_path: Path) -> None:
    ours, others = Authority(tmp_path, "ours"), Authority(tmp_path, "others")
    async with agent(over_tls(ours, "localhost")) as focus, agent(over_tls(others, "mallory", trusts=ours)) as phone:
        with pytest.raises(SipError):
            await phone.request("OPTIONS", uri_of(focus, "tls", "localhost"), from_uri="sip:mallory@h")
        assert heard(focus) == []


async def test_tls_without_its_files(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.pem")
    for settings, why in (
        (SipSettings(udp_port=0, tcp_port=0, tls_port=0), "set both"),
        (SipSettings(udp_port=0, tcp_port=0, tls_port=0, certificate=missing, key=missing), "cannot load"),
    ):
        with pytest.raises(TlsFilesUnfit, match=why):
            await Agent(settings, Recorder()).open()


@pytest.mark.parametrize("taken", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
async def test_a_port_that_is_taken(taken: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, taken) as other:
        other.bind(("127.0.0.1", 0))
        udp = taken == socket.SOCK_DGRAM
        port = other.getsockname()[1]
        chosen = SipSettings(udp_port=port, tcp_port=-1) if udp else SipSettings(udp_port=-1, tcp_port=port)
        if not udp:
            other.listen()
        name = "UDP" if udp else "TCP"
        with pytest.raises(OSError, match=rf"{name} 127.0.0.1:{port} .*\(Address already in use\); choose another"):
            await Agent(chosen, Recorder()).open()


@pytest.mark.parametrize(("udp", "tcp"), [(0, -1), (-1, 0)])
@pytest.mark.parametrize("host", ["192.0.2.77", "nowhere.invalid"])
async def test_a_host_that_is_not_ours(udp: int, tcp: int, host: str) -> None:
    with pytest.raises(OSError, match=rf"{host}:0 is not to be had \([A-Z].*\); choose another"):
        await Agent(SipSettings(host=host, udp_port=udp, tcp_port=tcp), Recorder()).open()


async def test_plain_text_to_the_tls_port(tmp_path: Path) -> None:
    ours = Authority(tmp_path, "ours")
    async with agent(over_tls(ours, "localhost")) as focus:
        reader, writer = await asyncio.open_connection(*focus.listening["tls"])
        writer.write(request("OPTIONS").encode())
        assert b"SIP" not in await reader.read()
        writer.close()
        assert heard(focus) == []


# ---------------------------------------------------------------------------------------------
# Streams


async def test_keep_alives_pieces_and_several_at_once() -> None:
    async with agent() as focus:
        reader, writer = await asyncio.open_connection(*focus.listening["tcp"])
        writer.write(b"\r\n\r\n")
        assert await reader.readexactly(2) == b"\r\n"
        both = "".join(
            request("OPTIONS", branch=f"z9hG4bK{n}", call_id=f"c{n}", transport="TCP") for n in range(2)
        ).encode()
        writer.write(both[:100])
        await writer.drain()
        writer.write(both[100:])
        await settled(lambda: heard(focus) == ["OPTIONS"] * 2)
        writer.close()


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (request("OPTIONS").replace("Content-Length: 0\r\n", "").encode(), b"400"),
        (request("OPTIONS").replace("Length: 0", "Length: 70000").encode(), b"513"),
    ],
)
async def test_a_stream_out_of_step_is_answered_and_closed(octets: bytes, status: bytes) -> None:
    async with agent() as focus:
        reader, writer = await asyncio.open_connection(*focus.listening["tcp"])
        writer.write(octets)
        answer = await reader.read()
        assert answer.startswith(b"SIP/2.0 " + status)
        assert heard(focus) == []
        writer.close()


async def test_noise_on_a_stream_and_on_udp_harms_nobody() -> None:
    async with agent() as focus, agent() as phone:
        reader, writer = await asyncio.open_connection(*focus.listening["tcp"])
        writer.write(b"\xff" * 70000)
        assert await reader.read() == b""
        writer.close()
        loop = asyncio.get_running_loop()
        noise, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=focus.listening["udp"])
        for octets in (
            b"",
            b"\0\0\0\0",
            b"\xff" * 1000,
            b"SIP/2.0 200 OK\r\n\r\n",
            b"INVITE sip:x SIP/2.0\r\nVia:\r\n\r\n",
        ):
            noise.sendto(octets)
        response = await phone.request("OPTIONS", uri_of(focus), from_uri="sip:alice@h")
        noise.close()
        assert response.code == 200
        assert not focus.core.faults


async def test_connections_are_counted() -> None:
    settings = SipSettings(udp_port=-1, tcp_port=0, max_connections_per_source=1)
    async with agent(settings) as focus:
        first = await asyncio.open_connection(*focus.listening["tcp"])
        first[1].write(b"\r\n\r\n")
        assert await first[0].readexactly(2) == b"\r\n"
        second = await asyncio.open_connection(*focus.listening["tcp"])
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await second[0].readexactly(1)
        for _, writer in (first, second):
            writer.close()


async def _crowd_the_door(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(over_tls(Authority(tmp_path, "ours"), "localhost"), max_connections_per_source=2)
    async with agent(settings) as focus:
        where = focus.listening["tls"]
        first, second = await asyncio.open_connection(*where), await asyncio.open_connection(*where)
        async with asyncio.timeout(PATIENCE_S):
            third = await asyncio.open_connection(*where)
            with contextlib.suppress(ConnectionResetError):
                assert await third[0].read(1) == b""
            first[1].write(b"OPTIONS")  # no TLS: its handshake is over, and makes room
            with contextlib.suppress(ConnectionResetError):
                while await first[0].read(100):
                    pass
            async with agent(settings) as phone:
                response = await phone.request("OPTIONS", uri_of(focus, "tls", "localhost"), from_uri="sip:a@h")
        assert response.code == 200
        for _, writer in (first, second, third):
            writer.close()


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_who_only_knocks_at_the_door_of_tls_is_counted(
    tmp_path: Path, factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """A connection takes a descriptor from the first, whether its handshake is ever done or not."""
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_crowd_the_door(tmp_path))


class Pipe(asyncio.Transport):
    """A connection that goes nowhere."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"sockname": ("127.0.0.1", 5060), "peername": ("127.0.0.1", 40000)}.get(name)

    def abort(self) -> None: ...


class Ears:
    """Hears nothing, and wants what it is told to."""

    def __init__(self, *, wants: bool) -> None:
        self.wants = wants

    def received(self, octets: bytes, flow: Flow) -> None: ...

    def unframed(self, error: Exception, flow: Flow) -> None: ...

    def lost(self, flow: Flow) -> None: ...

    def wanted(self, flow: Flow) -> bool:
        return self.wants


@pytest.mark.parametrize("wants", [True, False])
async def test_who_dawdles_or_is_silent_is_closed_unless_a_call_needs_it(wants: bool) -> None:
    ears, settings = Ears(wants=wants), SipSettings(message_s=10, idle_s=600)
    connection = Connection(Streams(settings, ears), ears, settings, "tcp", 1, "")
    connection.connection_made(Pipe())
    start = asyncio.get_running_loop().time()
    assert not connection.overdue(start + 599, ears.wanted)
    assert connection.overdue(start + 601, ears.wanted) is not wants
    connection.data_received(b"OPTIONS sip:a")
    assert not connection.overdue(start + 9, ears.wanted)
    assert connection.overdue(start + 12, ears.wanted)  # a call is no excuse for half a message
    connection.data_received(b"@b SIP/2.0\r\nContent-Length: 0\r\n\r\n")
    assert not connection.overdue(start + 12, ears.wanted)


async def test_tls_client_cannot_be_downgraded(tmp_path: Path) -> None:
    ours = Authority(tmp_path, "ours")
    async with agent(over_tls(ours, "localhost")) as focus:
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.load_verify_locations(ours.path)
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("localhost", focus.listening["tls"][1], ssl=old)


async def test_credentials_show_nothing_in_a_dialog() -> None:
    async with agent() as focus, agent() as phone:
        credentials = Credentials("alice", "secret")
        dialog, _ = await phone.invite(
            uri_of(focus), from_uri="sip:alice@h", body=b"x", credentials=credentials
        ).answered()
        assert "secret" not in repr(dialog)
