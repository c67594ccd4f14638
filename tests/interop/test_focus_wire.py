"""The focus on the wire: SIPp's crowds and manners, ffmpeg through the keys of a call, and tshark on what we send."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from pathlib import Path

import pytest

from control.sdp import model
from control.sdp.answer import Agreed, Local
from control.sdp.crypto import CryptoLine, InlineKey
from control.sdp.offer import agree_answer, write_offer
from control.sdp.terms import PCMU, Terms
from control.sip.agent import Agent, SipSettings
from control.sip.flows import Flow
from control.sip.sockets import Sockets
from mixer.secret import Secret
from tests.control.focus.house import House, house, listen, phones, until
from tests.control.focus.house import assert_hears as assert_caller_hears
from tests.control.focus.test_events import Watcher
from tests.interop.programs import ffmpeg_listener, ffmpeg_sender
from tests.interop.rude import malformed, rude_caller
from tests.interop.sipp import Sipp
from tests.interop.wire import Datagram, Wire, open_wire, write_pcap
from tests.tones import assert_hears, level_db

root = pytest.mark.skipif(os.geteuid() != 0, reason="SIPp replays packets through a raw socket: run as root")
"""CI is root: nothing is left out there."""


async def nothing_is_left(here: House) -> None:
    """No call, no room, no leg, no conference."""
    await until(lambda: not here.focus.switchboard.calls and not here.service.engine.conferences_count)
    assert len(here.focus.rooms) == 0
    assert not here.service.engine.legs_count
    assert not here.focus.reception.faults


@root
@pytest.mark.needs("sipp")
async def test_a_crowd_of_replayed_srtp_is_heard_and_leaves_nothing(tmp_path: Path) -> None:
    """They share a key and an SSRC: in a room each is heard alone, and of a crowd only the first."""
    sipp = Sipp(tmp_path, tone_hz=1000, seconds=3.0)
    told = "[media]\nsilence_s = 30.0\n"
    async with house(tmp_path, told) as here, phones(("ann", 440)) as (ann,):
        await ann.dial(here.uri("room"))
        crowd = asyncio.create_task(sipp.run("caller", here.uri("room"), calls=1, rate=20, hold_s=3.0))
        await until(lambda: here.service.engine.legs_count == 2)
        (heard,) = await listen(ann)
        assert level_db(heard.astype(float), 1000) > -25.0
        one = await crowd
        assert (one.successful, one.failed) == (1, 0)
        rooms = [sipp.run("caller", here.uri(f"room{n}"), calls=1, rate=20, hold_s=1.0) for n in range(4)]
        results = await asyncio.gather(*rooms, sipp.run("caller", here.uri("crowd"), calls=20, rate=20, hold_s=1.0))
        assert [(result.successful, result.failed) for result in results[:4]] == [(1, 0)] * 4
        assert results[4].successful + results[4].failed == 20
        await ann.hang_up()
        await nothing_is_left(here)


@root
@pytest.mark.needs("sipp")
async def test_a_key_that_changes_in_the_call(tmp_path: Path) -> None:
    """SIPp re-INVITEs with a new key, and says the rest under it."""
    sipp = Sipp(tmp_path, tone_hz=1000, seconds=2.0)
    async with house(tmp_path) as here, phones(("ann", 440)) as (ann,):
        await ann.dial(here.uri("room"))
        call = asyncio.create_task(sipp.run("reinvite", here.uri("room"), hold_s=2.0))
        await until(lambda: here.service.engine.legs_count == 2)
        (heard,) = await listen(ann, seconds=3.4)
        assert level_db(heard[-8000:].astype(float), 1000) > -25.0  # it is under the second key by now
        result = await call
        assert (result.successful, result.failed) == (1, 0), result.errors


@pytest.mark.needs("sipp")
async def test_those_who_never_end_and_those_who_never_acknowledge(tmp_path: Path) -> None:
    sipp = Sipp(tmp_path, seconds=0.2)
    told = "[media]\nsilence_s = 1.0\n[sip]\nt1 = 0.05\nt2 = 0.2\n"
    async with house(tmp_path, told) as here:
        # They all have one SSRC: a room for each.
        vanishing = [sipp.run("vanish", here.uri(f"room{n}"), hold_s=0.2) for n in range(4)]
        silent = sipp.run("noack", here.uri("room"), calls=4, rate=20, hold_s=0.2)
        options = sipp.run("options", here.uri("room"), calls=4, rate=20)
        results = await asyncio.gather(*vanishing, silent, options)
        assert [(result.successful, result.failed) for result in results] == [(1, 0)] * 4 + [(4, 0)] * 2
        await nothing_is_left(here)


async def test_bad_manners(tmp_path: Path) -> None:
    """An INVITE that comes twice is one call, one that is cancelled is none, and what is no SIP harms nobody."""
    # Some of what is malformed is a call after all; its caller acknowledges nothing.
    async with house(tmp_path, "[sip]\nt1 = 0.05\n") as here, phones(("ann", 440)) as (ann,):
        await ann.dial(here.uri("ann"))
        async with rude_caller(here.uri("room")) as caller:
            assert (await caller.invite_twice()).status == 200
            assert len({answer.to for answer in caller.finals("INVITE")}) == 1
            assert here.focus.switchboard.set_up == 2
        async with rude_caller(here.uri("room")) as caller:
            for octets in malformed(caller).values():
                caller.send(octets)
            assert await caller.is_served()
        for _ in range(8):
            async with rude_caller(here.uri("room")) as caller:
                assert (await caller.cancel_at_once()).status in (200, 487)  # the race may end either way
        assert not ann.call.ended
        (heard,) = await listen(ann)
        assert_caller_hears(heard, set(), {440})
        await ann.hang_up()
        await nothing_is_left(here)


async def answered(here: House, wire: Wire, key: bytes) -> tuple[Agreed, Agent]:
    """Dial for a client that knows no SIP: what was agreed on for it."""
    agent = Agent(SipSettings(udp_port=0, tcp_port=-1), Watcher())
    await agent.open()
    terms = Terms(codecs=(PCMU,), suites=("AES_CM_128_HMAC_SHA1_80",))
    local = Local(host=wire.outer[0], port=wire.outer[1], session_id=1, version=1)
    line = CryptoLine(1, "AES_CM_128_HMAC_SHA1_80", (InlineKey(Secret(key)),))
    offer = write_offer(terms, local, crypto=[line])
    outgoing = agent.invite(here.uri("room"), from_uri="sip:ffmpeg@127.0.0.1", body=offer)
    _, response = await outgoing.answered()
    return agree_answer(offer, model.parse(response.body), terms), agent


@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")], ids=["IPv4", "IPv6"])
async def test_ffmpeg_through_the_keys_of_a_call(tmp_path: Path, host: str, shown: str) -> None:
    """ffmpeg has an SRTP of its own: it speaks under the key of the offer, and hears under the key of the answer."""
    key = os.urandom(30)
    both = {"more": '[mixer]\nmedia_host6 = "::1"\n', "mixer": '[mixer]\nhost6 = "::1"\n'}
    async with house(tmp_path, **both) as here, phones(("ann", 440)) as (ann,):
        await ann.dial(here.uri("room"))
        async with open_wire((host, here.service.port)) as wire:
            agreed, agent = await answered(here, wire, key)
            assert agreed.crypto is not None
            assert agreed.remote == f"{shown}:{here.service.port}"
            answer = agreed.crypto.keys[0].secret.reveal()
            listener = ffmpeg_listener(tmp_path, "ffmpeg", "PCMU", agreed.crypto.suite, answer)
            async with (
                listener as hearing,
                ffmpeg_sender(
                    tmp_path,
                    "voice",
                    wire.inner,
                    hertz=1000,
                    codec="PCMU",
                    suite=agreed.crypto.suite,
                    key=key,
                    ssrc=0x1000,
                ),
            ):
                wire.pass_on(hearing.port)
                await until(lambda: here.service.engine.legs_count == 2)
                await listen(ann, seconds=1.0)
                (heard,) = await listen(ann, seconds=2.0)
                recording = await hearing.stop()
            await agent.close()
    assert_caller_hears(heard, set(), {440})
    assert level_db(heard.astype(float), 1000) > -20.0
    assert level_db(recording, 440) > -25.0
    assert_hears(recording, present=set(), absent={1000}, seconds=0.8)


@pytest.mark.needs("tshark")
async def test_what_we_send_dissects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call in which all happens that we can say: SIP, SDP and conference-info without a complaint of tshark's."""
    sent: list[tuple[int, Datagram]] = []
    send = Sockets.send

    def noted(sockets: Sockets, flow: Flow, octets: bytes) -> bool:
        sent.append((flow.local[1], Datagram(time.monotonic(), octets)))
        return send(sockets, flow, octets)

    monkeypatch.setattr(Sockets, "send", noted)
    with_events = '[default_room]\nobservers = "none"\nkeying = "group"\n[default_room.rekey]\npromote_s = 0.2\n'
    async with house(tmp_path, with_events) as here, phones(("ann", 440), ("bob", 700)) as (ann, bob):
        watcher = Watcher()
        await watcher.agent.open()
        await ann.dial(here.uri("room"))
        await watcher.subscribe(here, "room")
        await bob.dial(here.uri("room"))
        await until(lambda: ann.report().keys_taken > 1 and bob.report().keys_taken > 1)
        await bob.hold()
        await bob.resume()
        await watcher.agent.request("OPTIONS", here.uri("room"), from_uri="sip:eve@127.0.0.1")
        await until(lambda: watcher.documents)
        await bob.hang_up()
        await here.focus.switchboard.close()
        await watcher.agent.close()
        capture, number = tmp_path / "sip.pcap", here.address[1]
    write_pcap(capture, [datagram for local, datagram in sent if local == number], number, number + 2)
    assert tshark(capture, number, "-Y", "_ws.malformed || _ws.expert.severity == error") == ""
    methods = tshark(capture, number, "-Y", "sip.Request-Line", "-T", "fields", "-e", "sip.Method").split()
    assert {"INVITE", "ACK", "NOTIFY", "BYE"} <= set(methods)
    statuses = tshark(capture, number, "-Y", "sip.Status-Line", "-T", "fields", "-e", "sip.Status-Code").split()
    assert "200" in statuses
    crypto = tshark(capture, number, "-Y", "sdp", "-T", "fields", "-e", "sdp.crypto.crypto_suite").split()
    assert set(crypto) == {"AES_CM_128_HMAC_SHA1_80"}


def tshark(capture: Path, number: int, *arguments: str) -> str:
    """Its words on a capture."""
    command = ["tshark", "-r", str(capture), "-d", f"udp.port=={number},sip", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
